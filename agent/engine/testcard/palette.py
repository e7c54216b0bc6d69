"""Which colours a prompt asks for.

Colour words are taken in the order they are written: the first colours the scene, the second its light, the
others its details. Words of mood and time ("night", "autumn", "neon") fill what is not named and set how dark,
how hazy and how vivid it all is. What is still open is drawn from the seeded generator as a harmony.
Words of the negative prompt count as unsaid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal

from agent.engine.testcard.colour import Colour, mix

Hour = Literal["day", "dusk", "night"]

COLOURS: dict[str, Colour] = {
    word: Colour(*values)
    for words, values in {
        "red scarlet vermilion": (0.60, 0.21, 27),
        "crimson ruby carmine cherry": (0.54, 0.21, 18),
        "maroon burgundy wine": (0.42, 0.14, 18),
        "rose": (0.70, 0.16, 5),
        "pink blush flamingo": (0.78, 0.14, 355),
        "salmon coral": (0.74, 0.15, 32),
        "peach apricot": (0.83, 0.10, 58),
        "orange tangerine": (0.74, 0.17, 55),
        "rust terracotta copper": (0.60, 0.14, 45),
        "bronze": (0.60, 0.10, 70),
        "brown chestnut chocolate sepia": (0.48, 0.08, 55),
        "amber honey": (0.78, 0.16, 75),
        "gold golden": (0.82, 0.15, 86),
        "ochre mustard": (0.72, 0.13, 82),
        "sand beige cream ivory": (0.87, 0.05, 85),
        "yellow lemon": (0.89, 0.17, 103),
        "lime chartreuse": (0.86, 0.19, 125),
        "olive khaki": (0.60, 0.09, 112),
        "green jade": (0.64, 0.16, 147),
        "moss sage": (0.62, 0.08, 135),
        "emerald malachite": (0.62, 0.15, 160),
        "mint": (0.88, 0.09, 165),
        "teal petrol": (0.60, 0.11, 192),
        "turquoise aqua aquamarine": (0.78, 0.12, 188),
        "cyan": (0.82, 0.14, 205),
        "azure cerulean": (0.72, 0.13, 235),
        "blue cobalt sapphire ultramarine": (0.56, 0.17, 258),
        "navy": (0.36, 0.11, 262),
        "indigo": (0.44, 0.16, 278),
        "periwinkle lavender lilac": (0.78, 0.10, 300),
        "violet amethyst": (0.58, 0.18, 300),
        "purple plum": (0.52, 0.18, 315),
        "magenta fuchsia": (0.65, 0.25, 335),
        "white snowwhite pearl": (0.94, 0.012, 240),
        "silver": (0.80, 0.015, 250),
        "grey gray slate ash": (0.60, 0.018, 250),
        "black ebony onyx obsidian": (0.24, 0.015, 270),
    }.items()
    for word in words.split()
}

MOODS: dict[str, tuple[float, float]] = {
    word: hues
    for words, hues in {
        "sunset sundown dusk evening twilight": (285, 50),
        "sunrise dawn morning": (255, 65),
        "night midnight moon moonlight moonlit starry": (265, 95),
        "storm stormy thunder thunderstorm tempest": (228, 88),
        "rain rainy wet": (240, 75),
        "winter snow snowy ice icy frost frozen arctic": (235, 80),
        "autumn fall harvest": (40, 78),
        "spring blossom blossoms": (150, 355),
        "summer tropical beach": (215, 88),
        "neon cyberpunk synthwave vaporwave": (300, 200),
        "fire flame lava volcano ember": (25, 70),
        "desert dune sahara canyon mars": (42, 82),
        "forest jungle woods wood rainforest": (155, 105),
        "sea ocean underwater lagoon lake river": (222, 85),
        "space galaxy nebula cosmic universe": (285, 45),
        "dream dreamy magic magical fairy enchanted": (305, 75),
    }.items()
    for word in words.split()
}

_HOUR_WORDS: tuple[tuple[Hour, str], ...] = (
    ("night", "night midnight moon moonlight moonlit starry stars dark neon cyberpunk noir aurora"),
    ("dusk", "sunset sundown dusk evening twilight sunrise dawn storm stormy fire lava autumn"),
    ("day", "day daylight noon sunny bright morning summer spring pastel snow winter clear"),
)
HOURS: dict[str, Hour] = {word: hour for hour, words in _HOUR_WORDS for word in words.split()}

STORM = frozenset("storm stormy thunder thunderstorm tempest hurricane rain rainy".split())
SNOW = frozenset("winter snow snowy ice icy frost frozen arctic blizzard".split())
VIVID = frozenset("neon cyberpunk synthwave vivid vibrant psychedelic electric saturated colorful".split())
SOFT = frozenset("pastel soft pale muted watercolor watercolour faded calm foggy misty fog mist".split())
GREY = frozenset("monochrome monochromatic greyscale grayscale noir charcoal pencil".split())
HARMONIES = (150.0, -150.0, 180.0, 55.0, -55.0, 120.0)


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one picture, by what they are for."""

    base: Colour
    light: Colour
    """Sun, moon and lamps."""
    accent: Colour
    sky: tuple[Colour, Colour, Colour]
    """Top, middle, horizon."""
    near: Colour
    """What stands closest: the darkest tone."""
    hour: Hour
    storm: bool
    snow: bool

    @property
    def haze(self) -> Colour:
        """Into which distance fades."""
        return mix(self.sky[2], self.sky[1], 0.35)

    @property
    def glow(self) -> Colour:
        return self.light._replace(lightness=0.82, chroma=max(self.light.chroma, 0.07))

    def at(self, nearness: float) -> Colour:
        """Of a thing between the horizon (0) and the viewer (1)."""
        return mix(self.haze, self.near, nearness)


