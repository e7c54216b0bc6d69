"""The house speciality: a mosaic. A small cartoon of the subject is laid in hand-cut tiles (tesserae).

The cartoon is an emblem of what the prompt is about (cat, bird, fish, flower, heart, face, tree), or else a sun;
rings of tiles run around it as Roman setters laid them.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, hypot, pi, sin
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from agent.engine.testcard.brush import Pen, Point, clouds, halo, levels
from agent.engine.testcard.colour import RGB, along, mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.emblems import emblem

CARTOON_SIDE = 160
WALL = 0.6
"""How near it is: in a film the wall passes by while the glare on it stays."""


def mosaic(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    tile = stage.unit / 58
    cartoon = _cartoon(stage, palette, rng, words)
    yield Layer(palette.near.lit(0.16).rgb)
    colours = Image.new("RGB", stage.size, palette.near.lit(0.16).rgb)
    draw = ImageDraw.Draw(colours)
    faces, gold = Pen(0, 0, stage.width, stage.height), []
    for corners, centre in _tiles(stage, rng, tile):
        tone = _sample(cartoon, stage, centre, rng)
        draw.polygon(_grown(corners, centre, 1.12), fill=tone)
        faces.polygon(_grown(corners, centre, 0.90))
        if rng.random() < 0.03:
            gold.append(_grown(corners, centre, 0.90))
    mask = faces.mask()
    yield Layer(colours, mask, depth=WALL)
    del colours, draw
    pen = Pen(0, 0, stage.width, stage.height)
    for leaf in gold:
        pen.polygon(leaf, rng.randint(40, 130))
    yield Layer(palette.glow.lit(0.9).rgb, pen.mask(), depth=WALL, motion=Motion(flicker=0.7, cycles=1.5))
    yield from _bevel(stage, palette, mask, rng)


def _bevel(stage: Stage, palette: Palette, mask: Image.Image, rng: Random) -> Iterator[Layer]:
    """Light from the upper left on every tile, and a sheen across the wall."""
    step = max(1, round(stage.unit / 580))
    light = ImageChops.multiply(ImageChops.subtract(mask, ImageChops.offset(mask, step, step)), mask)
    shade = ImageChops.multiply(ImageChops.subtract(mask, ImageChops.offset(mask, -step, -step)), mask)
    yield Layer((255, 255, 250), light.point([level * 34 // 100 for level in range(256)]), light=True, depth=WALL)
    yield Layer((0, 0, 0), shade.point([level * 38 // 100 for level in range(256)]), depth=WALL)
    patina = levels(clouds(rng, stage.size, (3, 3), 5), 0.35, 1.0, 0.30)
    yield Layer(palette.near.lit(0.14).rgb, patina, depth=WALL)
    glare = halo(int(stage.unit * 1.7), 1.6, 0.34)
    at = (int(stage.width * 0.30 - glare.width / 2), int(stage.height * 0.16 - glare.height / 2))
    yield Layer(palette.glow.rgb, glare, at, light=True, motion=Motion(drift=-0.6))


def _cartoon(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Image.Image:
    """The picture that the tiles imitate: rings of colour around the emblem."""
    scale = CARTOON_SIDE / max(stage.size)
    size = (max(8, int(stage.width * scale)), max(8, int(stage.height * scale)))
    unit = min(size[1], size[0] * 1.25)
    x, y = size[0] / 2, size[1] * 0.44
    dark = palette.hour == "night"
    rings = [palette.light.lit(0.90), palette.light.lit(0.80), mix(palette.light, palette.base, 0.5).lit(0.72)]
    rings += [palette.base.lit(0.62), palette.base.lit(0.52), palette.accent.lit(0.60), palette.base.lit(0.40)]
    rings += [palette.base.lit(0.26 if dark else 0.34), palette.base.lit(0.20 if dark else 0.30)]
    cartoon = Image.new("RGB", size)
    pixels = bytearray()
    for row in range(size[1]):
        for column in range(size[0]):
            far = hypot(column - x, row - y) / unit
            pixels += bytes(along(rings, min(1.0, far * 1.25)).rgb)
    cartoon.frombytes(bytes(pixels))
    emblem(cartoon, palette, rng, words, (x, y, unit * 0.38))
    return cartoon.filter(ImageFilter.GaussianBlur(0.4))


def _tiles(stage: Stage, rng: Random, tile: float) -> Iterator[tuple[list[Point], Point]]:
    """Quadrilaterals in rings around the emblem, row by row until the corners are filled."""
    x, y = stage.width / 2, stage.height * 0.44
    reach = hypot(max(x, stage.width - x), max(y, stage.height - y)) + tile
    radius = 0.0
    while radius < reach:
        middle = radius + tile / 2
        count = max(5, round(2 * pi * middle / (tile * rng.uniform(0.95, 1.15))))
        start = rng.uniform(0, 2 * pi)
        for at in range(count):
            a, b = start + at / count * 2 * pi, start + (at + 1) / count * 2 * pi
            centre = (x + cos((a + b) / 2) * middle, y + sin((a + b) / 2) * middle)
            if -tile < centre[0] < stage.width + tile and -tile < centre[1] < stage.height + tile:
                yield _cut(rng, x, y, (a, b), (radius, radius + tile), tile * 0.07), centre
        radius += tile


def _cut(
    rng: Random, x: float, y: float, turn: tuple[float, float], radii: tuple[float, float], uneven: float
) -> list[Point]:
    corners = ((turn[0], radii[0]), (turn[1], radii[0]), (turn[1], radii[1]), (turn[0], radii[1]))
    return [
        (x + cos(angle) * far + rng.uniform(-uneven, uneven), y + sin(angle) * far + rng.uniform(-uneven, uneven))
        for angle, far in corners
    ]


def _grown(corners: list[Point], centre: Point, factor: float) -> list[Point]:
    return [(centre[0] + (x - centre[0]) * factor, centre[1] + (y - centre[1]) * factor) for x, y in corners]


def _sample(cartoon: Image.Image, stage: Stage, centre: Point, rng: Random) -> RGB:
    """The cartoon's colour under a tile, with the small differences that stones have."""
    column = min(cartoon.width - 1, max(0, int(centre[0] / stage.width * cartoon.width)))
    row = min(cartoon.height - 1, max(0, int(centre[1] / stage.height * cartoon.height)))
    pixel = cartoon.getpixel((column, row))
    assert isinstance(pixel, tuple)
    factor = rng.uniform(0.84, 1.14)
    red, green, blue = (min(255, int(channel * factor)) for channel in pixel[:3])
    return red, green, blue
