"""What a person wished for beside the plain words of the prompt. Only what they said: nothing is filled in or bounded
here, so a shape said as a word stays that word. `bounds` makes an order of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

Kind = Literal["image", "video"]
Aspect = Literal["wide", "landscape", "square", "portrait", "tall", "panorama"]
Side = Literal["720p", "1080p", "1440p", "2k", "4k"]
ASPECTS: tuple[str, ...] = get_args(Aspect)
SIDES: tuple[str, ...] = get_args(Side)


class Wishes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every field is absent unless it was said."""

    kind: Kind | None = None
    count: int | None = None
    width: int | None = None
    """Pixels, as said."""
    height: int | None = None
    aspect: str | None = None
    """One of `ASPECTS`, or a ratio as `16:9`."""
    side: str | None = None
    """One of `SIDES`."""
    model: str | None = None
    style: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    seconds: float | None = None
    """Of a video."""
    fps: int | None = None
    frames: int | None = None
    negatives: tuple[str, ...] = ()
    """Each in the person's words."""
    raw: bool = False
    """The prompt goes to the model as it was typed, untranslated."""

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Wishes()


class Names(msgspec.Struct, frozen=True):
    """Models and styles that there are: pairs of what people may write (a name, a title) and the name it stands for."""

    models: tuple[tuple[str, str], ...] = ()
    styles: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, models: Mapping[str, str], styles: Mapping[str, str]) -> Names:
        return cls(tuple(models.items()), tuple(styles.items()))


NO_NAMES = Names()


class Understood(msgspec.Struct, frozen=True, kw_only=True):
    """A text, understood."""

    wishes: Wishes
    prompt: str
    """What was not understood, in its order."""
    echo: str
    """One line in the person's language that says what was understood, empty when nothing was. Understood again, it
    gives the same wishes and no prompt."""
    spans: tuple[tuple[int, int], ...]
    """Where in the text that stands which was understood."""
