"""Colours as the eye orders them: OKLCH (lightness, chroma, hue), turned into sRGB only when painted.

Mixing two colours goes through OKLab, so that teal into gold passes through no mud, and equal steps of
lightness look equal. A colour outside sRGB loses chroma until it fits. Formulas: Björn Ottosson, "A perceptual
color space for image processing" (2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import atan2, cos, degrees, hypot, radians, sin
from typing import NamedTuple

RGB = tuple[int, int, int]


class Colour(NamedTuple):
    """Lightness 0..1, chroma 0..0.4, hue in degrees."""

    lightness: float
    chroma: float
    hue: float

    @property
    def rgb(self) -> RGB:
        return _srgb(self)

    def lit(self, lightness: float) -> Colour:
        """At another lightness. A yellow that darkens turns to brown as pigments do, not to olive."""
        yellow = max(0.0, 1 - abs(self.hue - 92) / 30) if lightness < 0.6 else 0.0
        return self._replace(lightness=lightness, hue=self.hue - 34 * yellow * (0.6 - lightness) / 0.6)

    def lighter(self, by: float) -> Colour:
        return self._replace(lightness=min(1.0, max(0.0, self.lightness + by)))

    def muted(self, factor: float) -> Colour:
        return self._replace(chroma=self.chroma * factor)

    def turned(self, by: float) -> Colour:
        return self._replace(hue=(self.hue + by) % 360)


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """From `a` (t = 0) to `b` (t = 1) on a straight line in OKLab."""
    (l1, a1, b1), (l2, a2, b2) = _lab(a), _lab(b)
    lightness, x, y = l1 + (l2 - l1) * t, a1 + (a2 - a1) * t, b1 + (b2 - b1) * t
    return Colour(lightness, hypot(x, y), degrees(atan2(y, x)) % 360)


def along(stops: Sequence[Colour], t: float) -> Colour:
    """The colour at `t` (0..1) of evenly spaced stops."""
    place = min(1.0, max(0.0, t)) * (len(stops) - 1)
    at = min(int(place), len(stops) - 2)
    return mix(stops[at], stops[at + 1], place - at)


def _lab(colour: Colour) -> tuple[float, float, float]:
    angle = radians(colour.hue)
    return colour.lightness, colour.chroma * cos(angle), colour.chroma * sin(angle)


def _linear(colour: Colour) -> tuple[float, float, float]:
    lightness, a, b = _lab(colour)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


@lru_cache(maxsize=4096)
def _srgb(colour: Colour) -> RGB:
    channels = _linear(colour)
    while colour.chroma > 0.002 and not all(-0.0005 <= channel <= 1.0005 for channel in channels):
        colour = colour.muted(0.94)
        channels = _linear(colour)
    red, green, blue = (_gamma(channel) for channel in channels)
    return red, green, blue


def _gamma(channel: float) -> int:
    channel = min(1.0, max(0.0, channel))
    encoded = 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
    return round(encoded * 255)
