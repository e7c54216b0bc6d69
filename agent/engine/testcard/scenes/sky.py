"""The sky above every landscape: gradient, stars, sun or moon with its glow, clouds, and the weather before it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from PIL import ImageChops

from agent.engine.testcard.brush import Pen, clouds, fade, gradient, halo, levels
from agent.engine.testcard.colour import mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette


class Sun(NamedTuple):
    """Or moon."""

    x: float
    y: float
    radius: float


def sky(stage: Stage, palette: Palette, rng: Random, sun: Sun, horizon: float) -> Iterator[Layer]:
    """Everything behind the land; below `horizon` (a height in pixels) it leaves the colour of the haze."""
    yield Layer(palette.haze.rgb)
    yield Layer(gradient((stage.width, max(2, int(horizon))), palette.sky))
    if palette.hour == "night" and not palette.storm:
        yield from stars(stage, palette, rng, horizon)
    yield from _sun(stage, palette, sun)
    yield from _clouds(stage, palette, rng, sun, horizon)


def stars(stage: Stage, palette: Palette, rng: Random, horizon: float) -> Iterator[Layer]:
    """Two sets that twinkle in turn, fewer towards the horizon."""
    for phase in (0.0, 0.5):
        pen = Pen(0, 0, stage.width, horizon)
        for _ in range(int(60 + 110 * stage.width / stage.height)):
            x, y = rng.uniform(0, stage.width), horizon * rng.random() ** 1.5
            size = stage.unit * rng.choice((0.0007, 0.0009, 0.0012, 0.0021))
            pen.disc(x, y, max(0.4, size), int(rng.uniform(70, 255) * (1 - 0.7 * y / horizon)))
        colour = palette.light.lit(0.95).muted(0.4)
        yield Layer(colour.rgb, pen.mask(), light=True, motion=Motion(flicker=0.6, cycles=2, phase=phase))


def _sun(stage: Stage, palette: Palette, sun: Sun) -> Iterator[Layer]:
    rise = Motion(rise=0.03)
    for spread, strength in ((9.0, 0.55), (3.4, 0.6)):
        mask = halo(int(sun.radius * spread * 2), 2.2, strength)
        at = (int(sun.x - mask.width / 2), int(sun.y - mask.height / 2))
        yield Layer(palette.glow.rgb, mask, at, light=True, motion=rise)
    if palette.storm:
        return  # Behind the clouds: only its glow comes through.
    pen = Pen(sun.x - sun.radius - 2, sun.y - sun.radius - 2, sun.x + sun.radius + 2, sun.y + sun.radius + 2)
    pen.disc(sun.x, sun.y, sun.radius, 245)
    yield Layer(palette.light.lit(0.97).muted(0.6).rgb, pen.mask(), pen.at, motion=rise)


def _clouds(stage: Stage, palette: Palette, rng: Random, sun: Sun, horizon: float) -> Iterator[Layer]:
    """Banks stretched sideways: lit ones high up, dark ones before a storm."""
    size = (stage.width, max(8, int(horizon)))
    ratio = stage.width / max(1.0, horizon)
    veil = levels(clouds(rng, size, (1.6 * ratio, 4.5)), 0.45, 1.0, 0.55)
    high = mix(palette.sky[2], palette.light, 0.35)
    yield Layer(high.rgb, ImageChops.multiply(veil, fade(size, lambda y: 0.25 + 0.75 * y)), motion=Motion(drift=0.05))
    if palette.storm:
        for low, nearness in ((0.42, 0.35), (0.55, 0.62)):
            bank = levels(clouds(rng, size, (1.1 * ratio, 2.6), 6), low, low + 0.35, 0.85)
            colour = mix(palette.sky[0], palette.near, nearness)
            bank = ImageChops.multiply(bank, fade(size, lambda y: min(1.0, 1.25 * (1 - y))))
            yield Layer(colour.rgb, bank, motion=Motion(drift=0.12 * nearness + 0.04))


def rain(stage: Stage, palette: Palette, rng: Random) -> Layer:
    """Thin slanted streaks in front of it all."""
    pen = Pen(0, 0, stage.width, stage.height)
    length = 0.05 * stage.unit
    for _ in range(int(190 * stage.width / stage.height) + 40):
        x, y, long = rng.uniform(0, stage.width * 1.1), rng.uniform(-0.05, 1) * stage.height, rng.uniform(0.5, 1.4)
        width = stage.unit * 0.0011
        pen.line([(x, y), (x - length * long * 0.28, y + length * long)], width, rng.randint(18, 60))
    return Layer(palette.sky[2].lit(0.92).rgb, pen.mask(), depth=1.0, motion=Motion(falls=6, flicker=0.3, cycles=8))


def snowfall(stage: Stage, rng: Random) -> Layer:
    pen = Pen(0, 0, stage.width, stage.height)
    for _ in range(int(150 * stage.width / stage.height) + 40):
        x, y = rng.uniform(0, stage.width), rng.uniform(0, stage.height)
        pen.disc(x, y, stage.unit * rng.choice((0.001, 0.0016, 0.0024, 0.0034)), rng.randint(60, 190))
    return Layer((250, 252, 255), pen.mask(), depth=0.8, motion=Motion(falls=1, sway=0.01, cycles=1.5))


def birds(stage: Stage, palette: Palette, rng: Random, left: float, top: float) -> Layer:
    """A few gulls' wings around a point given as fractions of the stage."""
    spread = 0.16 * stage.unit
    x0, y0 = left * stage.width, top * stage.height
    pen = Pen(x0 - spread * 1.3, y0 - spread, x0 + spread * 1.3, y0 + spread)
    for _ in range(rng.randint(4, 7)):
        x, y = x0 + rng.uniform(-1, 1) * spread, y0 + rng.uniform(-0.5, 0.5) * spread
        span = stage.unit * rng.uniform(0.007, 0.015)
        wing = [(x - span, y - span * 0.35), (x - span * 0.45, y - span * 0.5), (x, y)]
        wing += [(x + span * 0.45, y - span * 0.5), (x + span, y - span * 0.35)]
        pen.line(wing, stage.unit * 0.0022, 200)
    return Layer(palette.at(0.8).rgb, pen.mask(), pen.at, depth=0.3, motion=Motion(drift=0.08, bob=0.006))
