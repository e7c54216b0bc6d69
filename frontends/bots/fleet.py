"""All bots of a process: which of them run, what the conversations know of each other's bots, and when to go on.

Each bot is a member of its own (`member.py`) with its own tasks, so what ends one ends no other. Whoever comes up is
told to the house, and its commands are registered when they differ from what this program registered last.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import cast

import msgspec
import structlog

from frontends.bots.conversations import Conversations
from frontends.bots.dialogue.events import Event
from frontends.bots.dialogue.state import Scene
from frontends.bots.errands import Errands
from frontends.bots.member import USUAL, Make, Member, Rhythm, RunningBot
from frontends.bots.settings import BotSettings, DiscordSettings, TelegramSettings

PUBLISH_SECONDS = 120.0
SOURCES = ("dialogue/commands.py", "language/tongues/*.toml", "{platform}/*.py")
"""What decides which commands are registered, and by which words."""

log = structlog.get_logger()


def make_of(settings: BotSettings) -> Make:
    """The skin of a bot's platform; its library is imported only when it has a bot here."""
    match settings:
        case TelegramSettings():
            from frontends.bots.telegram import TelegramBot

            return cast(Make, TelegramBot)
        case DiscordSettings():
            from frontends.bots.discord import DiscordBot

            return cast(Make, DiscordBot)


class Fleet:
    """`folder` remembers what was registered. `open_` is waited for before the first event is taken."""

    def __init__(
        self,
        bots: Iterable[BotSettings],
        folder: Path,
        errands: Errands,
        open_: Callable[[], Awaitable[None]],
        make_of: Callable[[BotSettings], Make] = make_of,
        rhythm: Rhythm = USUAL,
    ) -> None:
        self.conversations: Conversations | None = None
        self._folder = folder
        self._open = open_
        self.members = {bot.name: Member(bot, make_of(bot), self._handle, errands, self._came, rhythm) for bot in bots}

    async def settled(self) -> None:
        """Returns once it is known of each bot whether it comes up at the first try."""
        for member in self.members.values():
            await member.settled()

    @property
    def is_hopeless(self) -> bool:
        """Whether no bot is left that may come back."""
        return all(member.state == "refused" for member in self.members.values())

    def in_a_line(self) -> str:
        up = sum(member.is_up for member in self.members.values())
        return f"{up} of {len(self.members)} bots are up"

    async def _handle(self, scene: Scene, event: Event) -> None:
        await self._open()
        assert self.conversations is not None
        await self.conversations.handle(scene, event)

    async def _came(self, running: RunningBot) -> None:
        """A bot is up: the others can name it, and its commands are as this program has them."""
        assert self.conversations is not None
        house = self.conversations.house
        others = [bot for bot in house.bots if bot.name != running.bot.name]
        bots = sorted([*others, running.bot], key=lambda bot: list(self.members).index(bot.name))
        self.conversations.house = msgspec.structs.replace(house, bots=tuple(bots))
        await self._publish(running)

    async def _publish(self, running: RunningBot) -> None:
        assert self.conversations is not None
        note = self._folder / running.bot.name
        wanted = _published(running.bot.platform_name, running.bot.url, self.conversations.house.name)
        if note.exists() and note.read_text() == wanted:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await running.publish(self.conversations.house)
        except Exception as error:  # it works without them, and the next start tries again
            log.warning("commands.not_registered", bot=running.bot.name, reason=str(error) or type(error).__name__)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(wanted)
        log.info("commands.registered", bot=running.bot.name)


def _published(platform: str, url: str, house: str) -> str:
    """What a registration depends on, as one word."""
    return hashlib.sha256(f"{_sources(platform)} {url} {house}".encode()).hexdigest()


@cache
def _sources(platform: str) -> str:
    here = Path(__file__).parent
    files = [file for pattern in SOURCES for file in sorted(here.glob(pattern.format(platform=platform)))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
