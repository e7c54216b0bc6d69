"""An order out of wishes: what the model and the plan allow of them, and what had to be clipped. Pure.

The limits of a model come as the JSON Schema of its orders (`ModelView.parameters`), the plan's as two figures. A shape
without a size has as many pixels as the model makes when nothing is said; what is too large shrinks in its proportions.
A wish that the model has no field for is dropped and told as clipped to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, sqrt
from typing import Any

import msgspec

from frontends.bots.language.wishes import Wishes

RATIOS = {
    "wide": (16, 9),
    "landscape": (3, 2),
    "square": (1, 1),
    "portrait": (2, 3),
    "tall": (9, 16),
    "panorama": (21, 9),
}
LONG_SIDES = {"720p": 1_280, "1080p": 1_920, "1440p": 2_560, "2k": 2_048, "4k": 3_840}
"""Pixels of the longer side."""
SIDE_STEP = 8
FILM = ("seconds", "fps", "frames")
Size = tuple[float, float]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may be ordered."""

    schema: Mapping[str, Any]
    """Of an order for the model."""
    width: int
    """What the model makes when nothing is said, in pixels."""
    height: int
    pixels_max: int
    """The smaller of the model's and the plan's."""
    fps: int | None = None
    """Of a film when nothing is said."""
    video_seconds_max: float | None = None
    """The plan's."""


class Clipped(msgspec.Struct, frozen=True):
    """A wish that could not be granted whole."""

    field: str
    """Of `Wishes`; `size` for width and height together."""
    wished: str
    granted: str
    """Empty: not at all."""


class Order(msgspec.Struct, frozen=True):
    """Fields of a `SubmitRequest`, without prompt, kind and model, and what was clipped."""

    fields: dict[str, Any]
    clipped: tuple[Clipped, ...]


def bounded(wishes: Wishes, bounds: Bounds) -> Order:
    """As much of the wishes as may be ordered."""
    clipped: list[Clipped] = []
    fields = _size(wishes, bounds, clipped)
    for field in ("count", "seed", "steps", "guidance", "strength"):
        number = getattr(wishes, field)
        if number is not None:
            fields |= _number(field, number, bounds.schema, clipped)
    fields |= _film(wishes, bounds, clipped)
    if wishes.negatives:
        fields["negative_prompt"] = ", ".join(wishes.negatives)
    return Order(fields, tuple(clipped))


def _number(field: str, wished: float, schema: Mapping[str, Any], clipped: list[Clipped]) -> dict[str, Any]:
    limits = _limits(schema, field)
    if limits is None:
        clipped.append(Clipped(field, _told(wished), ""))
        return {}
    granted = min(max(wished, limits[0]), limits[1])
    if granted != wished:
        clipped.append(Clipped(field, _told(wished), _told(granted)))
    return {field: granted}


def _limits(schema: Mapping[str, Any], field: str) -> tuple[float, float] | None:
    """The least and the most that a field of the schema may be; None when there is no such field."""
    told = schema.get("properties", {}).get(field)
    if told is None:
        return None
    kinds = [told, *told.get("anyOf", [])]
    least = max((kind["minimum"] for kind in kinds if "minimum" in kind), default=-inf)
    most = min((kind["maximum"] for kind in kinds if "maximum" in kind), default=inf)
    return least, most


def _size(wishes: Wishes, bounds: Bounds, clipped: list[Clipped]) -> dict[str, Any]:
    wished = wished_size(wishes, bounds)
    if wished is None:
        return {}
    granted = _fitting(wished, bounds)
    exact = wishes.side or wishes.width or wishes.height
    if exact and any(abs(one - other) >= SIDE_STEP for one, other in zip(wished, granted, strict=True)):
        clipped.append(Clipped("size", f"{wished[0]:.0f}x{wished[1]:.0f}", f"{granted[0]}x{granted[1]}"))
    return {"width": granted[0], "height": granted[1]}


def wished_size(wishes: Wishes, bounds: Bounds) -> Size | None:
    """The size that was asked for, in pixels, before any limit; None: nothing was said of it."""
    ratio = _ratio(wishes.aspect) or bounds.width / bounds.height
    if wishes.width and wishes.height:
        return wishes.width, wishes.height
    if wishes.width or wishes.height:
        return wishes.width or (wishes.height or 0) * ratio, wishes.height or (wishes.width or 0) / ratio
    if wishes.side:
        long = LONG_SIDES[wishes.side]
        return (long, long / ratio) if ratio >= 1 else (long * ratio, long)
    if wishes.aspect:
        width = sqrt(bounds.width * bounds.height * ratio)
        return width, width / ratio
    return None


def _ratio(aspect: str | None) -> float | None:
    if not aspect:
        return None
    width, height = RATIOS.get(aspect) or map(int, aspect.split(":"))
    return width / height


def _fitting(size: Size, bounds: Bounds) -> tuple[int, int]:
    """The largest size of about these proportions that is no larger and allowed: a multiple of 8 each way."""
    (width_min, width_max), (height_min, height_max) = (
        _limits(bounds.schema, side) or (SIDE_STEP, inf) for side in ("width", "height")
    )
    area = sqrt(bounds.pixels_max / (size[0] * size[1]))
    shrunk = min(1.0, area, width_max / size[0], height_max / size[1])
    width = max(_whole(size[0] * shrunk), int(width_min))
    height = max(_whole(size[1] * shrunk), int(height_min))
    while width * height > bounds.pixels_max and max(width, height) > SIDE_STEP:
        width, height = (width - SIDE_STEP, height) if width >= height else (width, height - SIDE_STEP)
    return width, height


def _whole(pixels: float) -> int:
    return int(pixels / SIDE_STEP + 0.5) * SIDE_STEP


def _film(wishes: Wishes, bounds: Bounds, clipped: list[Clipped]) -> dict[str, Any]:
    """Frames and their rate out of length, rate and frames, whichever were said."""
    said = [field for field in FILM if getattr(wishes, field) is not None]
    if _limits(bounds.schema, "frames") is None:
        clipped += [Clipped(field, _told(getattr(wishes, field)), "") for field in said]
        return {}
    if not said:
        return {}
    wished_rate = wishes.fps
    if wishes.frames and wishes.seconds:
        wished_rate = max(1, round(wishes.frames / wishes.seconds))
    fields = _number("fps", wished_rate, bounds.schema, clipped) if wished_rate else {}
    rate = int(fields.get("fps") or bounds.fps or 1)
    frames = wishes.frames or (max(1, round(wishes.seconds * rate)) if wishes.seconds else None)
    return fields | (_frames(frames, rate, wishes, bounds, clipped) if frames else {})


def _frames(frames: int, rate: int, wishes: Wishes, bounds: Bounds, clipped: list[Clipped]) -> dict[str, Any]:
    """As many as the model makes and the plan allows, told the way they were asked for."""
    least, most = _limits(bounds.schema, "frames") or (1, inf)
    if bounds.video_seconds_max is not None:
        most = min(most, max(1, int(bounds.video_seconds_max * rate)))
    granted = int(min(max(frames, least), most))
    if granted != frames and wishes.frames:
        clipped.append(Clipped("frames", _told(frames), _told(granted)))
    elif granted != frames:
        clipped.append(Clipped("seconds", _told(wishes.seconds or 0), _told(round(granted / rate, 1))))
    return {"frames": granted}


def _told(number: float) -> str:
    return f"{number:.0f}" if isinstance(number, int) or number == int(number) else f"{number:g}"
