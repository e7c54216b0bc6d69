"""What was understood, told in one line that is understood again. A wish that its own words would not bring back, a
negative of two sentences for example, is told as a flag with quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from frontends.bots.language.catalogue import say
from frontends.bots.language.scanning import QUOTES
from frontends.bots.language.wishes import ASPECTS, Wishes

Says = Callable[[str], Wishes]
"""What a line is understood as."""


def echo(wishes: Wishes, language: str, says: Says) -> str:
    return say("echo.joint", language).join(_told(wishes, language, says))


def _told(wishes: Wishes, language: str, says: Says) -> Iterator[str]:
    yield from _what(wishes, language)
    yield from _shape(wishes, language)
    if wishes.model:
        yield _or_flag(say("echo.model", language, name=wishes.model), Wishes(model=wishes.model), "model", says)
    if wishes.style:
        yield _or_flag(say("echo.style", language, name=wishes.style), Wishes(style=wishes.style), "style", says)
    for field in ("seed", "steps", "guidance", "strength", "seconds", "fps", "frames"):
        number = getattr(wishes, field)
        if number is not None:
            yield say(f"echo.{field}", language, number=number)
    for unwanted in wishes.negatives:
        plainly = say("echo.without", language, what=unwanted)
        yield _or_flag(plainly, Wishes(negatives=(unwanted,)), "no", says)
    if wishes.raw:
        yield "--raw"


def _what(wishes: Wishes, language: str) -> Iterator[str]:
    if wishes.count:
        counted = {"image": "pictures", "video": "videos"}.get(wishes.kind or "", "versions")
        yield say(f"echo.{counted}", language, count=wishes.count)
    elif wishes.kind:
        yield say(f"echo.as_{wishes.kind}", language)


def _shape(wishes: Wishes, language: str) -> Iterator[str]:
    if wishes.width and wishes.height:
        yield f"{wishes.width}x{wishes.height}"
    elif wishes.width:
        yield f"--width {wishes.width}"
    elif wishes.height:
        yield f"--height {wishes.height}"
    if wishes.aspect:
        yield say(f"echo.{wishes.aspect}", language) if wishes.aspect in ASPECTS else wishes.aspect
    if wishes.side:
        yield wishes.side


def _or_flag(plainly: str, meant: Wishes, flag: str, says: Says) -> str:
    """The plain words if they are understood as what is meant, else a flag."""
    if says(plainly) == meant:
        return plainly
    said = meant.model or meant.style or "".join(meant.negatives)
    opening = next((mark for mark, close in QUOTES.items() if close not in said), '"')
    return f"--{flag} {opening}{said}{QUOTES[opening]}"
