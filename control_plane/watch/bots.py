"""How the bots fare, asked at the address where `tessera-bots` tells it (frontends/bots/health.py)."""

from __future__ import annotations

import aiohttp
import msgspec

from control_plane.settings import Settings
from control_plane.watch.facts import Bot
from control_plane.watch.posting import NotTold, call

USUAL_URL = "http://127.0.0.1:8020"
CONFIG = ("bots", "bots.toml")
"""In the data folder: what `tessera up` starts bots from."""
NOT_READY = 503
PROGRAM = "tessera-bots"


class BotHealth(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    state: str = ""
    why: str = ""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    service: bool
    bots: dict[str, BotHealth]


def address(settings: Settings) -> str | None:
    """Where to ask; None where no bots are known of."""
    if settings.bot_health_url is not None:
        return settings.bot_health_url.rstrip("/")
    return USUAL_URL if settings.data_dir.joinpath(*CONFIG).exists() else None


async def look(url: str | None) -> list[Bot] | None:
    """One line for each bot; when the program itself does not answer, one for that."""
    if url is None:
        return None
    try:
        answer = await call("GET", f"{url}/readyz", b"", {}, fine=frozenset({NOT_READY}))
        found = msgspec.json.decode(answer.begun, type=Readiness)
    except (NotTold, aiohttp.ClientError, msgspec.DecodeError) as error:
        why = str(error) if isinstance(error, NotTold) else "the answer is not that of tessera-bots"
        return [Bot(name=PROGRAM, ready=False, why=why)]
    bots = [Bot(name=name, ready=bot.ready, why=bot.why or bot.state) for name, bot in sorted(found.bots.items())]
    silent = [] if found.service else [Bot(name=PROGRAM, ready=False, why="it does not reach this service")]
    return bots + silent
