"""Private chats and groups: who is in them, what was said, and which bots hear of it.

A bot cannot write first, nor to somebody who blocked it. In a group a bot with privacy mode hears commands that are
meant for it, replies to it and service messages (https://core.telegram.org/bots/features#privacy-mode), as an
administrator everything, and never another bot. A supergroup counts its own updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.layer import only_known
from frontends.standins.telegram.limits import Refusal
from frontends.standins.telegram.texts import COMMAND

if TYPE_CHECKING:
    from frontends.standins.telegram.bots import Bot
    from frontends.standins.telegram.messages import Message
    from frontends.standins.telegram.people import Person


@dataclass(eq=False)
class Private:
    """One person's chat with one bot."""

    bot: Bot
    person: Person
    messages: list[Message] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    """Typing, uploading: what the bot showed it was doing."""
    blocked: bool = False

    private = True

    @property
    def id(self) -> int:
        return self.person.id

    @property
    def title(self) -> str:
        return self.bot.name

    def peer(self) -> Any:
        return tl.PeerUser(user_id=self.person.id)

    def hearers(self, message: Message) -> list[Bot]:
        return [self.bot] if message.bot is None and not self.blocked else []

    def admit(self, bot: Bot) -> None:
        """Raises the refusal when this bot may not write here."""
        if self.blocked:
            raise Refusal(400, "USER_IS_BLOCKED")
        if not any(message.person for message in self.messages):
            raise Refusal(400, "PEER_ID_INVALID")


@dataclass(eq=False)
class Group:
    id: int
    title: str
    people: list[Person]
    bots: list[Bot]
    admins: set[int]
    """Ids of people and bots."""
    supergroup: bool
    at: int
    messages: list[Message] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    muted: set[int] = field(default_factory=set)
    """Ids of bots that may not write."""
    pts: int = 1

    private = False

    @property
    def access_hash(self) -> int:
        return self.id * 17

    def peer(self) -> Any:
        return tl.PeerChannel(channel_id=self.id) if self.supergroup else tl.PeerChat(chat_id=self.id)

    def hearers(self, message: Message) -> list[Bot]:
        return [] if message.bot else [bot for bot in self.bots if self._hears(bot, message)]

    def admit(self, bot: Bot) -> None:
        if bot not in self.bots:
            raise Refusal(400, "CHANNEL_PRIVATE" if self.supergroup else "PEER_ID_INVALID")
        if bot.id in self.muted:
            raise Refusal(403, "CHAT_WRITE_FORBIDDEN")

    def _hears(self, bot: Bot, message: Message) -> bool:
        if message.action is not None or not bot.privacy or bot.id in self.admins:
            return True
        if any(said.id == message.reply_to and said.bot is bot for said in self.messages):
            return True
        command = COMMAND.match(message.text)
        if not command:
            return False
        if command.group(1):
            return command.group(1)[1:].lower() == bot.name.lower()
        last = next((said.bot for said in reversed(self.messages) if said.bot), None)
        return last in (None, bot)

    def to_tl(self) -> Any:
        common = {"id": self.id, "title": self.title, "photo": tl.ChatPhotoEmpty(), "date": self.at}
        count = len(self.people) + len(self.bots)
        if self.supergroup:
            return only_known(
                tl.Channel, **common, access_hash=self.access_hash, megagroup=True, participants_count=count
            )
        return only_known(tl.Chat, **common, participants_count=count, version=1)


Place = Private | Group
