"""A planet before a nebula: stars, two clouds of gas, rings, moons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import cos, pi, sin
from random import Random

from PIL import Image, ImageChops, ImageFilter

from agent.engine.testcard.brush import Pen, clouds, gradient, halo, levels
from agent.engine.testcard.colour import Colour, along, mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette


def space(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    width, height, unit = stage.width, stage.height, stage.unit
    side = rng.choice((-1, 1))
    deep = Colour(0.10, min(0.05, palette.base.chroma), palette.base.hue)
    yield Layer(gradient(stage.size, (deep, deep.lit(0.15), deep.lit(0.09))))
    yield from _nebula(stage, palette, rng)
    yield from _stars(stage, palette, rng)
    sun = (width * (0.5 + side * 0.40), height * 0.13)
    for radius, strength in ((0.62, 0.6), (0.16, 0.8), (0.03, 1.0)):
        mask = halo(int(unit * radius * 2), 2.4, strength)
        yield Layer(palette.glow.rgb, mask, (int(sun[0] - mask.width / 2), int(sun[1] - mask.height / 2)), light=True)
    x, y, radius = width * (0.5 - side * rng.uniform(0.08, 0.16)), height * 0.46, unit * rng.uniform(0.21, 0.27)
    tilt = rng.uniform(0.16, 0.34) * side
    ringed = rng.random() < 0.65 or bool(words & {"saturn", "ring", "rings"})
    rings = _rings(palette, rng, x, y, radius, tilt) if ringed else None
    if rings:
        yield from (_half(layer, y, tilt, x, upper=True) for layer in rings)
    yield from _planet(palette, rng, x, y, radius, side, depth=0.35)
    if rings:
        yield from (_half(layer, y, tilt, x, upper=False) for layer in rings)
    moon_x, moon_y = width * (0.5 + side * 0.24), height * rng.uniform(0.56, 0.66)
    moonlike = replace(palette, base=palette.accent)
    yield from _planet(moonlike, rng, moon_x, moon_y, radius * 0.2, side, depth=0.7)


def _nebula(stage: Stage, palette: Palette, rng: Random) -> Iterator[Layer]:
    scale = stage.width / stage.unit
    wide = clouds(rng, stage.size, (1.8 * scale, 1.8), 6)
    for colour, low in (
        (palette.base.lit(0.5), 0.42),
        (palette.accent.lit(0.55), 0.50),
        (palette.light.lit(0.62), 0.60),
    ):
        mask = clouds(rng, stage.size, (2.4 * scale, 2.4), 6)
        mask = levels(ImageChops.multiply(mask, wide), low * 0.55, 0.95, 0.85)
        yield Layer(colour.rgb, mask, light=True, depth=0.05, motion=Motion(drift=0.02))
    lanes = levels(clouds(rng, stage.size, (3.2 * scale, 3.2), 6), 0.55, 0.85, 0.6)
    yield Layer(Colour(0.08, 0.02, palette.base.hue).rgb, lanes, depth=0.08)


def _stars(stage: Stage, palette: Palette, rng: Random) -> Iterator[Layer]:
    """Dust, stars, and a few bright ones with a halo."""
    tints = (palette.light.lit(0.95).muted(0.4), palette.base.lit(0.9).muted(0.5), Colour(0.98, 0.0, 0))
    for phase, tint in enumerate(tints):
        pen = Pen(0, 0, stage.width, stage.height)
        for _ in range(int(170 * stage.width / stage.unit)):
            size = max(0.4, stage.unit * 0.0007 * rng.choice((1, 1, 1, 1.3, 2.0, 3.2)))
            pen.disc(rng.uniform(0, stage.width), rng.uniform(0, stage.height), size, rng.randint(50, 255))
        mask = pen.mask()
        bloom = mask.filter(ImageFilter.GaussianBlur(stage.unit * 0.003)).point(
            [min(255, level * 3) for level in range(256)]
        )
        motion = Motion(flicker=0.5, cycles=2, phase=phase / 3)
        yield Layer(tint.rgb, ImageChops.lighter(mask, bloom), light=True, depth=0.1, motion=motion)


def _planet(
    palette: Palette, rng: Random, x: float, y: float, radius: float, side: int, *, depth: float
) -> Iterator[Layer]:
    """A banded ball lit from the sun's side, with a rim of air."""
    span = max(8, int(radius * 2))
    box = (x - radius, y - radius, x + radius, y + radius)
    at = (int(box[0]), int(box[1]))
    glow = halo(int(radius * 2.9), 3.0, 0.9)
    yield Layer(
        palette.base.lit(0.6).rgb, glow, (int(x - glow.width / 2), int(y - glow.height / 2)), light=True, depth=depth
    )
    pen = Pen(*box)
    pen.disc(x, y, radius)
    mask = pen.mask()
    yield Layer(_surface(palette, rng, mask.size), mask, at, depth=depth)
    shadow = Image.radial_gradient("L").resize((int(span * 2.5),) * 2, Image.Resampling.BICUBIC)
    left = int(span * (0.75 + side * -0.42)), int(span * 1.02)
    shadow = levels(shadow.crop((left[0], left[1], left[0] + mask.width, left[1] + mask.height)), 0.16, 0.62, 0.97)
    yield Layer(Colour(0.07, 0.02, palette.base.hue).rgb, ImageChops.multiply(shadow, mask), at, depth=depth)
    rim = ImageChops.subtract(mask, mask.filter(ImageFilter.GaussianBlur(max(1.0, radius * 0.05))))
    rim = ImageChops.multiply(levels(rim, 0.02, 0.5, 0.9), shadow.point([255 - level for level in range(256)]))
    yield Layer(palette.light.lit(0.92).rgb, rim, at, light=True, depth=depth)


