"""`tessera-bots demo`: the bots of a service on stand-ins of both platforms, with a page where anybody chats with them.

Everything is on this machine and in this process; no account anywhere is needed. What was said is forgotten with it, so
what the bots remember of it is removed at the next start.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from control_plane.wire.systemd import Notify
from frontends.bots import program
from frontends.bots.program import MEMORY
from frontends.bots.settings import BotSettings, DiscordSettings, Makes, Settings, TelegramSettings
from frontends.standins.demo import DemoChats, Ports, demo_chats

ON_TELEGRAM: dict[str, Makes] = {"tessera_bot": "image", "tessera_video_bot": "video"}
ON_DISCORD: dict[str, Makes] = {"Tessera": "image", "Tessera Video": "video"}
"""Bots and what they make."""
FORGOTTEN = ("telegram", "registered")
"""Folders of what the bots remember of the platforms."""


async def run(url: str, api_key: str, folder: Path, up: Callable[[str], None], page_port: int = 0) -> None:
    """Until it is told to stop; `up` is told the address of the page. Raises what the program of the bots does."""
    _forget(folder)
    async with demo_chats(list(ON_TELEGRAM), list(ON_DISCORD), Ports(page=page_port)) as chats:
        bots = _bots(chats, folder)
        settings = Settings(url=url, api_key=api_key, dir=folder, port=0, log_level="warning", bots=bots)
        await program.run(settings, bots, Notify(None, None), lambda running: up(chats.url))


def _forget(folder: Path) -> None:
    for name in FORGOTTEN:
        shutil.rmtree(folder / name, ignore_errors=True)
    for file in folder.glob(f"{MEMORY}*"):
        file.unlink()


def _bots(chats: DemoChats, folder: Path) -> tuple[BotSettings, ...]:
    found: list[BotSettings] = []
    for bot, makes in zip(chats.telegram.roster(), ON_TELEGRAM.values(), strict=True):
        found.append(
            TelegramSettings(
                name=f"telegram-{makes}",
                makes=makes,
                token=bot.token,
                api_id=1,
                api_hash="demo",
                folder=folder / "telegram",
                connection_factory=chats.telegram.connection_factory,
            )
        )
    for member, makes in zip(chats.discord.roster(), ON_DISCORD.values(), strict=True):
        found.append(
            DiscordSettings(
                name=f"discord-{makes}",
                makes=makes,
                token=member.token,
                application_id=member.id,
                rest_url=chats.discord.rest_url,
            )
        )
    return tuple(found)
