"""Ridge behind ridge into the haze: peaks, snow peaks, or dunes when the prompt is dry."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from PIL import Image, ImageChops, ImageFilter

from agent.engine.testcard.brush import Pen, Point, clouds, fade, levels, ridge
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
    return stage.height * (0.46 + 0.44 * near**1.1)


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
    """A smooth crest: the sunny side bright, the lee in shadow, wind ripples on the nearest."""
    width, unit, depth = stage.width, stage.unit, 0.1 + 0.8 * near
    top, high = stage.height * (0.56 + 0.38 * near**1.2), unit * (0.035 + 0.055 * near)
    scale = width / unit
    points = [(x, top - high * y) for x, y in ridge(rng, width, 0.28, (1.1 + 0.5 * (1 - near)) * scale)]
    peak = min(y for _, y in points)
    pen = Pen(0, peak - 2, width, stage.height + 2)
    pen.polygon(_outline(stage, points))
    mask = pen.mask()
    sand = mix(palette.base, palette.light, 0.35).lit(0.74 - 0.30 * near - (0.22 if palette.hour == "night" else 0.0))
    sand = mix(palette.haze, sand, 0.25 + 0.75 * near)
    yield Layer(sand.rgb, mask, pen.at, depth=depth)
    lee = clouds(rng, mask.size, (2.2 * scale, 1.4), 3)
    lee = ImageChops.multiply(levels(lee, 0.42, 0.60, 0.72), mask)
    yield Layer(mix(sand, palette.near, 0.62).rgb, lee, pen.at, depth=depth)
    rim = Pen(0, peak - 4, width, stage.height + 2)
    rim.line(points, unit * 0.003, 170)
    yield Layer(mix(sand, palette.glow, 0.7).lighter(0.05).rgb, rim.mask(), rim.at, depth=depth)


def _mist(stage: Stage, palette: Palette, rng: Random, near: float, middle: float) -> Layer:
    """What makes distance visible: haze that gathers in every valley."""
    tall = max(8, int(stage.height * 0.26))
    size = (stage.width, tall)
    band = fade(size, lambda y: max(0.0, 1 - abs(2 * y - 1)) ** 1.2)
    mask = ImageChops.multiply(band, levels(clouds(rng, size, (3, 3), 3), -0.4, 0.9, 0.75 * (1 - 0.75 * near)))
    return Layer(
        palette.haze.rgb, mask, (0, int(middle - tall * 0.3)), depth=0.1 + 0.7 * near, motion=Motion(drift=0.02)
    )
