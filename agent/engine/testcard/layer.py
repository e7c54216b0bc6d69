"""A scene is a stack of layers, painted from the far to the near.

A picture is the stack laid down once; a film lays it down for every frame with each layer moved by its depth
(parallax) and its own motion (`film.py`). So a scene is written once and knows nothing of films.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, ImageChops

from agent.engine.testcard.brush import Size
from agent.engine.testcard.colour import RGB

STRIP_ROWS = 96


class Motion(NamedTuple):
    """What a layer does of its own in a film: `drift` and `rise` from its beginning to its end, the rest in every loop
    of a few seconds. Distances are fractions of the frame's height."""

    drift: float = 0.0
    """Sideways, to the left."""
    rise: float = 0.0
    """Upwards."""
    falls: int = 0
    """Whole times that it falls through its own height, coming in again at the top."""
    bob: float = 0.0
    """Up and down."""
    sway: float = 0.0
    """From side to side."""
    flicker: float = 0.0
    """How much of the opacity comes and goes."""
    cycles: float = 1.0
    """Of bobbing, swaying and flickering in one loop."""
    phase: float = 0.0


STILL = Motion()


class Layer(NamedTuple):
    paint: Image.Image | RGB
    mask: Image.Image | None = None
    """L; absent means everywhere."""
    at: tuple[int, int] = (0, 0)
    light: bool = False
    """Screened on, as light adds to what is behind it, instead of covering it."""
    depth: float = 0.0
    """0 is as far as the sky, 1 as near as the viewer."""
    motion: Motion = STILL


class Stage(NamedTuple):
    """The room a scene is painted in, in pixels."""

    width: int
    height: int

    @property
    def size(self) -> Size:
        return (self.width, self.height)

    @property
    def unit(self) -> float:
        """The measure of things that should look alike in wide and in tall pictures."""
        return min(self.height, self.width * 1.25)


def lay(canvas: Image.Image, layer: Layer) -> None:
    """Paints one layer onto the canvas as a still picture shows it."""
    _put(canvas, layer.paint, layer.mask, layer.at, light=layer.light)


def _put(
    canvas: Image.Image, paint: Image.Image | RGB, mask: Image.Image | None, at: tuple[int, int], *, light: bool
) -> None:
    if light and mask is not None:
        _shine(canvas, paint, mask, at)
    elif mask is not None or isinstance(paint, Image.Image):
        canvas.paste(paint, at, mask)
    else:
        canvas.paste(paint, (0, 0, *canvas.size))


def _shine(canvas: Image.Image, paint: Image.Image | RGB, mask: Image.Image, at: tuple[int, int]) -> None:
    """Screens the paint on, strip by strip: whole-picture copies would cost more memory than the picture."""
    left, right = max(0, -at[0]), min(mask.width, canvas.width - at[0])
    first, last = max(0, -at[1]), min(mask.height, canvas.height - at[1])
    if right <= left:
        return
    for top in range(first, last, STRIP_ROWS):
        part = (left, top, right, min(last, top + STRIP_ROWS))
        strip = mask.crop(part)
        if strip.getbbox() is None:
            continue
        beam = Image.new("RGB", strip.size)
        beam.paste(paint.crop(part) if isinstance(paint, Image.Image) else paint, (0, 0, *strip.size), strip)
        box = (part[0] + at[0], part[1] + at[1], part[2] + at[0], part[3] + at[1])
        canvas.paste(ImageChops.screen(canvas.crop(box), beam), box)
