"""What somebody typed as an order: the grammar's wishes, bounded by the model, filled up with the person's choices."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from control_plane.wire.job import PROMPT_LENGTH_MAX, SIDE_MAX, SIDE_MIN, SubmitRequest
from control_plane.wire.model import ModelView
from control_plane.wire.user import Choices
from frontends.bots.dialogue.screen import Said, Slot
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.language.bounds import Bounds, Clipped, bounded
from frontends.bots.language.grammar import understand
from frontends.bots.language.wishes import Names

Kind = Literal["image", "video"]
ANY_PIXELS = 1_048_576
"""Where no model is known: the plan's limit is told by the API."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and what was understood of the words, told in the person's own language."""

    order: SubmitRequest
    echo: str = ""
    clipped: tuple[Clipped, ...] = ()
    raw: bool = False
    """The prompt goes to the model as it is."""
    unread: bool = False
    """The model hardly reads the language of the prompt."""


def wish(turn: Turn, text: str, kind: Kind) -> Wish:
    """What a text orders. What is not understood stays in the prompt."""
    models = turn.house.models
    names = Names.of({model.name: model.name for model in models} | {m.title: m.name for m in models}, {})
    found = understand(text, turn.language, kind=kind, names=names)
    made: Kind = found.wishes.kind or kind
    chosen = choices(turn)
    model = _model(found.wishes.model, chosen, made, models)
    granted = bounded(found.wishes, _bounds(model))
    fields: dict[str, Any] = {**_usual(chosen, model), **granted.fields}
    if model is not None or found.wishes.model:
        fields["model"] = model.name if model is not None else found.wishes.model
    prompt = found.prompt[:PROMPT_LENGTH_MAX]
    return Wish(
        order=SubmitRequest(prompt=prompt, kind=made, **fields),
        echo=found.echo,
        clipped=granted.clipped,
        raw=found.wishes.raw,
    )


def clippings(clipped: tuple[Clipped, ...]) -> list[Said]:
    """What could not be granted, as sentences."""
    return [
        said("order.clipped", wished=_words(each.field, each.wished), granted=_words(each.field, each.granted))
        if each.granted
        else said("order.dropped", wished=_words(each.field, each.wished))
        for each in clipped
    ]


def _words(field: str, told: str) -> Slot:
    """A number with what it is a number of, as the echo has it."""
    if field == "size":
        return told
    return said("echo.versions", count=int(told)) if field == "count" else said(f"echo.{field}", number=float(told))


def choices(turn: Turn) -> Choices:
    """What the person has chosen, as far as anything is known."""
    chosen = turn.state.choices.choices if turn.state.choices is not None else None
    return chosen if isinstance(chosen, Choices) else Choices()


def _usual(chosen: Choices, model: ModelView | None) -> dict[str, Any]:
    """What the person has chosen for orders that do not say otherwise, as far as the model takes it."""
    fields: dict[str, Any] = {"count": chosen.count} if chosen.count else {}
    most = model.pixels_max if model is not None else ANY_PIXELS
    if chosen.width and chosen.height and chosen.width * chosen.height <= most:
        fields |= {"width": chosen.width, "height": chosen.height}
    return fields


def _model(named: str | None, chosen: Choices, kind: Kind, models: tuple[ModelView, ...]) -> ModelView | None:
    """The one that was named, else the one of choice, else the first of the kind that some worker has now."""
    fitting = [model for model in models if model.kind == kind]
    wanted = named or (chosen.video_model if kind == "video" else chosen.image_model)
    named_one = [model for model in fitting if model.name == wanted]
    ready = [model for model in fitting if model.feasible_now and not model.paused]
    return next(iter([*named_one, *ready, *fitting]), None)


def _bounds(model: ModelView | None) -> Bounds:
    if model is None:
        side = {"minimum": SIDE_MIN, "maximum": SIDE_MAX}
        whole = {"properties": {"width": side, "height": side, "seed": {}, "count": {"minimum": 1, "maximum": 4}}}
        return Bounds(schema=whole, width=1_024, height=1_024, pixels_max=ANY_PIXELS)
    size = {"width": model.width, "height": model.height}
    return Bounds(schema=model.parameters, pixels_max=model.pixels_max, fps=model.fps, **size)
