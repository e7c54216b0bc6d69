"""What Telegram shows of a bot before anybody has spoken to it: its commands and what it is, in every language.

What is registered is looked at first, since Telegram lets it be changed rarely.
"""

from __future__ import annotations

from typing import Any

import structlog
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from frontends.bots.dialogue.commands import COMMANDS
from frontends.bots.dialogue.state import House
from frontends.bots.language.catalogue import say
from frontends.bots.language.tongue import FALLBACK, LANGUAGES
from frontends.bots.settings import Makes
from frontends.bots.telegram.line import Line

log = structlog.get_logger()


async def publish(line: Line, makes: Makes, house: House) -> int:
    """Registers what differs, and says how much that was. Raises `RPCError`, `Flooded`, `BotRefused`."""
    changed = 0
    for language in LANGUAGES:
        code = "" if language == FALLBACK else language
        changed += await _commands(line, language, code)
        changed += await _profile(line, language, code, makes, house)
    return changed


async def _commands(line: Line, language: str, code: str) -> int:
    wanted = [(known.name, say(f"command.{known.name}", language)) for known in COMMANDS if known.listed]
    scope = tl.BotCommandScopeDefault()
    registered = await line.ask(fn.bots.GetBotCommands(scope=scope, lang_code=code))
    if [(one.command, one.description) for one in registered] == wanted:
        return 0
    commands = [tl.BotCommand(command=name, description=said) for name, said in wanted]
    await line.ask(fn.bots.SetBotCommands(scope=scope, lang_code=code, commands=commands))
    return 1


async def _profile(line: Line, language: str, code: str, makes: Makes, house: House) -> int:
    about = say(f"about.{makes}", language, name=house.name)
    description = say(f"profile.{makes}", language, name=house.name)
    registered: Any = await line.ask(fn.bots.GetBotInfo(lang_code=code))
    if (registered.about, registered.description) == (about, description):
        return 0
    await line.ask(fn.bots.SetBotInfo(lang_code=code, about=about, description=description))
    return 1
