"""A bot on Telegram, looked at once: whether it is let in, who it is, its privacy mode, its commands.

It logs in beside the program that may run it already, with a session of its own that is forgotten afterwards, so
nothing of what people write meanwhile is taken from that program.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from pyrogram.errors import RPCError

from frontends.bots.dialogue.state import House
from frontends.bots.outbox import Flooded
from frontends.bots.refusal import BotRefused
from frontends.bots.settings import TelegramSettings
from frontends.bots.setup.found import Found, NotLetIn
from frontends.bots.telegram import menus
from frontends.bots.telegram.line import Line

NUMBERS = "Telegram does not know this api_id and api_hash. Copy both from https://my.telegram.org."
TOKEN = "Telegram does not know this token. Copy it from @BotFather (/mybots, API Token)."
PRIVACY_OFF = (
    "Privacy mode is off, so Telegram tells this bot everything that is said in its groups. It needs only what is said"
    " to it: send @BotFather /setprivacy, choose the bot, then Enable."
)


async def look(settings: TelegramSettings, house: House) -> Found:
    """Registers its commands, too. Raises `NotLetIn`, and `OSError` when Telegram cannot be reached."""
    with TemporaryDirectory() as folder:
        line = Line(msgspec.structs.replace(settings, folder=Path(folder)), _take, _nothing, _nothing)
        try:
            await line.open()
            await menus.publish(line, settings.makes, house)
            return _found(line.me)
        except BotRefused as refusal:
            if refusal.detail.startswith("API_ID"):
                raise NotLetIn(NUMBERS, "api_id", "api_hash") from refusal
            raise NotLetIn(TOKEN, "token") from refusal
        except (RPCError, Flooded) as error:
            raise ConnectionError(f"Telegram did not take its commands: {error}") from error
        finally:
            await line.close()


def _found(me: Any) -> Found:
    url = f"https://t.me/{me.username}"
    links = [("people find it at", url), ("to bring it into a group", f"{url}?startgroup=true")]
    return Found(title=f"@{me.username}", links=links, remarks=[PRIVACY_OFF] if me.can_read_all_group_messages else [])


async def _take(updates: Any) -> None:
    """What people write is not for us."""


def _nothing() -> None:
    pass
