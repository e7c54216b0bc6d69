"""A skyline at the water: towers in three depths with lit windows, mirrored in the river before them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter, ImageOps

from agent.engine.testcard.brush import Pen, fade, gradient, halo
from agent.engine.testcard.colour import Colour, mix
from agent.engine.testcard.layer import Layer, Motion, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.sky import Sun, rain, sky, snowfall

SHORE = 0.70
DEPTHS = (0.15, 0.45, 0.85)
SQUEEZE = 0.62
"""How much shorter a reflection is than what it shows."""


class Tower(NamedTuple):
    left: float
    top: float
    right: float
    mood: int
    """Which of the three lights its windows have."""


def city(stage: Stage, palette: Palette, rng: Random, words: frozenset[str]) -> Iterator[Layer]:
    shore = SHORE * stage.height
    sun = Sun(stage.width * rng.choice((0.24, 0.34, 0.68, 0.78)), stage.height * 0.24, stage.unit * 0.055)
    yield from sky(stage, palette, rng, sun, shore)
    yield from _dome(stage, palette)
    mirrored: list[Layer] = []
    for near in DEPTHS:
        for layer in _row(stage, palette, rng, near):
            mirrored.append(_mirror(layer, shore))
            yield layer
        yield _smog(stage, palette, near)
    yield from _river(stage, palette, mirrored)
    yield _ripples(stage, palette, rng)
    if palette.snow:
        yield snowfall(stage, rng)
    elif palette.storm:
        yield rain(stage, palette, rng)


def _dome(stage: Stage, palette: Palette) -> Iterator[Layer]:
    """The light that a city throws at its own sky."""
    for place, colour in ((0.3, palette.accent), (0.7, palette.glow)):
        mask = halo(int(stage.unit * 1.5), 1.8, 0.42 if palette.hour == "night" else 0.2)
        at = (int(stage.width * place - mask.width / 2), int(SHORE * stage.height - mask.height / 2))
        yield Layer(colour.lit(0.6).rgb, mask, at, light=True)


def _row(stage: Stage, palette: Palette, rng: Random, near: float) -> Iterator[Layer]:
    """The towers of one depth: their bodies, the shade of one side, and the windows in three lights."""
    towers = _towers(stage, rng, near)
    shore = SHORE * stage.height
    box = (0.0, min(tower.top for tower in towers) - stage.unit * 0.1, stage.width, shore + 1)
    pen = Pen(*box)
    for tower in towers:
        _body(pen, rng, tower, shore, stage.unit)
    mask = pen.mask()
    tones = (palette.at(0.30 + 0.62 * near), palette.at(0.18 + 0.55 * near))
    yield Layer(gradient(mask.size, tones), mask, pen.at, depth=near)
    pen = Pen(*box)
    for tower in towers:
        pen.rectangle(tower.right - (tower.right - tower.left) * 0.28, tower.top, tower.right, shore, 90)
    yield Layer(palette.near.rgb, ImageChops.multiply(pen.mask(), mask), pen.at, depth=near)
    del mask
    lamps = (palette.light.lit(0.90), palette.accent.lit(0.82), mix(palette.light, palette.base, 0.6).lit(0.80))
    for turn, lamp in enumerate(lamps):
        pen = Pen(*box)
        for tower in towers:
            if tower.mood == turn:
                _windows(pen, rng, tower, shore, stage.unit, near, lit=0.46 if palette.hour != "day" else 0.12)
        yield from _lit(pen, mix(palette.haze, lamp, 0.6 + 0.4 * near), near, stage.unit, turn, palette.hour == "night")


def _lit(pen: Pen, lamp: Colour, near: float, unit: float, turn: int, bloom: bool) -> Iterator[Layer]:
    """Windows, and at night the light that spills out of them."""
    mask, motion = pen.mask(), Motion(flicker=0.12, cycles=2, phase=turn / 3)
    yield Layer(lamp.rgb, mask, pen.at, depth=near, motion=motion)
    if bloom:
        soft = mask.filter(ImageFilter.GaussianBlur(unit * 0.007)).point([level * 9 // 10 for level in range(256)])
        yield Layer(lamp.rgb, soft, pen.at, light=True, depth=near, motion=motion)


def _towers(stage: Stage, rng: Random, near: float) -> list[Tower]:
    """Tall in the middle of the picture, low at its sides, so that the row has a shape."""
    towers, x = [], -0.02 * stage.unit
    shore = SHORE * stage.height
    while x < stage.width:
        wide = stage.unit * rng.uniform(0.035, 0.075) * (0.7 + 0.6 * near)
        middle = max(0.0, 1 - abs(2 * (x + wide / 2) / stage.width - 1))
        tall = stage.unit * rng.uniform(0.5, 1.05) * (0.16 + 0.40 * middle**1.2) * (1.12 - 0.50 * near)
        if rng.random() < 0.12:
            tall *= 1.3
        tall = min(tall, shore * 0.84)
        towers.append(Tower(x, shore - tall, x + wide, rng.choice((0, 0, 1, 1, 2))))
        x += wide + stage.unit * rng.choice((0.0, 0.002, 0.006, 0.016 + 0.02 * near))
    return towers


def _body(pen: Pen, rng: Random, tower: Tower, shore: float, unit: float) -> None:
    left, top, right, _ = tower
    wide, middle = right - left, (left + right) / 2
    pen.rectangle(left, top, right, shore + 2)
    style = rng.randrange(6)
    if style == 0:
        pen.polygon([(left, top + 1), (right, top + 1), (right, top - wide * 0.45)])
    elif style == 1:
        pen.rectangle(left + wide * 0.2, top - wide * 0.35, right - wide * 0.2, top)
        pen.rectangle(left + wide * 0.36, top - wide * 0.65, right - wide * 0.36, top)
        pen.line([(middle, top), (middle, top - unit * 0.075)], unit * 0.002)
    elif style == 2:
        pen.polygon([(left, top + 1), (middle, top - wide * 0.6), (right, top + 1)])
        pen.line([(middle, top), (middle, top - wide * 0.6 - unit * 0.02)], unit * 0.002)
    elif style == 3:
        pen.line([(left + wide * 0.7, top), (left + wide * 0.7, top - unit * 0.04)], unit * 0.002)
        pen.rectangle(left + wide * 0.15, top - unit * 0.008, left + wide * 0.4, top)


def _windows(pen: Pen, rng: Random, tower: Tower, shore: float, unit: float, near: float, *, lit: float) -> None:
    """A grid of windows; whole floors are dark or busy, as offices are."""
    pitch = unit * (0.0075 + 0.0045 * near)
    wide, tall = pitch * rng.uniform(0.42, 0.7), pitch * rng.uniform(0.45, 0.62)
    columns = max(1, int((tower.right - tower.left - pitch * 0.6) / pitch))
    inset = (tower.right - tower.left - columns * pitch + (pitch - wide)) / 2
    y = tower.top + pitch * 1.2
    while y < shore - pitch * 1.4:
        busy = lit * rng.choice((0.25, 0.7, 1.0, 1.6))
        for column in range(columns):
            if rng.random() < busy:
                x = tower.left + inset + column * pitch
                pen.rectangle(x, y, x + wide, y + tall, rng.randint(110, 255))
        y += pitch * 1.25


def _smog(stage: Stage, palette: Palette, near: float) -> Layer:
    """Haze that gathers at street level and parts one depth from the next."""
    tall = max(8, int(stage.height * 0.30))
    mask = fade((stage.width, tall), lambda y: y**1.6 * 0.62 * (1 - 0.65 * near))
    colour = mix(palette.haze, palette.glow, 0.25)
    return Layer(colour.rgb, mask, (0, int(SHORE * stage.height) - tall), depth=near)


def _mirror(layer: Layer, shore: float) -> Layer:
    """The layer upside down below the shore, squeezed and smeared as water does; kept at half size till it is laid."""
    assert layer.mask is not None
    small = (max(1, layer.mask.width // 2), max(2, int(layer.mask.height * SQUEEZE / 2)))
    mask = ImageOps.flip(layer.mask.resize(small, Image.Resampling.BOX))
    mask = mask.filter(ImageFilter.BoxBlur((0.3, max(0.5, small[1] * 0.022))))
    paint = layer.paint
    if isinstance(paint, Image.Image):
        paint = ImageOps.flip(paint.resize(small, Image.Resampling.BOX))
    below = max(0.0, shore - (layer.at[1] + layer.mask.height))
    motion = layer.motion._replace(sway=0.002, cycles=3.0)
    return layer._replace(paint=paint, mask=mask, at=(layer.at[0], int(shore + below * SQUEEZE)), motion=motion)


def _full(layer: Layer) -> Layer:
    assert layer.mask is not None
    size = (layer.mask.width * 2, layer.mask.height * 2)
    paint = layer.paint.resize(size) if isinstance(layer.paint, Image.Image) else layer.paint
    return layer._replace(paint=paint, mask=layer.mask.resize(size, Image.Resampling.BILINEAR))


def _river(stage: Stage, palette: Palette, mirrored: list[Layer]) -> Iterator[Layer]:
    shore = int(SHORE * stage.height)
    size = (stage.width, stage.height - shore + 1)
    dark = Colour(0.16 if palette.hour != "day" else 0.42, 0.05, palette.base.hue)
    yield Layer(gradient(size, (mix(palette.haze, dark, 0.35), mix(palette.haze, dark, 0.75), dark)), at=(0, shore))
    yield from map(_full, mirrored)
    veil = fade(size, lambda y: 0.14 + 0.5 * y)
    yield Layer(dark.rgb, veil, (0, shore))
    pen = Pen(0, shore - stage.unit * 0.008, stage.width, shore + stage.unit * 0.006)
    pen.rectangle(0, shore - stage.unit * 0.005, stage.width, shore + stage.unit * 0.002)
    yield Layer(palette.near.lighter(-0.06).rgb, pen.mask(), pen.at, depth=0.85)


def _ripples(stage: Stage, palette: Palette, rng: Random) -> Layer:
    shore = SHORE * stage.height
    pen = Pen(0, shore, stage.width, stage.height)
    for _ in range(int(240 * stage.width / stage.unit)):
        near = rng.random()
        x, y = rng.uniform(0, stage.width), shore + (stage.height - shore) * near**1.3
        long = stage.unit * (0.006 + 0.03 * near) * rng.uniform(0.5, 1.5)
        pen.line([(x - long, y), (x + long, y)], stage.unit * 0.0013, rng.randint(10, 60))
    colour = mix(palette.glow, palette.haze, 0.4)
    return Layer(
        colour.rgb, pen.mask(), pen.at, light=True, depth=0.9, motion=Motion(flicker=0.3, sway=0.006, cycles=2)
    )
