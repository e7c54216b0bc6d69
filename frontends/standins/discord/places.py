"""Direct messages and servers: who is there and what a bot may do. A server has one channel here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frontends.standins.discord.limits import ATTACHMENT_BYTES_MAX, Refusal

if TYPE_CHECKING:
    from frontends.standins.discord.bots import Bot
    from frontends.standins.discord.messages import Message
    from frontends.standins.discord.people import Person

PERMISSIONS = {
    "ADMINISTRATOR": 1 << 3,
    "MANAGE_GUILD": 1 << 5,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "MANAGE_MESSAGES": 1 << 13,
    "EMBED_LINKS": 1 << 14,
    "ATTACH_FILES": 1 << 15,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "USE_APPLICATION_COMMANDS": 1 << 31,
}
MEMBER = ("VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY")
MEMBER_PERMISSIONS = sum(PERMISSIONS[name] for name in (*MEMBER, "USE_APPLICATION_COMMANDS"))
TEXT_CHANNEL, DIRECT_CHANNEL = 0, 1
IN_SERVER, IN_BOT_DIRECT, IN_OTHER_DIRECT = 0, 1, 2


@dataclass(eq=False)
class Direct:
    """One person's direct messages with one bot."""

    id: int
    bot: Bot
    person: Person
    messages: list[Message] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    blocked: bool = False
    attachment_bytes_max: int = ATTACHMENT_BYTES_MAX

    private = True
    guild_id = 0
    context = IN_BOT_DIRECT
    adult = False

    @property
    def title(self) -> str:
        return self.bot.name

    def permissions(self, bot: Bot) -> int:
        return MEMBER_PERMISSIONS

    def admit(self, bot: Bot, files: bool) -> None:
        """Raises the refusal when this bot may not write here by itself."""
        if bot is not self.bot:
            raise Refusal(403, 50001, "Missing Access")
        acquainted = self.person.shares_place_with(bot) or any(message.person for message in self.messages)
        if self.blocked or not acquainted:
            raise Refusal(403, 50007, "Cannot send messages to this user")

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "type": DIRECT_CHANNEL,
            "last_message_id": None,
            "recipients": [self.person.to_json()],
        }


@dataclass(eq=False)
class Group:
    """A server and its channel."""

    guild_id: int
    id: int
    title: str
    people: list[Person]
    bots: list[Bot]
    admins: set[int]
    """Ids of people."""
    adult: bool = False
    messages: list[Message] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    attachment_bytes_max: int = ATTACHMENT_BYTES_MAX
    forbidden: dict[int, set[str]] = field(default_factory=dict)

    private = False
    context = IN_SERVER

    def forbids(self, bot: Bot, *names: str) -> None:
        """Take permissions from a bot in this channel, by their names in PERMISSIONS."""
        assert set(names) <= set(PERMISSIONS), f"of {sorted(PERMISSIONS)}"
        self.forbidden.setdefault(bot.id, set()).update(names)

    def permissions(self, bot: Bot) -> int:
        if bot not in self.bots:
            return PERMISSIONS["EMBED_LINKS"] | PERMISSIONS["ATTACH_FILES"]
        return MEMBER_PERMISSIONS & ~sum(PERMISSIONS[name] for name in self.forbidden.get(bot.id, ()))

    def rights_of(self, person: Person) -> int:
        manages = PERMISSIONS["MANAGE_GUILD"] | PERMISSIONS["ADMINISTRATOR"]
        return MEMBER_PERMISSIONS | (manages if person.id in self.admins else 0)

    def admit(self, bot: Bot, files: bool) -> None:
        may = self.permissions(bot)
        if bot not in self.bots or not may & PERMISSIONS["VIEW_CHANNEL"]:
            raise Refusal(403, 50001, "Missing Access")
        if not may & PERMISSIONS["SEND_MESSAGES"] or (files and not may & PERMISSIONS["ATTACH_FILES"]):
            raise Refusal(403, 50013, "Missing Permissions")

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "type": TEXT_CHANNEL,
            "guild_id": str(self.guild_id),
            "name": "general",
            "position": 0,
            "permission_overwrites": [],
            "nsfw": self.adult,
            "parent_id": None,
            "topic": None,
            "last_message_id": None,
            "rate_limit_per_user": 0,
        }


Place = Direct | Group
