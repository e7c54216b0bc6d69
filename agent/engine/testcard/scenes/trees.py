"""Silhouettes of conifers, for forests and for the foot of mountains."""

from __future__ import annotations

from random import Random

from agent.engine.testcard.brush import Pen, ridge
from agent.engine.testcard.colour import RGB
from agent.engine.testcard.layer import Layer, Stage


def pines(
    stage: Stage, paint: RGB, rng: Random, *, base: float, tall: float, gap: float, depth: float, shore: bool = False
) -> Layer:
    """A row of pines standing at `base`, about `tall` high and `gap` apart (fractions of the stage).

    With `shore` the trees crowd at the sides and leave the middle open.
    """
    width, unit = stage.width, stage.unit
    ground = base * stage.height
    pen = Pen(0, ground - tall * unit * 1.6, width, stage.height + 2)
    relief = ridge(rng, width, 0.5, 3)
    floor = [(x, ground - unit * 0.02 * y) for x, y in relief]
    pen.polygon([(0, stage.height + 4), *floor, (width, stage.height + 4)])
    x = -gap * unit
    while x < width + gap * unit:
        side = abs(2 * x / width - 1)
        size = tall * unit * rng.uniform(0.55, 1.25) * ((0.25 + 0.95 * side**1.5) if shore else 1.0)
        pine(pen, rng, x, ground + unit * 0.015, size)
        x += gap * unit * rng.uniform(0.5, 1.5)
    return Layer(paint, pen.mask(), pen.at, depth=depth)


def pine(pen: Pen, rng: Random, x: float, foot: float, tall: float) -> None:
    """Tiers of drooping branches, ragged at their ends, on a thin trunk."""
    tiers = 11
    lean = rng.uniform(-0.02, 0.02) * tall
    left, right = [], []
    for tier in range(tiers):
        t = tier / tiers
        y = foot - tall * (1 - t * 0.93)
        reach = tall * (0.012 + 0.20 * t) * rng.uniform(0.8, 1.15)
        drop = tall * 0.055
        middle = x + lean * (1 - t)
        left += [(middle - reach * 0.42, y), (middle - reach, y + drop)]
        right += [(middle + reach * 0.42, y), (middle + reach * rng.uniform(0.85, 1.1), y + drop)]
    pen.polygon([(x + lean, foot - tall * 1.02), *right, (x, foot - tall * 0.06), *reversed(left)])
    pen.rectangle(x - tall * 0.013, foot - tall * 0.15, x + tall * 0.013, foot + tall * 0.05)
