"""A scene is a stack of layers, painted from the far to the near.

A picture is the stack laid down once; a film lays it down for every frame with each layer moved by its depth
(parallax) and its own motion. So a scene is written once and knows nothing of films, except that its stage may
be wider than the frame.
"""

from __future__ import annotations

from math import pi, sin
from typing import NamedTuple

from PIL import Image, ImageChops

from agent.engine.testcard.brush import Size
from agent.engine.testcard.colour import RGB

STRIP_ROWS = 96


class Motion(NamedTuple):
    """What a layer does of its own in a film, in fractions of the stage's height over the whole film."""

    drift: float = 0.0
    """Sideways, to the left."""
    rise: float = 0.0
    """Upwards."""
    bob: float = 0.0
    sway: float = 0.0
    flicker: float = 0.0
    """How much of the opacity comes and goes."""
    cycles: float = 1.0
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


def lay_at(canvas: Image.Image, layer: Layer, time: float, margin: int) -> None:
    """Paints one layer as a film shows it at `time` (0..1); the stage is wider by `margin` on either side."""
    motion, height = layer.motion, canvas.height
    turn = sin(2 * pi * (motion.cycles * time + motion.phase))
    camera = -sin((time - 0.5) * pi) * margin * layer.depth
    x = layer.at[0] - margin + camera + (motion.sway * turn - motion.drift * (time - 0.5)) * height
    y = layer.at[1] + (motion.bob * turn - motion.rise * (time - 0.5)) * height
    left, top = int(x // 1), int(y // 1)
    mask = layer.mask
    if mask is not None and (x - left or y - top):
        # The fraction of a pixel: without it slow layers move in jerks.
        mask = mask.transform(
            mask.size, Image.Transform.AFFINE, (1, 0, left - x, 0, 1, top - y), Image.Resampling.BILINEAR
        )
    if mask is not None and motion.flicker:
        opacity = 1 - motion.flicker * (0.5 + 0.5 * turn)
        mask = mask.point([round(level * opacity) for level in range(256)])
    _put(canvas, layer.paint, mask, (left, top), light=layer.light)


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
