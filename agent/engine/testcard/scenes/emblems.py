"""Small signs that a mosaic can show, drawn in flat colours at cartoon size."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin
from random import Random

from PIL import Image, ImageDraw

from agent.engine.testcard.brush import Point
from agent.engine.testcard.colour import RGB, Colour
from agent.engine.testcard.palette import Palette


class Cartoon:
    """Draws around a centre in units of the emblem's radius: x to the right, y downwards, both -1..1."""

    def __init__(self, image: Image.Image, place: tuple[float, float, float]) -> None:
        self._draw = ImageDraw.Draw(image)
        self._x, self._y, self._radius = place

    def shape(self, points: list[Point], tone: RGB) -> None:
        self._draw.polygon([(self._x + x * self._radius, self._y + y * self._radius) for x, y in points], fill=tone)

    def oval(self, x: float, y: float, wide: float, tall: float, tone: RGB) -> None:
        left, top = self._x + (x - wide) * self._radius, self._y + (y - tall) * self._radius
        right, bottom = self._x + (x + wide) * self._radius, self._y + (y + tall) * self._radius
        self._draw.ellipse((left, top, max(left, right), max(top, bottom)), fill=tone)


class Tones:
    """The few stones of an emblem, chosen to stand out from the ground around it."""

    def __init__(self, palette: Palette) -> None:
        dark = Colour(0.22, min(0.06, palette.base.chroma), palette.base.hue)
        self.body = dark.rgb
        self.shade = dark.lit(0.32).rgb
        self.light = palette.light.lit(0.95).muted(0.5).rgb
        self.accent = palette.accent._replace(lightness=0.66, chroma=max(palette.accent.chroma, 0.12)).rgb
        self.base = palette.base.lit(0.48).rgb


def emblem(
    image: Image.Image, palette: Palette, rng: Random, words: frozenset[str], place: tuple[float, float, float]
) -> None:
    """Draws the sign that fits the words best, a sun when none does."""
    draw = next((sign for names, sign in SIGNS if words & names), sun)
    draw(Cartoon(image, place), Tones(palette), rng)


def sun(card: Cartoon, tones: Tones, rng: Random) -> None:
    rays = rng.choice((12, 14, 16))
    for at in range(rays):
        a, wide = at / rays * 2 * pi, pi / rays * 0.72
        long = 1.0 if at % 2 == 0 else 0.8
        tone = tones.accent if at % 2 == 0 else tones.base
        card.shape(
            [
                (cos(a - wide) * 0.5, sin(a - wide) * 0.5),
                (cos(a) * long, sin(a) * long),
                (cos(a + wide) * 0.5, sin(a + wide) * 0.5),
            ],
            tone,
        )
    card.oval(0, 0, 0.5, 0.5, tones.light)
    card.oval(0, 0, 0.34, 0.34, tones.accent)
    card.oval(0, 0, 0.2, 0.2, tones.light)


def cat(card: Cartoon, tones: Tones, rng: Random) -> None:
    for side in (-1, 1):
        card.shape([(side * 0.80, -0.95), (side * 0.78, -0.05), (side * 0.12, -0.52)], tones.body)
        card.shape([(side * 0.68, -0.70), (side * 0.66, -0.30), (side * 0.34, -0.50)], tones.accent)
    card.oval(0, 0.12, 0.86, 0.72, tones.body)
    for side in (-1, 1):
        card.oval(side * 0.36, 0.02, 0.22, 0.19, tones.light)
        card.oval(side * 0.36, 0.02, 0.075, 0.18, tones.body)
        card.oval(side * 0.17, 0.46, 0.20, 0.14, tones.shade)
        for lift in (-0.08, 0.08):
            card.shape([(side * 0.30, 0.42), (side * 1.12, 0.36 + lift * 2.2), (side * 0.30, 0.47)], tones.light)
    card.shape([(-0.11, 0.28), (0.11, 0.28), (0, 0.42)], tones.accent)


def bird(card: Cartoon, tones: Tones, rng: Random) -> None:
    card.shape([(-1.05, 0.42), (-0.35, 0.12), (-0.25, 0.45)], tones.body)
    card.oval(-0.02, 0.22, 0.56, 0.40, tones.base)
    card.oval(0.44, -0.26, 0.29, 0.29, tones.base)
    card.shape([(0.18, -0.30), (0.66, -0.12), (0.42, 0.30), (0.10, 0.25)], tones.base)
    card.oval(0.16, 0.36, 0.36, 0.24, tones.accent)
    card.shape([(0.25, 0.02), (-0.75, -0.62), (-0.42, 0.30), (-0.05, 0.36)], tones.body)
    card.shape([(0.10, 0.06), (-0.48, -0.30), (-0.25, 0.22)], tones.shade)
    card.shape([(0.70, -0.36), (1.05, -0.22), (0.70, -0.14)], tones.accent)
    card.oval(0.52, -0.32, 0.085, 0.085, tones.light)
    card.oval(0.53, -0.32, 0.045, 0.045, tones.body)
    card.shape([(-0.10, 0.58), (0.0, 0.92), (0.04, 0.58)], tones.body)
    card.shape([(0.14, 0.58), (0.24, 0.92), (0.28, 0.56)], tones.body)


