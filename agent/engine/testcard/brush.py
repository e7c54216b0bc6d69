"""The painter's tools: gradients, soft light, noise and anti-aliased shapes, on Pillow alone.

Shapes are drawn at twice the size into one-byte masks and reduced, which costs a quarter of the memory of
supersampled colour. Noise comes from the seeded generator's bytes (Pillow's own noise is not repeatable).
Everything is a pure function of its arguments and the generator's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, cos, floor, pi
from random import Random

from PIL import Image, ImageDraw, ImageOps

from agent.engine.testcard.colour import Colour, along

Size = tuple[int, int]
Point = tuple[float, float]

SUPERSAMPLING = 2


def gradient(size: Size, stops: Sequence[Colour]) -> Image.Image:
    """Top to bottom through the stops."""
    width, height = size
    rows = bytes(channel for y in range(height) for channel in along(stops, y / max(1, height - 1)).rgb)
    return Image.frombytes("RGB", (1, height), rows).resize((width, height), Image.Resampling.NEAREST)


def fade(size: Size, curve: Callable[[float], float]) -> Image.Image:
    """A mask that varies from top (0) to bottom (1) by `curve`, whose values are 0..1."""
    width, height = size
    rows = bytes(_byte(curve(y / max(1, height - 1))) for y in range(height))
    return Image.frombytes("L", (1, height), rows).resize((width, height), Image.Resampling.NEAREST)


def halo(diameter: int, power: float = 2.0, strength: float = 1.0) -> Image.Image:
    """A round soft light as a mask: `strength` in the middle, nothing at the rim."""
    table = [_byte(strength * max(0.0, 1 - level / 180) ** power) for level in range(256)]
    small = Image.radial_gradient("L").point(table)
    return small.resize((max(2, diameter),) * 2, Image.Resampling.BICUBIC)


def clouds(rng: Random, size: Size, cells: tuple[float, float], octaves: int = 5) -> Image.Image:
    """Fractal value noise as a mask using all of 0..255; `cells` is the coarsest grid."""
    small = (max(8, size[0] // 2), max(8, size[1] // 2))
    total = _noise(rng, small, cells)
    for octave in range(1, octaves):
        finer = (cells[0] * 2**octave, cells[1] * 2**octave)
        if finer[0] > small[0] or finer[1] > small[1]:
            break
        # A running mean whose weights fall by half with every octave.
        total = Image.blend(total, _noise(rng, small, finer), 0.5**octave / (2 - 0.5**octave))
    return ImageOps.autocontrast(total, cutoff=1).resize(size, Image.Resampling.BICUBIC)


def levels(mask: Image.Image, low: float, high: float, peak: float = 1.0) -> Image.Image:
    """Stretches `low`..`high` (0..1) to 0..`peak`, smoothly at both ends."""
    span = max(1e-6, high - low)
    table = []
    for level in range(256):
        t = min(1.0, max(0.0, (level / 255 - low) / span))
        table.append(_byte(peak * t * t * (3 - 2 * t)))
    return mask.point(table)


def ridge(rng: Random, width: float, roughness: float = 0.5, waves: float = 2.0) -> list[Point]:
    """A skyline from x = 0 to `width`, heights about -1..1, ever finer in its detail."""
    count = 1 + max(24, min(400, int(width / 3)))
    heights = [0.0] * count
    amplitude, frequency = 1.0, waves
    while frequency < count / 2 and amplitude > 0.004:
        knots = [rng.uniform(-1, 1) for _ in range(int(frequency) + 2)]
        for at in range(count):
            heights[at] += amplitude * _smooth(knots, at / (count - 1) * frequency)
        amplitude *= roughness
        frequency *= 2.1
    return [(at / (count - 1) * width, height) for at, height in enumerate(heights)]


def _smooth(knots: list[float], place: float) -> float:
    at = min(int(place), len(knots) - 2)
    t = (1 - cos((place - at) * pi)) / 2
    return knots[at] + (knots[at + 1] - knots[at]) * t


def grain(rng: Random, size: Size, amount: float) -> Image.Image:
    """Film grain as a picture around mid-grey: it hides the bands of slow gradients."""
    table = [_byte(0.5 + (level / 255 - 0.5) * amount) for level in range(256)]
    return Image.frombytes("L", size, rng.randbytes(size[0] * size[1])).point(table)


def _noise(rng: Random, size: Size, cells: tuple[float, float]) -> Image.Image:
    columns, rows = max(2, round(cells[0])), max(2, round(cells[1]))
    grid = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
    return grid.resize(size, Image.Resampling.BICUBIC)


def _byte(value: float) -> int:
    return round(min(1.0, max(0.0, value)) * 255)


class Pen:
    """Draws shapes in scene coordinates into the mask of one region of the scene."""

    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        self.at = (floor(left), floor(top))
        self._size = (max(1, ceil(right) - self.at[0]), max(1, ceil(bottom) - self.at[1]))
        self._image = Image.new("L", (self._size[0] * SUPERSAMPLING, self._size[1] * SUPERSAMPLING))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[Point], tone: int = 255) -> None:
        self._draw.polygon([self._here(point) for point in points], fill=tone)

    def rectangle(self, left: float, top: float, right: float, bottom: float, tone: int = 255) -> None:
        (x0, y0), (x1, y1) = self._here((left, top)), self._here((right, bottom))
        if x1 >= x0 and y1 >= y0:
            self._draw.rectangle((x0, y0, x1, y1), fill=tone)

    def disc(self, x: float, y: float, radius: float, tone: int = 255, squash: float = 1.0) -> None:
        (x0, y0), (x1, y1) = (
            self._here((x - radius, y - radius * squash)),
            self._here((x + radius, y + radius * squash)),
        )
        self._draw.ellipse((x0, y0, x1, y1), fill=tone)

    def line(self, points: Sequence[Point], width: float, tone: int = 255) -> None:
        thickness = max(1, round(width * SUPERSAMPLING))
        self._draw.line([self._here(point) for point in points], fill=tone, width=thickness, joint="curve")

    def mask(self) -> Image.Image:
        """What was drawn, at the scene's own scale. The pen is empty afterwards."""
        image, self._image = self._image, Image.new("L", (1, 1))
        return image.reduce(SUPERSAMPLING)

    def _here(self, point: Point) -> Point:
        return (point[0] - self.at[0]) * SUPERSAMPLING, (point[1] - self.at[1]) * SUPERSAMPLING
