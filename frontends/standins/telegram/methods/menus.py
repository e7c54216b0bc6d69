"""A bot's commands, name and descriptions, each by language."""

from __future__ import annotations

import re
from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import BOOL_TRUE, vector
from frontends.standins.telegram.limits import (
    BOT_ABOUT_MAX,
    BOT_DESCRIPTION_MAX,
    BOT_NAME_MAX,
    COMMAND_DESCRIPTION_MAX,
    COMMANDS_MAX,
    Refusal,
)

COMMAND_NAME = re.compile(r"[a-z0-9_]{1,32}")
INFO_MAX = {"name": BOT_NAME_MAX, "about": BOT_ABOUT_MAX, "description": BOT_DESCRIPTION_MAX}


async def set_commands(call: Call) -> Any:
    wanted = [(command.command, command.description) for command in call.request.commands]
    if len(wanted) > COMMANDS_MAX or any(not COMMAND_NAME.fullmatch(name) for name, _ in wanted):
        raise Refusal(400, "BOT_COMMAND_INVALID", violation=True)
    if any(not 1 <= len(said) <= COMMAND_DESCRIPTION_MAX for _, said in wanted):
        raise Refusal(400, "BOT_COMMAND_DESCRIPTION_INVALID", violation=True)
    call.bot.menus[_scope(call)] = wanted
    return BOOL_TRUE


async def reset_commands(call: Call) -> Any:
    call.bot.menus.pop(_scope(call), None)
    return BOOL_TRUE


async def get_commands(call: Call) -> Any:
    menu = call.bot.menus.get(_scope(call), [])
    return vector([tl.BotCommand(command=name, description=said) for name, said in menu])


async def set_info(call: Call) -> Any:
    for name, limit in INFO_MAX.items():
        said = getattr(call.request, name)
        if said is None:
            continue
        if len(said) > limit:
            raise Refusal(400, "BOT_INFO_TOO_LONG", violation=True)
        call.bot.info[name, call.request.lang_code] = said
    return BOOL_TRUE


async def get_info(call: Call) -> Any:
    code = call.request.lang_code
    known = {name: call.bot.info.get((name, code), call.bot.info.get((name, ""), "")) for name in INFO_MAX}
    return tl.bots.BotInfo(**{**known, "name": known["name"] or call.bot.name})


async def set_button(call: Call) -> Any:
    return BOOL_TRUE


def _scope(call: Call) -> tuple[str, str]:
    return type(call.request.scope).__name__, call.request.lang_code


METHODS: dict[str, Method] = {
    "bots.SetBotCommands": set_commands,
    "bots.ResetBotCommands": reset_commands,
    "bots.GetBotCommands": get_commands,
    "bots.SetBotInfo": set_info,
    "bots.GetBotInfo": get_info,
    "bots.SetBotMenuButton": set_button,
}
