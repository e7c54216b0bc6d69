"""What was said of a wish as its value, if it can be one: numbers have ranges, and words their meaning. What does not
fit is None, and its words stay in the prompt. The ranges are wider than any model's; what a model and
a plan allow is for `bounds`."""

from __future__ import annotations

import re
from typing import Any

from control_plane.wire.job import SEED_MAX

RANGES = {"count": (1, 99), "seed": (0, SEED_MAX), "steps": (1, 999), "fps": (1, 240), "frames": (1, 9_999)}
DECIMAL_RANGES = {"guidance": (0, 99), "strength": (0, 1), "seconds": (0.1, 600)}
SIDE_MIN, SIDE_MAX = 64, 16_384
"""Pixels: less is a grid or a pack of something."""
RATIO_MAX = 100
CERTAIN_RATIOS = frozenset({"16:9", "9:16", "21:9", "9:21", "16:10", "10:16"})
"""Hardly ever a score, a scale or the time of day; others are understood only where a phrase may stand alone."""

_INTEGER = re.compile(r"[0-9]{1,16}")
_DECIMAL = re.compile(r"[0-9]{1,4}(?:[.,][0-9]{1,2})?")
_RATIO = re.compile(r"([0-9]{1,3}) ?[:/x] ?([0-9]{1,3})")
_SIZE = re.compile(r"([0-9]{2,5}) ?[x*х] ?([0-9]{2,5})")


def value(field: str, said: str) -> dict[str, Any] | None:
    """The wishes that it makes."""
    if field in RANGES:
        number = _within(int(said), *RANGES[field]) if _INTEGER.fullmatch(said) else None
        return _one(field, number)
    if field in DECIMAL_RANGES:
        exact = float(said.replace(",", ".")) if _DECIMAL.fullmatch(said) else None
        return _one(field, None if exact is None else _within(exact, *DECIMAL_RANGES[field]))
    if field in {"width", "height"}:
        return _one(field, _within(int(said), SIDE_MIN, SIDE_MAX) if _INTEGER.fullmatch(said) else None)
    return size(said) if field == "size" else _one(field, said)


def ratio(said: str) -> str | None:
    """`16:9`, however it was written."""
    found = _RATIO.fullmatch(said)
    if not found:
        return None
    width, height = int(found[1]), int(found[2])
    return f"{width}:{height}" if 1 <= width <= RATIO_MAX and 1 <= height <= RATIO_MAX else None


def size(said: str) -> dict[str, Any] | None:
    found = _SIZE.fullmatch(said)
    sides = [_within(int(side), SIDE_MIN, SIDE_MAX) for side in found.groups()] if found else [None]
    return None if None in sides else {"width": sides[0], "height": sides[1]}


def _one(field: str, told: object) -> dict[str, Any] | None:
    return None if told is None else {field: told}


def _within(number: Any, least: float, most: float) -> Any:
    return number if least <= number <= most else None
