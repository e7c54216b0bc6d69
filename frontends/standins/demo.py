"""Everything that a demonstration of the bots needs: both stand-ins, a bot for each name, a group, and the page.

    async with demo_chats(["tessera_bot"], ["Tessera"]) as chats:
        print(chats.url)                       # open it, and chat
        chats.telegram.bots                    # with tokens; connection_factory and rest_url say where they live

Names give tokens, so the same names give the same tokens after a restart and in another process.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from frontends.standins.discord import Discord
from frontends.standins.page import serve
from frontends.standins.telegram import Telegram

PEOPLE = {1001: "Ann", 1002: "Ben", 1003: "Eve"}
"""Members of the group on both platforms; the page is the first of them to begin with."""
GROUP = "Friends"
FIRST_ID = 4_000_000_000


@dataclass(frozen=True)
class DemoChats:
    url: str
    telegram: Telegram
    discord: Discord


@dataclass(frozen=True)
class Ports:
    """Where everything listens; 0 takes any that is free."""

    page: int = 0
    telegram: int = 0
    telegram_media: int = 0
    discord: int = 0


@asynccontextmanager
async def demo_chats(
    telegram_names: Sequence[str], discord_names: Sequence[str], ports: Ports | None = None
) -> AsyncIterator[DemoChats]:
    ports = ports or Ports()
    async with Telegram(ports.telegram, ports.telegram_media) as telegram, Discord(ports.discord) as discord:
        on_telegram = [telegram.bot(name, token=f"{_number(name)}:demo-{name}") for name in telegram_names]
        on_discord = [discord.bot(name, token=_discord_token(name)) for name in discord_names]
        telegram.group(GROUP, bots=on_telegram, people=[telegram.person(id, name) for id, name in PEOPLE.items()])
        discord.group(GROUP, bots=on_discord, people=[discord.person(id, name) for id, name in PEOPLE.items()])
        async with serve({"telegram": telegram, "discord": discord}, ports.page) as url:
            yield DemoChats(url, telegram, discord)


def _number(name: str) -> int:
    """An id that the name gives, of the size that Telegram's have."""
    return FIRST_ID + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % FIRST_ID


def _discord_token(name: str) -> str:
    return base64.b64encode(str(_number(name)).encode()).decode().rstrip("=") + ".demo.token"
