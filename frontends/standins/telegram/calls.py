"""One call of a bot: who asks what, and the chats and people that its request names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.bots import Bot
from frontends.standins.telegram.limits import Refusal
from frontends.standins.telegram.messages import Message
from frontends.standins.telegram.people import Person
from frontends.standins.telegram.places import Group, Place
from frontends.standins.telegram.sessions import Session

if TYPE_CHECKING:
    from frontends.standins.telegram.telegram import Telegram


@dataclass(frozen=True)
class Call:
    telegram: Telegram
    session: Session
    account: Bot | None
    """None before the login."""
    request: Any

    @property
    def bot(self) -> Bot:
        assert self.account is not None
        return self.account

    @property
    def now(self) -> float:
        return self.telegram.clock.now()

    def place(self, peer: Any) -> Place:
        """The chat that an InputPeer names. Raises the refusal when the bot knows no such chat."""
        if isinstance(peer, tl.InputPeerUser):
            chat = self.bot.chats.get(peer.user_id)
            if chat is None or peer.access_hash not in (chat.person.access_hash, 0):
                raise Refusal(400, "PEER_ID_INVALID")
            return chat
        group = self.group(getattr(peer, "chat_id", None) or getattr(peer, "channel_id", None))
        if group.supergroup and peer.access_hash != group.access_hash:
            raise Refusal(400, "CHANNEL_INVALID")
        return group

    def writable(self, peer: Any) -> Place:
        """A chat that the bot may write to."""
        place = self.place(peer)
        place.admit(self.bot)
        return place

    def group(self, id: int | None) -> Group:
        group = self.telegram.groups.get(id or 0)
        if group is None or self.bot not in group.bots:
            raise Refusal(400, "PEER_ID_INVALID")
        return group

    def person(self, user: Any) -> Person:
        found = self.telegram.people.get(getattr(user, "user_id", 0))
        if found is None:
            raise Refusal(400, "USER_ID_INVALID")
        return found

    def message(self, id: int) -> Message | None:
        """A message that this bot can know."""
        found = self.telegram.messages.get(id)
        if found is None or found.deleted:
            return None
        place = found.place
        known = self.bot in place.bots if isinstance(place, Group) else place.bot is self.bot
        return found if known else None

    def once(self, *random_ids: int) -> None:
        """What was sent before is not sent again (a client repeats what it got no answer for)."""
        if self.bot.random_ids & set(random_ids):
            raise Refusal(500, "RANDOM_ID_DUPLICATE")
        self.bot.random_ids |= set(random_ids)

    def spend(self, place: Place, count: int = 1) -> None:
        self.bot.paces.spend(self.now, place.id, place.private, count)


Method = Callable[[Call], Awaitable[Any]]
