"""The bot about itself: where the gateway is, who it is, which commands it has."""

from __future__ import annotations

from typing import Any

from frontends.standins.discord import commands
from frontends.standins.discord.limits import SESSION_STARTS, Refusal, malformed
from frontends.standins.discord.rest.calls import Call, Route

DESCRIPTION_MAX = 400


async def gateway(call: Call) -> Any:
    limit = {"total": SESSION_STARTS, "remaining": call.bot.starts_left, "reset_after": 0, "max_concurrency": 1}
    return {"url": call.discord.gateway_url, "shards": call.discord.shards, "session_start_limit": limit}


async def me(call: Call) -> Any:
    return call.bot.to_json()


async def user(call: Call) -> Any:
    """A person or a bot, by id."""
    id = call.id("user")
    found = call.discord.people.get(id) or call.discord.bots.get(id)
    if call.caller is None or found is None:
        raise Refusal(404, 10013, "Unknown User")
    return found.to_json()


async def application(call: Call) -> Any:
    bot = call.bot
    return {
        "id": str(bot.id),
        "name": bot.name,
        "icon": None,
        "description": bot.description,
        "summary": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "00" * 32,
        "flags": 0,
        "team": None,
        "owner": bot.to_json(),
        "approximate_guild_count": len([group for group in call.discord.groups.values() if bot in group.bots]),
        "approximate_user_install_count": len(bot.installed_by),
        "integration_types_config": {"0": {}, "1": {}},
    }


async def edit_application(call: Call) -> Any:
    """What is said about it; nothing else is kept here."""
    said = str((await call.body()).get("description") or "")
    if len(said) > DESCRIPTION_MAX:
        raise malformed("description", "BASE_TYPE_MAX_LENGTH", f"Must be {DESCRIPTION_MAX} or fewer in length.")
    call.bot.description = said
    return await application(call)


async def guilds(call: Call) -> Any:
    return [
        {
            "id": str(group.guild_id),
            "name": group.title,
            "icon": None,
            "owner": False,
            "permissions": "0",
            "features": [],
            "approximate_member_count": len(group.people) + len(group.bots),
            "approximate_presence_count": len(group.people) + len(group.bots),
        }
        for group in call.discord.groups.values()
        if call.bot in group.bots and group.guild_id > int(call.request.query.get("after", 0))
    ]


async def get_commands(call: Call) -> Any:
    return call.bot.commands


async def put_commands(call: Call) -> Any:
    call.bot.commands = _registered(call, await call.body(), None)
    return call.bot.commands


async def post_command(call: Call) -> Any:
    """One more; one of the same name and type is replaced."""
    wanted = await call.body()
    [new] = _registered(call, [wanted], None)
    kept = [one for one in call.bot.commands if (one["name"], one["type"]) != (new["name"], new["type"])]
    call.bot.commands = [*kept, new]
    return new


async def put_guild_commands(call: Call) -> Any:
    guild = call.id("guild")
    call.bot.guild_commands[guild] = _registered(call, await call.body(), str(guild))
    return call.bot.guild_commands[guild]


def _registered(call: Call, wanted: list[Any], guild: str | None) -> list[dict[str, Any]]:
    bot = call.bot
    if call.id("application") != bot.id:
        raise Refusal(403, 50001, "Missing Access")
    commands.check(wanted)
    return [commands.registered(call.discord.snowflake(), bot.id, command, guild) for command in wanted]


ROUTES: list[Route] = [
    ("GET", "/gateway/bot", gateway),
    ("GET", "/users/@me", me),
    ("GET", "/users/@me/guilds", guilds),
    ("GET", "/users/{user}", user),
    ("GET", "/applications/@me", application),
    ("PATCH", "/applications/@me", edit_application),
    ("GET", "/oauth2/applications/@me", application),
    ("GET", "/applications/{application}/commands", get_commands),
    ("PUT", "/applications/{application}/commands", put_commands),
    ("POST", "/applications/{application}/commands", post_command),
    ("PUT", "/applications/{application}/guilds/{guild}/commands", put_guild_commands),
]
