"""Waves to the horizon; a lighthouse on its rock, or a sailing boat when the prompt has one."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin
from random import Random

from PIL import ImageFilter

from agent.engine.testcard.brush import Pen, Point, clouds, gradient, halo, levels, ridge
from agent.engine.testcard.colour import Colour, mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.sky import Sun, birds, rain, sky

BOATS = frozenset("boat boats ship ships sail sailing sailboat yacht regatta schooner pirate".split())
ROWS = 13
HORIZON = 0.56


def sea(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    width, height, unit = stage.width, stage.height, stage.unit
    horizon = HORIZON * height
    side = rng.choice((-1, 1))
    sun = Sun(width * (0.5 - side * rng.uniform(0.16, 0.26)), horizon - unit * rng.uniform(0.1, 0.2), unit * 0.042)
    rough = 2.3 if palette.storm else 1.0
    yield from sky(stage, palette, rng, sun, horizon)
    yield _far_coast(stage, palette, rng)
    yield Layer(
        gradient((width, height - int(horizon)), (water(palette, 0.0), water(palette, 0.5), water(palette, 1.0))),
        at=(0, int(horizon)),
    )
    yield _glitter(stage, palette, rng, sun)
    boat = bool(words & BOATS)
    for row in range(ROWS):
        yield from _wave(stage, palette, rng, row, rough)
        if row == 2 and not boat:
            yield from _lighthouse(stage, palette, rng, side)
        if row == 4 and boat:
            yield from _boat(stage, palette, rng, side)
    yield birds(stage, palette, rng, 0.5 - side * 0.06, 0.3)
    if palette.storm:
        yield rain(stage, palette, rng)


def water(palette: Palette, nearness: float) -> Colour:
    """The sea's own colour: the horizon's far away, dark and saturated close by."""
    far = mix(palette.sky[2], palette.base, 0.45).lit(0.40 if palette.hour == "night" else 0.62)
    deep = Colour(0.23 if palette.hour != "day" else 0.34, min(0.09, palette.base.chroma), palette.base.hue)
    return mix(far, deep, nearness**0.7)


def _far_coast(stage: Stage, palette: Palette, rng: Random) -> Layer:
    horizon = HORIZON * stage.height
    pen = Pen(0, horizon - 0.06 * stage.height, stage.width, horizon + 1)
    line = ridge(rng, stage.width, 0.45, 3)
    points = [(x, horizon + 2 - stage.unit * (0.012 + 0.013 * y)) for x, y in line]
    pen.polygon([(0, horizon + 2), *points, (stage.width, horizon + 2)])
    return Layer(palette.at(0.28).rgb, pen.mask(), pen.at, depth=0.08)


def _glitter(stage: Stage, palette: Palette, rng: Random, sun: Sun) -> Layer:
    """The sun's road on the water: dashes that widen and spread towards the viewer."""
    horizon = HORIZON * stage.height
    pen = Pen(0, horizon, stage.width, stage.height)
    for _ in range(420):
        near = rng.random() ** 1.4
        y = horizon + near * (stage.height - horizon) * 0.9 + 1
        x = sun.x + rng.gauss(0, 1) * stage.unit * (0.022 + 0.10 * near)
        length = stage.unit * (0.006 + 0.030 * near) * rng.uniform(0.4, 1.2)
        pen.line([(x - length, y), (x + length, y)], stage.unit * (0.0012 + 0.0022 * near), rng.randint(60, 215))
    return Layer(palette.glow.rgb, pen.mask(), pen.at, light=True, motion=Motion(flicker=0.25, cycles=3, sway=0.003))


def _wave(stage: Stage, palette: Palette, rng: Random, row: int, rough: float) -> Iterator[Layer]:
    """One crest line with the water under it, and the light along its back."""
    width, height = stage.width, stage.height
    near = (row + 1) / ROWS
    top = HORIZON * height + (height - HORIZON * height) * near**1.7 * 0.93
    swell = stage.unit * rough * (0.0016 + 0.015 * near**1.4)
    crest = _crest(rng, width, top, swell, stage.unit * (0.05 + 0.34 * near))
    bottom = height * 1.02 if row == ROWS - 1 else min(height * 1.02, top + (height - top) * 0.4 + swell * 3)
    depth, motion = 0.2 + 0.8 * near, Motion(bob=0.004 * near * rough, sway=0.012 * near, phase=row * 0.37)
    pen = Pen(0, top - swell * 2.2, width, bottom)
    pen.polygon([(0, bottom + 2), *crest, (width, bottom + 2)])
    tint = rng.uniform(-0.025, 0.025)
    yield Layer(water(palette, near).lighter(tint).rgb, pen.mask(), pen.at, depth=depth, motion=motion)
    pen = Pen(0, top - swell * 2.2, width, top + swell * 2.5)
    for at in range(0, len(crest) - 3, 3):
        lean = max(0.0, crest[at][1] - crest[at + 3][1]) / max(0.5, swell)
        tone = int(min(1.0, 0.2 + lean * 1.6) * rng.uniform(0.3, 1.0) * 110)
        pen.line(crest[at : at + 4], stage.unit * (0.0011 + 0.0028 * near * rough), tone)
        if rough > 1 and lean > 0.12 and rng.random() < 0.75:
            _spray(pen, rng, crest[at], stage.unit * (0.002 + 0.012 * near))
    foam = mix(palette.sky[2], water(palette, near), 0.2).lighter(0.06)
    yield Layer(foam.rgb, pen.mask(), pen.at, depth=depth, motion=motion)


