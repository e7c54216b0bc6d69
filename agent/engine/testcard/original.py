"""The picture that an order starts from, cut to the size of the order or enlarged to it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from agent.engine import input_path
from agent.engine.testcard.brush import Size
from control_plane.wire.job import JobSpec

GROUND = (128, 128, 128)
"""Under what is transparent."""
STRENGTH_OF_PICTURE, STRENGTH_OF_FILM = 0.6, 1.0
"""Where the order leaves it open."""


def original(spec: JobSpec, folder: Path) -> Image.Image | None:
    """None when the order starts from nothing. The sides of what is enlarged are those of the order already."""
    path = input_path(spec, folder)
    if path is None:
        return None
    with Image.open(path) as opened:
        picture = opened.convert("RGBA") if opened.has_transparency_data else opened.convert("RGB")
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, GROUND), picture).convert("RGB")
    size: Size = (spec.width, spec.height)
    if spec.upscale is not None:
        return picture.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def painted_over(start: Image.Image, canvas: Image.Image, strength: float | None) -> Image.Image:
    """A picture from a picture: at 0 the start shows through wholly, at 1 not at all."""
    return Image.blend(start, canvas, STRENGTH_OF_PICTURE if strength is None else strength)


def left_behind(start: Image.Image, canvas: Image.Image, strength: float | None, time: float) -> Image.Image:
    """A film from a picture: begins with it, as closely as the strength says, and has left it behind at `time` 1."""
    closeness = STRENGTH_OF_FILM if strength is None else strength
    return Image.blend(canvas, start, closeness * (1.0 - time))
