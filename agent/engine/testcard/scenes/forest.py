"""A clearing between pines: rows of trees that sink into mist, shafts of light, fireflies at night."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, sin
from random import Random

from PIL import ImageChops, ImageFilter

from agent.engine.testcard.brush import Pen, clouds, fade, gradient, halo, levels, ridge
from agent.engine.testcard.colour import mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.sky import rain, snowfall, stars
from agent.engine.testcard.scenes.trees import pines

ROWS = 5


def forest(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    width, height, unit = stage.width, stage.height, stage.unit
    x, y = width * rng.uniform(0.38, 0.62), height * 0.44
    top, middle, low = palette.sky
    yield Layer(gradient(stage.size, (top, middle, low, palette.haze)))
    if palette.hour == "night":
        yield from stars(stage, palette, rng, height * 0.6)
    for radius, strength in ((0.75, 0.7), (0.30, 0.7), (0.10, 0.7)):
        mask = halo(int(unit * radius * 2), 2.2, strength)
        yield Layer(palette.glow.rgb, mask, (int(x - mask.width / 2), int(y - mask.height / 2)), light=True)
    for row in range(ROWS):
        near = row / (ROWS - 1)
        tone = mix(
            mix(palette.haze, palette.base, 0.45).lit(0.72 - 0.2 * (palette.hour != "day")), palette.near, near**0.8
        )
        yield pines(
            stage,
            tone.rgb,
            rng,
            base=0.60 + 0.27 * near,
            tall=0.20 + 0.30 * near,
            gap=0.030 + 0.075 * near,
            depth=0.1 + 0.7 * near,
            shore=near > 0.2,
        )
        if row < ROWS - 1:
            yield _mist(stage, palette, rng, 0.60 + 0.27 * near, near)
        if row == 2:
            yield _shafts(stage, palette, rng, x, y - unit * 0.25)
    yield _trunks(stage, palette, rng)
    yield _grass(stage, palette, rng)
    if palette.snow:
        yield snowfall(stage, rng)
    elif palette.storm:
        yield rain(stage, palette, rng)
    else:
        yield from _fireflies(stage, palette, rng)


def _mist(stage: Stage, palette: Palette, rng: Random, base: float, near: float) -> Layer:
    tall = max(8, int(stage.height * 0.30))
    size = (stage.width, tall)
    soft = levels(clouds(rng, size, (4, 3), 4), -0.3, 0.95, 0.85 * (1 - 0.7 * near))
    mask = ImageChops.multiply(fade(size, lambda y: max(0.0, 1 - abs(2 * y - 1)) ** 1.1), soft)
    colour = mix(palette.haze, palette.glow, 0.3)
    at = (0, int(stage.height * base - tall * 0.55))
    return Layer(colour.rgb, mask, at, depth=0.1 + 0.7 * near, motion=Motion(drift=0.03))


def _shafts(stage: Stage, palette: Palette, rng: Random, x: float, y: float) -> Layer:
    """Light that falls through the crowns from one point behind them."""
    pen = Pen(0, 0, stage.width, stage.height)
    for _ in range(9):
        angle, half = rng.uniform(0.55, 2.6), rng.uniform(0.012, 0.04)
        far = stage.unit * rng.uniform(0.7, 1.2)
        edges = [(x + cos(angle + turn) * far, y + sin(angle + turn) * far) for turn in (-half, half)]
        pen.polygon([(x, y), *edges], rng.randint(22, 60))
    mask = pen.mask().filter(ImageFilter.GaussianBlur(stage.unit * 0.012))
    mask = ImageChops.multiply(mask, fade(stage.size, lambda y: max(0.0, 1 - y * 1.05)))
    return Layer(palette.glow.rgb, mask, light=True, depth=0.4, motion=Motion(flicker=0.35))


def _trunks(stage: Stage, palette: Palette, rng: Random) -> Layer:
    """Big trees that frame the view at both sides."""
    unit, height = stage.unit, stage.height
    pen = Pen(0, 0, stage.width, height + 2)
    for place in (0.015, 0.14, 0.88, 0.985):
        x, wide = place * stage.width, unit * rng.uniform(0.016, 0.034)
        lean = rng.uniform(-0.02, 0.02) * unit
        pen.polygon(
            [(x - wide, height + 2), (x - wide * 0.55 + lean, 0), (x + wide * 0.55 + lean, 0), (x + wide, height + 2)]
        )
        pen.polygon(
            [
                (x - wide * 2.2, height + 2),
                (x - wide * 0.9, height * 0.88),
                (x + wide * 0.9, height * 0.88),
                (x + wide * 2.2, height + 2),
            ]
        )
        for _ in range(5):
            y, side, long = height * rng.uniform(0.02, 0.6), rng.choice((-1, 1)), unit * rng.uniform(0.06, 0.14)
            bend = [
                (x, y),
                (x + side * long * 0.5, y - long * 0.1),
                (x + side * long, y - long * rng.uniform(0.1, 0.5)),
            ]
            pen.line(bend, unit * 0.006)
            pen.line([bend[1], (bend[1][0] + side * long * 0.3, y + long * 0.2)], unit * 0.003)
    return Layer(palette.near.lighter(-0.05).rgb, pen.mask(), depth=1.0)


def _grass(stage: Stage, palette: Palette, rng: Random) -> Layer:
    unit = stage.unit
    ground = stage.height * 0.93
    pen = Pen(0, ground - unit * 0.08, stage.width, stage.height + 2)
    floor = [(x, ground - unit * 0.012 * y) for x, y in ridge(rng, stage.width, 0.5, 3)]
    pen.polygon([(0, stage.height + 4), *floor, (stage.width, stage.height + 4)])
    for _ in range(int(260 * stage.width / unit)):
        x, long = rng.uniform(0, stage.width), unit * rng.uniform(0.012, 0.05)
        tip = (x + rng.uniform(-0.5, 0.5) * long, ground - long)
        pen.polygon([(x - unit * 0.0022, ground + unit * 0.02), tip, (x + unit * 0.0022, ground + unit * 0.02)])
    return Layer(palette.near.lighter(-0.03).rgb, pen.mask(), pen.at, depth=0.95)


def _fireflies(stage: Stage, palette: Palette, rng: Random) -> Iterator[Layer]:
    """Sparks with a halo, two sets glowing in turn; pollen in the sun by day."""
    for phase in (0.0, 0.5):
        pen = Pen(0, 0, stage.width, stage.height)
        for _ in range(16):
            x, y = stage.width * rng.gauss(0.5, 0.22), stage.height * rng.uniform(0.5, 0.9)
            pen.disc(x, y, stage.unit * rng.uniform(0.0015, 0.0035), rng.randint(150, 255))
        sparks = pen.mask()
        soft = sparks.filter(ImageFilter.GaussianBlur(stage.unit * 0.007)).point(
            [min(255, level * 7) for level in range(256)]
        )
        motion = Motion(flicker=0.8, rise=0.02, cycles=1.5, phase=phase)
        yield Layer(palette.light.rgb, ImageChops.lighter(sparks, soft), light=True, depth=0.6, motion=motion)
