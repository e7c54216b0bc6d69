"""What can be chosen beside the text of a command, and what it means: flags, as somebody might have typed them.

The grammar reads them like everything else, so what was chosen is bounded, told and stored as if it had been said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import hikari

from frontends.bots.dialogue.commands import COMMANDS

PICTURE = "picture"
SHAPES = ("1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9")
COUNT_MAX = 4
STEPS_MAX = 150
SECONDS_MAX = 60
FPS_MAX = 60


class Wished(NamedTuple):
    """Something that an order can say."""

    flag: str
    type: hikari.OptionType
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    for_films: bool | None = None
    """Only for films, only for pictures, or (None) for both."""
    suggests: bool = False


WISHES: dict[str, Wished] = {
    "shape": Wished("ar", hikari.OptionType.STRING, choices=SHAPES),
    "count": Wished("n", hikari.OptionType.INTEGER, 1, COUNT_MAX, for_films=False),
    "seconds": Wished("seconds", hikari.OptionType.INTEGER, 1, SECONDS_MAX, for_films=True),
    "fps": Wished("fps", hikari.OptionType.INTEGER, 1, FPS_MAX, for_films=True),
    "seed": Wished("seed", hikari.OptionType.INTEGER, 0),
    "without": Wished("no", hikari.OptionType.STRING),
    "steps": Wished("steps", hikari.OptionType.INTEGER, 1, STEPS_MAX),
    "model": Wished("model", hikari.OptionType.STRING, suggests=True),
}
"""By the name of the option; its description is the catalogue's `option.NAME`."""
ORDERS = {"generate": "", "video": "video"}
"""Commands that order, and what; empty: what the bot makes."""

Chosen = Mapping[str, object]


def offered(command: str, makes: str) -> dict[str, Wished]:
    """What can be chosen with a command of a bot that makes this."""
    if command not in ORDERS:
        return {}
    film = ordered(command, makes) == "video"
    return {name: wished for name, wished in WISHES.items() if wished.for_films in (None, film)}


def ordered(command: str, makes: str) -> str:
    """What a command orders from a bot that makes this."""
    return ORDERS.get(command) or makes


def text(command: str, chosen: Chosen) -> str:
    """What was chosen, as the text of the command."""
    known = next((one for one in COMMANDS if one.name == command), None)
    said = str(chosen.get(known.text) or "") if known is not None and known.text else ""
    flags = [
        f"--{wished.flag} {_value(chosen[name])}" for name, wished in WISHES.items() if chosen.get(name) is not None
    ]
    return " ".join([part for part in (said.strip(), *flags) if part])


def _value(value: object) -> str:
    """As a flag takes it: words in quotes."""
    told = str(value).replace('"', "").strip()
    return f'"{told}"' if not told.replace(":", "").isalnum() else told