def fish(card: Cartoon, tones: Tones, rng: Random) -> None:
    card.shape([(-0.50, 0.0), (-1.12, -0.52), (-0.90, 0.0), (-1.12, 0.52)], tones.body)
    card.shape([(-0.30, -0.40), (0.25, -0.86), (0.50, -0.34)], tones.body)
    card.shape([(-0.05, 0.40), (0.12, 0.80), (0.38, 0.38)], tones.body)
    card.oval(0.12, 0.0, 0.86, 0.52, tones.body)
    card.oval(0.12, 0.0, 0.76, 0.42, tones.light)
    for x, y, wide, tall in ((-0.40, -0.06, 0.13, 0.18), (-0.06, -0.22, 0.15, 0.14), (0.14, 0.20, 0.16, 0.12)):
        card.oval(x, y, wide, tall, tones.base)
    card.shape([(0.46, -0.38), (0.80, -0.16), (0.80, 0.16), (0.46, 0.38), (0.38, 0.0)], tones.base)
    card.oval(0.60, -0.10, 0.12, 0.12, tones.light)
    card.oval(0.62, -0.10, 0.06, 0.06, tones.body)
    for x, y, size in ((1.08, -0.42, 0.08), (1.0, -0.70, 0.06), (1.12, -0.92, 0.045)):
        card.oval(x, y, size, size, tones.light)


def flower(card: Cartoon, tones: Tones, rng: Random) -> None:
    card.shape([(-0.05, 0.2), (0.05, 0.2), (0.09, 1.15), (-0.03, 1.15)], tones.body)
    card.shape([(0.03, 0.85), (0.55, 0.50), (0.35, 0.92)], tones.body)
    petals = rng.choice((7, 8, 9))
    for reach, size, tone in ((0.58, 0.28, tones.accent), (0.40, 0.20, tones.base)):
        for at in range(petals):
            a = (at + (0.5 if size < 0.25 else 0)) / petals * 2 * pi
            card.oval(cos(a) * reach, sin(a) * reach - 0.1, size, size, tone)
    card.oval(0, -0.1, 0.27, 0.27, tones.light)
    card.oval(0, -0.1, 0.13, 0.13, tones.body)


def heart(card: Cartoon, tones: Tones, rng: Random) -> None:
    for scale, tone in ((1.0, tones.body), (0.86, tones.accent)):
        points = []
        for at in range(60):
            t = at / 60 * 2 * pi
            x = 16 * sin(t) ** 3
            y = 13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)
            points.append((x / 17 * scale, -y / 17 * scale - 0.05))
        card.shape(points, tone)
    card.oval(-0.38, -0.36, 0.15, 0.12, tones.light)


def face(card: Cartoon, tones: Tones, rng: Random) -> None:
    """A head in the manner of late antiquity: large eyes, a plait of hair, a halo."""
    card.oval(0, -0.15, 1.02, 1.02, tones.light)
    card.oval(0, -0.15, 0.90, 0.90, tones.accent)
    card.shape([(-0.85, 1.25), (-0.62, 0.72), (0, 0.55), (0.62, 0.72), (0.85, 1.25)], tones.base)
    card.oval(0, -0.18, 0.66, 0.72, tones.body)
    card.shape([(-0.62, -0.2), (-0.66, 0.62), (-0.36, 0.55), (0.36, 0.55), (0.66, 0.62), (0.62, -0.2)], tones.body)
    skin = Colour(0.80, 0.06, 62).rgb
    card.shape([(-0.17, 0.3), (0.17, 0.3), (0.20, 0.72), (0, 0.82), (-0.20, 0.72)], Colour(0.70, 0.07, 58).rgb)
    card.oval(0, 0.02, 0.44, 0.56, skin)
    for side in (-1, 1):
        card.oval(side * 0.19, -0.04, 0.125, 0.075, tones.light)
        card.oval(side * 0.19, -0.04, 0.06, 0.07, tones.body)
        card.shape([(side * 0.06, -0.15), (side * 0.34, -0.21), (side * 0.34, -0.15), (side * 0.06, -0.10)], tones.body)
    card.shape([(-0.03, -0.05), (0.03, -0.05), (0.08, 0.22), (-0.05, 0.22)], Colour(0.70, 0.08, 55).rgb)
    card.oval(0, 0.36, 0.13, 0.045, Colour(0.58, 0.14, 25).rgb)


def tree(card: Cartoon, tones: Tones, rng: Random) -> None:
    card.shape([(-0.10, 0.1), (0.10, 0.1), (0.20, 1.05), (-0.20, 1.05)], tones.body)
    for side in (-1, 1):
        card.shape([(0, 0.45), (side * 0.55, -0.05), (side * 0.48, -0.12), (0, 0.28)], tones.body)
    for _ in range(26):
        a, far = rng.uniform(0, 2 * pi), rng.random() ** 0.5 * 0.66
        size = rng.uniform(0.13, 0.22)
        card.oval(
            cos(a) * far * 1.15,
            sin(a) * far - 0.30,
            size,
            size,
            rng.choice((tones.base, tones.base, tones.shade, tones.accent)),
        )


Sign = Callable[[Cartoon, Tones, Random], None]

SIGNS: tuple[tuple[frozenset[str], Sign], ...] = (
    (frozenset("cat cats kitten kitty tiger lion panther leopard lynx fox wolf dog puppy animal pet".split()), cat),
    (frozenset("bird birds owl eagle raven crow parrot sparrow robin hummingbird phoenix chicken duck".split()), bird),
    (frozenset("fish goldfish koi shark whale dolphin salmon squid octopus".split()), fish),
    (frozenset("flower flowers rose roses tulip sunflower daisy lotus bouquet garden blossom".split()), flower),
    (frozenset("heart love valentine hearts wedding".split()), heart),
    (
        frozenset(
            "portrait face woman man girl boy person queen king princess prince knight wizard witch warrior"
            " elf angel goddess saint selfie people robot android character hero".split()
        ),
        face,
    ),
    (frozenset("oak bonsai olive maple willow".split()), tree),
)
