"""Silk: wide ribbons of colour that flow across the picture, each with light along its upper edge."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sin
from random import Random

from PIL import Image, ImageChops, ImageFilter

from agent.engine.testcard.brush import Pen, Point, fade, gradient, halo
from agent.engine.testcard.colour import Colour, along, mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette

RIBBONS = 9


def ribbons(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    width, height, unit = stage.width, stage.height, stage.unit
    dark = palette.hour == "night"
    stops = [
        palette.base.lit(0.22 if dark else 0.40),
        palette.base,
        mix(palette.base, palette.accent, 0.5).lit(0.66),
        palette.accent.lit(0.72),
        palette.light.lit(0.86),
        mix(palette.light, palette.base, 0.55).lit(0.58),
        palette.base.lit(0.28 if dark else 0.36),
    ]
    yield Layer(gradient(stage.size, (palette.sky[0], palette.sky[1], palette.sky[2])))
    mask = halo(int(unit * 1.5), 2.0, 0.7)
    x, y = width * rng.uniform(0.25, 0.75), height * 0.30
    yield Layer(palette.glow.rgb, mask, (int(x - mask.width / 2), int(y - mask.height / 2)), light=True)
    swing = [(rng.uniform(0.10, 0.17), rng.uniform(0.55, 0.95), rng.uniform(0, 2 * pi)) for _ in range(2)]
    for row in range(RIBBONS):
        t = row / (RIBBONS - 1)
        yield from _ribbon(stage, rng, swing, 0.30 + 0.74 * t, along(stops, t), row)


def _ribbon(
    stage: Stage, rng: Random, swing: list[tuple[float, float, float]], base: float, colour: Colour, row: int
) -> Iterator[Layer]:
    """Falls in shade onto what lies behind it, then its body, then the light on its edge."""
    unit, width, height = stage.unit, stage.width, stage.height
    edge = _edge(stage, rng, swing, base, row)
    top = min(y for _, y in edge) - unit * 0.07
    depth, motion = 0.1 + 0.9 * base, Motion(bob=0.012, sway=0.02, phase=row * 0.21)
    pen = Pen(0, top, width, height + 2)
    pen.polygon([(0, height + 4), *edge, (width, height + 4)])
    mask = pen.mask()
    shade = ImageChops.offset(mask, 0, -int(unit * 0.016)).filter(ImageFilter.BoxBlur(unit * 0.018))
    shade.paste(0, (0, shade.height - int(unit * 0.016), shade.width, shade.height))
    yield Layer(
        colour.lit(0.12).muted(0.5).rgb,
        shade.point([level * 45 // 100 for level in range(256)]),
        pen.at,
        depth=depth,
        motion=motion,
    )
    body = gradient(mask.size, (colour.lighter(0.10), colour, colour.lighter(-0.10), colour.lighter(-0.20)))
    yield Layer(body, mask, pen.at, depth=depth, motion=motion)
    yield Layer(colour.lighter(0.24).rgb, _sheen(mask, unit), pen.at, depth=depth, motion=motion)


def _sheen(mask: Image.Image, unit: float) -> Image.Image:
    """A band of light just inside the edge, and a thin bright rim."""
    inner = ImageChops.subtract(
        mask, ImageChops.offset(mask, 0, int(unit * 0.035)).filter(ImageFilter.BoxBlur(unit * 0.022))
    )
    rim = ImageChops.subtract(mask, ImageChops.offset(mask, 0, max(1, int(unit * 0.003))))
    sheen = ImageChops.lighter(
        inner.point([level * 42 // 100 for level in range(256)]), rim.point([level * 75 // 100 for level in range(256)])
    )
    sheen = ImageChops.multiply(sheen, mask)
    return ImageChops.multiply(sheen, fade(sheen.size, lambda y: 1.0 if y < 0.93 else 0.0))


def _edge(stage: Stage, rng: Random, swing: list[tuple[float, float, float]], base: float, row: int) -> list[Point]:
    """Neighbours share their swing, slowly turned, so that the ribbons run together and apart."""
    ripple, phase = rng.uniform(0.008, 0.02), rng.uniform(0, 2 * pi)
    count = max(24, min(320, stage.width // 3))
    points = []
    for at in range(count + 1):
        s = at / count * stage.width / stage.unit
        y = sum(high * sin(2 * pi * s * rate + start + row * 0.33) for high, rate, start in swing)
        y += ripple * sin(2 * pi * s * 2.3 + phase)
        points.append((at / count * stage.width, base * stage.height + y * stage.unit * 0.55))
    return points
