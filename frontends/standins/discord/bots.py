"""An application with its bot: its token, commands, sessions of the gateway, and who brought it along."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frontends.standins.discord import commands
from frontends.standins.discord.limits import SESSION_STARTS, Paces
from frontends.standins.discord.places import Direct, Group, Place
from frontends.standins.person import Command

if TYPE_CHECKING:
    from frontends.standins.discord.discord import Discord
    from frontends.standins.discord.people import Person
    from frontends.standins.discord.sessions import Session


@dataclass(eq=False)
class Bot:
    discord: Discord
    id: int
    name: str
    token: str
    paces: Paces
    privileged: int
    """Intents of those that have to be granted, which were."""
    revoked: bool = False
    description: str = ""
    commands: list[dict[str, Any]] = field(default_factory=list)
    guild_commands: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    chats: dict[int, Direct] = field(default_factory=dict)
    installed_by: set[Person] = field(default_factory=set)
    """People who may use it everywhere."""
    identified_at: dict[int, float] = field(default_factory=dict)
    """When each shard last started, for the pace of starts."""
    identifies: int = 0
    resumes: int = 0
    starts_left: int = SESSION_STARTS

    @property
    def connected(self) -> bool:
        return any(session.live for session in self.sessions)

    def menu(self, language: str) -> list[Command]:
        return [commands.shown(command, locale(language)) for command in self.commands]

    def offered(self, person: Person, place: Place) -> list[dict[str, Any]]:
        """The commands that this person may use here."""
        ways = {commands.USER_INSTALL} if person in self.installed_by else set()
        if place.private or (isinstance(place, Group) and self in place.bots):
            ways.add(commands.GUILD_INSTALL)
        known = [*self.commands, *self.guild_commands.get(place.guild_id, [])]
        return [command for command in known if commands.offered(command, place.context, ways)]

    def owners(self, person: Person, place: Place) -> dict[str, str]:
        """Who brought the bot here, by the way of installation."""
        brought = {}
        if place.private or (isinstance(place, Group) and self in place.bots):
            brought[str(commands.GUILD_INSTALL)] = str(place.guild_id)
        if person in self.installed_by:
            brought[str(commands.USER_INSTALL)] = str(person.id)
        return brought

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.name,
            "discriminator": "0",
            "global_name": None,
            "avatar": None,
            "bot": True,
            "flags": 0,
            "public_flags": 0,
            "verified": True,
            "mfa_enabled": False,
            "locale": "en-US",
        }

    async def push(self, event: str, data: dict[str, Any], intent: int = 0, guild_id: int = 0) -> None:
        """Tell every session that wants this and has this server; one that is away hears it when it resumes."""
        async with asyncio.TaskGroup() as tasks:
            for session in self.sessions:
                if session.wants(intent) and session.has(guild_id):
                    tasks.create_task(session.dispatch(event, data))


def locale(language: str) -> str:
    """Discord's name of a language."""
    return {"en": "en-US", "es": "es-ES", "zh": "zh-CN", "pt": "pt-BR", "sv": "sv-SE"}.get(language, language)