def _surface(palette: Palette, rng: Random, size: tuple[int, int]) -> Image.Image:
    """Bands of weather: a gradient through the palette, bent by noise."""
    tones = [palette.base.lit(0.72), palette.base.lit(0.5), mix(palette.base, palette.light, 0.6).lit(0.78)]
    tones += [palette.accent.lit(0.6), palette.base.lit(0.42)]
    stops = [rng.choice(tones) for _ in range(9)]
    bands = clouds(rng, size, (1.2, 9), 4)
    bands = Image.blend(bands, clouds(rng, size, (5, 12), 4), 0.35)
    tables = [along(stops, level / 255).rgb for level in range(256)]
    flat = Image.merge("RGB", (bands, bands, bands))
    return flat.point([tables[level][channel] for channel in range(3) for level in range(256)])


def _rings(palette: Palette, rng: Random, x: float, y: float, radius: float, tilt: float) -> list[Layer]:
    reach = radius * 2.25
    pen = Pen(x - reach, y - reach, x + reach, y + reach)
    count = 64
    turns = [at / count * 2 * pi for at in range(count + 1)]
    far = 1.35
    while far < 2.15:
        tone = rng.choice((40, 90, 140, 190, 0))
        for part in range(3):
            size = radius * (far + part * 0.02)
            points = [
                (
                    x + cos(a) * size * cos(tilt) - sin(a) * size * 0.24 * sin(tilt),
                    y + cos(a) * size * sin(tilt) + sin(a) * size * 0.24 * cos(tilt),
                )
                for a in turns
            ]
            pen.line(points, radius * 0.022, tone)
        far += 0.06
    return [Layer(mix(palette.light, palette.base, 0.35).lit(0.82).rgb, pen.mask(), pen.at, depth=0.35)]


def _half(layer: Layer, y: float, tilt: float, x: float, *, upper: bool) -> Layer:
    """The rings behind the planet, or those before it: they part along the tilted axis."""
    assert layer.mask is not None
    pen = Pen(layer.at[0], layer.at[1], layer.at[0] + layer.mask.width - 1, layer.at[1] + layer.mask.height - 1)
    far = layer.mask.width * 2
    edge = [(x - far * cos(tilt), y - far * sin(tilt)), (x + far * cos(tilt), y + far * sin(tilt))]
    shift = -far if upper else far
    pen.polygon([*edge, (edge[1][0], edge[1][1] + shift), (edge[0][0], edge[0][1] + shift)])
    return layer._replace(mask=ImageChops.multiply(layer.mask, pen.mask()))
