"""Ridge behind ridge into the haze: peaks, snow peaks, or dunes when the prompt is dry."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from PIL import Image, ImageChops, ImageFilter

from agent.engine.testcard.brush import Pen, Point, clouds, fade, gradient, levels, ridge
from agent.engine.testcard.colour import mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.sky import Sun, birds, rain, sky, snowfall
from agent.engine.testcard.scenes.trees import pines

DUNES = frozenset("desert desserts dune dunes sahara sand canyon mars beach camel".split())
RIDGES = 6


def mountains(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    width, height, unit = stage.width, stage.height, stage.unit
    dry = bool(words & DUNES)
    horizon = height * (0.62 if dry else 0.68)
    place = rng.choice((0.28, 0.36, 0.64, 0.72))
    sun = Sun(width * place, horizon - unit * rng.uniform(0.24, 0.36), unit * rng.uniform(0.05, 0.075))
    yield from sky(stage, palette, rng, sun, horizon)
    for row in range(RIDGES):
        near = row / (RIDGES - 1)
        yield from (_dune if dry else _range)(stage, palette, rng, near, sun)
        if row < RIDGES - 1:
            yield _mist(stage, palette, rng, near, _top(stage, near + 0.12))
    if not dry:
        yield pines(stage, palette.near.rgb, rng, base=1.01, tall=0.17, gap=0.028, depth=1.0, shore=True)
    yield birds(stage, palette, rng, place, 0.42)
    if palette.snow:
        yield snowfall(stage, rng)
    elif palette.storm:
        yield rain(stage, palette, rng)


def _top(stage: Stage, near: float) -> float:
    return stage.height * (0.46 + 0.44 * float(near**1.1))


def _outline(stage: Stage, points: list[Point]) -> list[Point]:
    return [(0, stage.height + 2), *points, (stage.width, stage.height + 2)]


def _range(stage: Stage, palette: Palette, rng: Random, near: float, sun: Sun) -> Iterator[Layer]:
    """A range, with the light of the sun's side on its slopes, and snow on the far and high ones."""
    top, high = _top(stage, near), stage.unit * (0.13 - 0.06 * near)
    scale = stage.width / stage.unit
    points = [(x, top - high * y * 1.1) for x, y in ridge(rng, stage.width, 0.52, (1.5 + 1.6 * near) * scale)]
    peak = min(y for _, y in points)
    bottom = min(stage.height + 2.0, top + stage.height * 0.34)
    pen = Pen(0, peak - 2, stage.width, bottom)
    pen.polygon(_outline(stage, points))
    mask = pen.mask()
    yield Layer(palette.at(0.16 + 0.8 * near).rgb, mask, pen.at, depth=0.1 + 0.8 * near)
    if near < 0.75:
        lit = (
            mix(palette.at(0.1 + 0.6 * near), palette.glow, 0.55) if not palette.snow else palette.sky[2].lighter(0.08)
        )
        yield Layer(
            lit.rgb, _slopes(mask, rng, near, palette.snow, sun.x < stage.width / 2), pen.at, depth=0.1 + 0.8 * near
        )


def _slopes(mask: Image.Image, rng: Random, near: float, snow: bool, from_left: bool) -> Image.Image:
    """Where light or snow lies: relief of the noise, strongest right under the skyline."""
    relief = clouds(rng, mask.size, (9 + 6 * near, 5), 6)
    shift = max(1, mask.height // 40) * (1 if from_left else -1)
    slope = ImageChops.subtract(relief, ImageChops.offset(relief, shift, shift if from_left else -shift), 0.35, 110)
    slope = levels(slope, 0.42, 0.95, 0.95 if snow else 0.5)
    under = ImageChops.subtract(mask, mask.filter(ImageFilter.BoxBlur(1)))
    reach = fade(mask.size, lambda y: max(0.0, 1 - y * (1.5 if snow else 2.0)))
    slope = ImageChops.multiply(ImageChops.multiply(slope, reach), mask)
    return ImageChops.subtract(slope, under)


def _dune(stage: Stage, palette: Palette, rng: Random, near: float, sun: Sun) -> Iterator[Layer]:
    """A smooth crest: the sunny side bright, the lee in shadow, a thin light along the edge."""
    width, unit, depth = stage.width, stage.unit, 0.1 + 0.8 * near
    top, high = stage.height * (0.55 + 0.40 * near**1.3), unit * (0.03 + 0.075 * near)
    points = [(x, top - high * y) for x, y in ridge(rng, width, 0.22, (1.6 + 1.4 * (1 - near)) * width / unit)]
    peak = min(y for _, y in points)
    pen = Pen(0, peak - 2, width, stage.height + 2)
    pen.polygon(_outline(stage, points))
    mask = pen.mask()
    dim = 0.26 if palette.hour == "night" else 0.0
    sand = mix(palette.base, palette.light, 0.35).lit(0.78 - 0.24 * near - dim)
    sand = mix(palette.haze, sand, 0.25 + 0.75 * near)
    yield Layer(
        gradient(mask.size, (sand.lighter(0.05), sand.lighter(-0.05), sand.lighter(-0.14))), mask, pen.at, depth=depth
    )
    shade = Pen(0, peak - 2, width, stage.height + 2)
    for lee in _lees(points, 1 if sun.x < width / 2 else -1):
        shade.polygon(lee, 185)
    soft = ImageChops.multiply(shade.mask().filter(ImageFilter.GaussianBlur(unit * 0.0015)), mask)
    yield Layer(mix(sand, palette.near, 0.55).rgb, soft, pen.at, depth=depth)
    rim = Pen(0, peak - 4, width, stage.height + 2)
    rim.line(points, unit * 0.0025, 150)
    yield Layer(mix(sand, palette.glow, 0.7).lighter(0.06).rgb, rim.mask(), rim.at, depth=depth)


def _lees(points: list[Point], away: int) -> Iterator[list[Point]]:
    """The shaded faces: from each crest down its far side, bounded below by a line that sweeps back to the crest."""
    line = points if away > 0 else points[::-1]
    start = 0
    while start < len(line) - 1:
        end = start
        while end < len(line) - 1 and line[end + 1][1] >= line[end][1]:
            end += 1
        if end - start > 3:
            (x0, y0), (x1, y1) = line[start], line[end]
            sweep = (x0 + (x1 - x0) * 0.10, y1 + (y1 - y0) * 0.9)
            back = [_bend((x1, y1), sweep, (x0, y0), step / 12) for step in range(13)]
            yield [*line[start : end + 1], *back]
        start = max(end, start + 1)


def _bend(a: Point, control: Point, b: Point, t: float) -> Point:
    """A quadratic Bézier curve."""
    u = 1 - t
    x = u * u * a[0] + 2 * u * t * control[0] + t * t * b[0]
    return x, u * u * a[1] + 2 * u * t * control[1] + t * t * b[1]


def _mist(stage: Stage, palette: Palette, rng: Random, near: float, middle: float) -> Layer:
    """What makes distance visible: haze that gathers in every valley."""
    tall = max(8, int(stage.height * 0.26))
    size = (stage.width, tall)
    band = fade(size, lambda y: max(0.0, 1 - abs(2 * y - 1)) ** 1.2)
    mask = ImageChops.multiply(band, levels(clouds(rng, size, (3, 3), 3), -0.4, 0.9, 0.75 * (1 - 0.75 * near)))
    return Layer(
        palette.haze.rgb, mask, (0, int(middle - tall * 0.3)), depth=0.1 + 0.7 * near, motion=Motion(drift=0.02)
    )