def _spray(pen: Pen, rng: Random, crest: Point, reach: float) -> None:
    """The white of a breaking crest, torn off down its lee side."""
    for _ in range(5):
        x, y = crest[0] + rng.gauss(0, 1) * reach * 1.5, crest[1] + rng.random() ** 2 * reach * 1.4
        pen.disc(x, y, reach * rng.uniform(0.06, 0.22), rng.randint(60, 190), squash=0.6)


def _crest(rng: Random, width: float, top: float, swell: float, length: float) -> list[Point]:
    """Two swells and a ripple, the main one sharpened to a crest as real waves are."""
    phases = [rng.uniform(0, 2 * pi) for _ in range(3)]
    points = []
    count = max(24, min(420, int(width / 2.5)))
    for at in range(count + 1):
        x = at / count * width
        main = 1 - abs(sin(pi * x / length + phases[0])) * 2
        y = 0.55 * main + 0.5 * sin(2 * pi * x / (length * 2.7) + phases[1]) + 0.18 * sin(9 * x / length + phases[2])
        points.append((x, top + swell * y * -1.0))
    return points


def _lighthouse(stage: Stage, palette: Palette, rng: Random, side: int) -> Iterator[Layer]:
    unit, depth = stage.unit, 0.4
    x, ground = stage.width * (0.5 + side * 0.22), HORIZON * stage.height - unit * 0.028
    tall, foot, head = unit * 0.33, unit * 0.033, unit * 0.021
    lamp = ground - tall * 1.06
    yield from _beams(stage, palette, x, lamp, side)
    yield from _rock(stage, palette, rng, x, ground, side)
    pen = Pen(x - foot * 2, lamp - unit * 0.06, x + foot * 2, ground + 4)
    pen.polygon([(x - foot, ground + 3), (x - head, ground - tall), (x + head, ground - tall), (x + foot, ground + 3)])
    tower = mix(palette.sky[2], Colour(0.9, 0.02, palette.light.hue), 0.5)
    yield Layer(tower.lit(0.86 if palette.hour == "day" else 0.74).rgb, pen.mask(), pen.at, depth=depth)
    pen = Pen(x - foot * 2, lamp - unit * 0.06, x + foot * 2, ground + 4)
    for band in (0.08, 0.40, 0.72):
        low, high = foot + (head - foot) * band, foot + (head - foot) * (band + 0.16)
        y0, y1 = ground - tall * band, ground - tall * (band + 0.16)
        pen.polygon([(x - low, y0), (x - high, y1), (x + high, y1), (x + low, y0)])
    yield Layer(palette.base.lit(0.44).rgb, pen.mask(), pen.at, depth=depth)
    yield from _lantern(palette, x, ground, lamp, tall, foot, head, unit, depth, side)


def _lantern(
    palette: Palette,
    x: float,
    ground: float,
    lamp: float,
    tall: float,
    foot: float,
    head: float,
    unit: float,
    depth: float,
    side: int,
) -> Iterator[Layer]:
    """Shadow side, gallery, cap, and the light itself."""
    dark = palette.at(0.92)
    pen = Pen(x - foot * 2, lamp - unit * 0.06, x + foot * 2, ground + 4)
    pen.polygon(
        [
            (x + side * foot * 0.15, ground + 3),
            (x + side * head * 0.15, ground - tall),
            (x + side * head, ground - tall),
            (x + side * foot, ground + 3),
        ],
        tone=95,
    )
    pen.rectangle(x - head * 1.55, ground - tall - unit * 0.006, x + head * 1.55, ground - tall)
    for post in (-1.45, -0.75, 0.75, 1.45):
        pen.line([(x + head * post, ground - tall), (x + head * post, ground - tall - unit * 0.02)], unit * 0.0016)
    pen.line(
        [(x - head * 1.5, ground - tall - unit * 0.02), (x + head * 1.5, ground - tall - unit * 0.02)], unit * 0.0016
    )
    roof = lamp - unit * 0.018
    pen.polygon([(x - head * 0.95, roof), (x, roof - unit * 0.024), (x + head * 0.95, roof)])
    pen.line([(x, roof - unit * 0.02), (x, roof - unit * 0.036)], unit * 0.002)
    for band in (0.3, 0.62):
        pen.rectangle(x - unit * 0.003, ground - tall * band - unit * 0.012, x + unit * 0.003, ground - tall * band)
    yield Layer(dark.rgb, pen.mask(), pen.at, depth=depth)
    pen = Pen(x - foot * 2, lamp - unit * 0.06, x + foot * 2, ground + 4)
    pen.rectangle(x - head * 0.62, roof + unit * 0.002, x + head * 0.62, ground - tall - unit * 0.006)
    yield Layer(palette.light.lit(0.97).rgb, pen.mask(), pen.at, depth=depth)
    for radius, strength in ((0.30, 0.55), (0.09, 0.9)):
        mask = halo(int(unit * radius * 2), 2.4, strength)
        at = (int(x - mask.width / 2), int(lamp - mask.height / 2))
        yield Layer(palette.glow.rgb, mask, at, light=True, depth=depth, motion=Motion(flicker=0.3, cycles=2))


