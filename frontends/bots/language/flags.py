"""Flags as people know them from elsewhere: `--ar 16:9 --seed 42 --no people`, also `--ar=16:9`, and `—ar` as
telephones write it. A value may stand in double quotes and is then taken as it is. A flag that nobody here knows, or
that has no value that fits, is left in the prompt together with the word after it.

`--no` takes everything up to the next flag, line end or quotation, as a list with commas.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from frontends.bots.language.scanning import HAN, QUOTES, Span, covering

VALUE_LENGTH_MAX = 80
"""Of a name or ratio; a list of negatives may have any length."""
FIELDS = {
    "ar": "aspect", "aspect": "aspect", "ratio": "aspect", "seed": "seed", "no": "negative", "negative": "negative",
    "n": "count", "count": "count", "number": "count", "steps": "steps", "model": "model", "m": "model",
    "style": "style", "raw": "raw", "cfg": "guidance", "guidance": "guidance", "scale": "guidance", "size": "size",
    "width": "width", "w": "width", "height": "height", "h": "height", "strength": "strength", "fps": "fps",
    "frames": "frames", "duration": "seconds", "seconds": "seconds", "video": "video", "image": "image",
}  # fmt: skip
ALONE = {"raw", "video", "image"}
"""Flags without a value."""

_FLAG = re.compile(rf"(?<![^\s,;{HAN}])(?:--|——|—|–)([a-z][a-z-]*)(?![\w\u0300-\u036f-])(?:\s*=\s*|[^\S\r\n]*)")
_WORD = re.compile(r"(?:[^\s,;]|(?<=[0-9]),(?=[0-9]))+")
_LINE_END = re.compile(r"[\r\n]")


class Flag(NamedTuple):
    field: str | None
    """None: of no known kind."""
    value: Span
    """Where its value stands."""
    start: int
    end: int
    quoted: bool = False


def flags(view: str, closed: list[Span]) -> Iterator[Flag]:
    """Every flag outside of quotations and brackets, in order."""
    found = [one for one in _FLAG.finditer(view) if not covering(closed, one.start())]
    for index, one in enumerate(found):
        until = found[index + 1].start() if index + 1 < len(found) else len(view)
        yield _flag(view, closed, one, until)


def _flag(view: str, closed: list[Span], found: re.Match[str], until: int) -> Flag:
    field, start, after = FIELDS.get(found.group(1)), found.start(), found.end()
    if field in ALONE:
        return Flag(field, (after, after), start, found.end(1))
    seal = covering(closed, after)
    if field and seal and seal[0] == after and view[after] in QUOTES:
        return Flag(field, (after + 1, seal[1] - 1), start, seal[1], quoted=True)
    if field == "negative":
        value = _list(view, closed, after, until)
        return Flag(field, value, start, value[1])
    value = _value(view, closed, field, after, until)
    return Flag(field, value, start, value[1])


def _list(view: str, closed: list[Span], start: int, until: int) -> Span:
    """As far as a list of negatives goes."""
    line = _LINE_END.search(view, start, until)
    until = line.start() if line else until
    index = bisect_left(closed, (start, 0))
    return start, min(until, closed[index][0]) if index < len(closed) else until


def _value(view: str, closed: list[Span], field: str | None, start: int, until: int) -> Span:
    """The next word; of a name as much as may belong to it, which only those can tell who know the names."""
    if covering(closed, start):
        return start, start
    if field in {"model", "style"}:
        return start, min(until, start + VALUE_LENGTH_MAX)
    word = _WORD.match(view, start, until)
    return start, min(word.end(), start + VALUE_LENGTH_MAX) if word else start
