"""Which scene a prompt gets. Each family is one module with one generator of layers, from the far to the near."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from agent.engine.testcard.layer import Layer, Stage
from agent.engine.testcard.palette import Palette
from agent.engine.testcard.scenes.city import city
from agent.engine.testcard.scenes.emblems import SIGNS
from agent.engine.testcard.scenes.forest import forest
from agent.engine.testcard.scenes.mosaic import mosaic
from agent.engine.testcard.scenes.mountains import mountains
from agent.engine.testcard.scenes.ribbons import ribbons
from agent.engine.testcard.scenes.sea import sea
from agent.engine.testcard.scenes.space import space

Scene = Callable[[Stage, Palette, Random, frozenset[str]], Iterator[Layer]]


class Family(NamedTuple):
    scene: Scene
    layers: int
    """About how many it has: what the progress of a drawing is measured by."""


FAMILIES = {
    "sea": Family(sea, 46),
    "city": Family(city, 55),
    "forest": Family(forest, 19),
    "mountains": Family(mountains, 26),
    "space": Family(space, 21),
    "ribbons": Family(ribbons, 29),
    "mosaic": Family(mosaic, 7),
}

WORDS: dict[str, str] = {
    word: family
    for family, words in {
        "sea": "lighthouse sea ocean wave waves storm boat ship sail sailboat harbor harbour coast island beach"
        " tempest underwater surf lagoon pirate",
        "city": "city street streets skyline town tokyo york paris london berlin building buildings skyscraper"
        " cyberpunk downtown urban metropolis market cafe car cars bridge river venice",
        "forest": "forest tree trees woods wood jungle pine pines fireflies firefly deer mushroom grove"
        " swamp rainforest",
        "mountains": "mountain mountains peak peaks alps hill hills valley desert dune dunes canyon volcano snow winter"
        " glacier cliff landscape mars himalaya meadow field cabin castle dragon",
        "space": "space planet planets star stars galaxy nebula cosmos cosmic universe astronaut saturn moon comet"
        " spaceship rocket alien orbit",
        "ribbons": "abstract flow silk wave-form music jazz smoke ribbon ribbons curves liquid dream gradient wallpaper"
        " fluid aurora",
        "mosaic": "mosaic tessera tesserae tile tiles byzantine roman stained",
    }.items()
    for word in words.split()
} | {word: "mosaic" for names, _ in SIGNS for word in names}


def family(words: list[str], rng: Random) -> str:
    """The family that most words ask for, the earlier word winning a tie; any family when none does."""
    asked = [WORDS[word] for word in words if word in WORDS]
    anything = rng.choice(list(FAMILIES))
    return max(asked, key=asked.count) if asked else anything