def _beams(stage: Stage, palette: Palette, x: float, lamp: float, side: int) -> Iterator[Layer]:
    """Two wedges of light that fade with distance; in a film they come and go in turn."""
    strength = 60 if palette.hour == "day" else 125
    for angle, phase in ((-0.06, 0.25), (pi + 0.10, 0.75)):
        reach, half = stage.width * 0.75, 0.062
        pen = Pen(0, 0, stage.width, HORIZON * stage.height * 1.1)
        for part in range(14):
            far = reach * (1 - part / 14)
            edges = [(x + cos(angle + turn) * far, lamp + sin(angle + turn) * far) for turn in (-half, half)]
            pen.polygon([(x, lamp), *edges], tone=int(strength * ((part + 1) / 14) ** 1.8))
        mask = pen.mask().filter(ImageFilter.GaussianBlur(stage.unit * 0.006))
        yield Layer(palette.glow.rgb, mask, light=True, depth=0.4, motion=Motion(flicker=0.75, cycles=1, phase=phase))


def _rock(stage: Stage, palette: Palette, rng: Random, x: float, ground: float, side: int) -> Iterator[Layer]:
    """A headland that runs out of the frame behind the tower and breaks off before it."""
    unit, base = stage.unit, HORIZON * stage.height + stage.unit * 0.055
    end = stage.width + 2 if side > 0 else -2.0
    nose = x - side * unit * 0.20
    count = 60
    jag = ridge(rng, count, 0.62, 5)
    top = []
    for at in range(count + 1):
        t = at / count
        rise = min(1.0, (t / 0.28)) ** 0.6 if t < 0.28 else 1 + 0.9 * max(0.0, t - 0.5) ** 1.3
        roughness = 0.16 * jag[min(at, len(jag) - 1)][1] * (0.35 if 0.2 < t < 0.5 else 1)
        top.append((nose + (end - nose) * t, base - (base - ground) * rise * (1 + roughness)))
    low, high = sorted((nose, end))
    pen = Pen(low - 2, min(y for _, y in top) - 2, high + 2, base + 4)
    pen.polygon([(nose, base + 4), *top, (end, base + 4)])
    mask = pen.mask()
    yield Layer(palette.at(0.82).rgb, mask, pen.at, depth=0.4)
    facets = levels(clouds(rng, mask.size, (14, 7), 4), 0.5, 0.9, 0.45)
    lit = mix(palette.at(0.6), palette.glow, 0.25)
    facets.paste(0, (0, 0), mask.point([255 - level for level in range(256)]))
    yield Layer(lit.rgb, facets, pen.at, depth=0.4)


def _boat(stage: Stage, palette: Palette, rng: Random, side: int) -> Iterator[Layer]:
    unit, y = stage.unit, HORIZON * stage.height + stage.unit * 0.075
    x = stage.width * (0.5 + side * 0.12)
    long, motion = unit * 0.11, Motion(bob=0.006, drift=0.06, cycles=2)
    box = (x - long * 1.6, y - long * 2.9, x + long * 1.6, y + long * 0.5)
    mast, boom = y - long * 2.6, y - long * 0.22
    pen = Pen(*box)
    pen.polygon([(x - side * long * 0.05, mast), (x - side * long * 0.05, boom), (x + side * long * 0.95, boom)])
    yield Layer(mix(palette.light, palette.sky[2], 0.3).lit(0.93).rgb, pen.mask(), pen.at, depth=0.5, motion=motion)
    pen = Pen(*box)
    pen.polygon(
        [(x - side * long * 0.13, mast + long * 0.3), (x - side * long * 0.13, boom), (x - side * long * 0.9, boom)]
    )
    yield Layer(palette.accent.lit(0.7).rgb, pen.mask(), pen.at, depth=0.5, motion=motion)
    pen = Pen(*box)
    pen.polygon(
        [
            (x - long, y - long * 0.12),
            (x + long, y - long * 0.12),
            (x + long * 0.72, y + long * 0.2),
            (x - long * 0.7, y + long * 0.2),
        ]
    )
    pen.line([(x - side * long * 0.09, mast - long * 0.1), (x - side * long * 0.09, y)], unit * 0.004)
    yield Layer(palette.at(0.95).rgb, pen.mask(), pen.at, depth=0.5, motion=motion)