def palette(words: Iterable[str], rng: Random) -> Palette:
    """The palette of a prompt given as lower-case words in order."""
    words = list(words)
    named = list(dict.fromkeys(COLOURS[word] for word in words if word in COLOURS))
    said = frozenset(words)
    base, light, accent = _three(named, [MOODS[word] for word in words if word in MOODS], rng)
    hour = next((HOURS[word] for word in words if word in HOURS), None) or _any_hour(named, rng)
    strength = 1.35 if said & VIVID else 0.55 if said & SOFT else 0.06 if said & GREY else 1.0
    if strength > 1 and len(named) < 3:
        accent = light.turned(140)._replace(lightness=0.68)
    base, light, accent = (colour.muted(strength) for colour in (base, light, accent))
    storm = bool(said & STORM)
    return Palette(
        base=base,
        light=light,
        accent=accent,
        sky=_sky(base, light, hour, storm=storm, soft=bool(said & SOFT)),
        near=Colour(0.17 if hour != "day" else 0.26, min(base.chroma, 0.05), base.hue),
        hour=hour,
        storm=storm,
        snow=bool(said & SNOW),
    )


def _three(named: list[Colour], moods: list[tuple[float, float]], rng: Random) -> tuple[Colour, Colour, Colour]:
    """Base, light and accent: what is named, then what the mood suggests, then a harmony."""
    harmony = rng.choice(HARMONIES)
    base_hue, light_hue = moods[0] if moods else (rng.uniform(140, 410) % 360, None)
    base = named[0] if named else Colour(0.58, 0.12, base_hue)
    if light_hue is None:
        light_hue = rng.choice((base.hue + harmony, 85.0, 60.0)) % 360
    light = named[1] if len(named) > 1 else Colour(0.86, 0.12, light_hue)
    accent = named[2] if len(named) > 2 else _between(base, light, 0.45 * harmony, said=len(named) > 1)
    light = light._replace(lightness=max(light.lightness, 0.86))
    return base, light, accent


def _between(base: Colour, light: Colour, turn: float, *, said: bool) -> Colour:
    """A third colour: a mixture when two were asked for, or else a harmony of the light."""
    accent = mix(base, light, 0.5) if said else light.turned(turn)
    return accent._replace(lightness=0.68, chroma=max(accent.chroma, min(base.chroma, 0.11)))


def _any_hour(named: list[Colour], rng: Random) -> Hour:
    if named and named[0].lightness < 0.4:
        return "night"
    if named and named[0].lightness > 0.85:
        return "day"
    hours: tuple[Hour, ...] = ("dusk", "dusk", "night", "day")
    return rng.choice(hours)


def _sky(base: Colour, light: Colour, hour: Hour, *, storm: bool, soft: bool) -> tuple[Colour, Colour, Colour]:
    chroma = min(base.chroma, 0.14)
    if hour == "night":
        top, middle = Colour(0.15, chroma * 0.5, base.hue), Colour(0.27, chroma * 0.75, base.hue)
        horizon = mix(Colour(0.46, chroma, base.hue), light._replace(lightness=0.6), 0.25)
    elif hour == "dusk":
        # Away from the sun even a warm evening is cool: orange goes up into plum.
        warmth = max(0.0, 1 - abs(base.hue - 55) / 60)
        top = Colour(0.33, chroma * 0.8, (base.hue - 95 * warmth) % 360)
        middle = Colour(0.57, chroma, (base.hue - 38 * warmth) % 360)
        horizon = light._replace(lightness=0.86, chroma=min(light.chroma, 0.11))
    else:
        top, middle = Colour(0.60, chroma, base.hue), Colour(0.78, chroma * 0.7, base.hue)
        horizon = mix(Colour(0.94, chroma * 0.3, base.hue), light._replace(lightness=0.95, chroma=0.05), 0.6)
    if storm:
        top, middle = top._replace(lightness=top.lightness * 0.75), middle._replace(lightness=middle.lightness * 0.8)
        horizon = horizon._replace(lightness=horizon.lightness * 0.88)
    if soft:
        top, middle, horizon = (colour.lit(0.35 + colour.lightness * 0.64) for colour in (top, middle, horizon))
    return top, middle, horizon
