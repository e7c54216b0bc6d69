"""A bot's account: its token, who is logged in as it, its updates, menus and what it was asked.

Updates have numbers (pts) so that a client that starts again gets what it missed by getDifference; presses and
checkouts have none and are lost then. A supergroup has numbers of its own, by getChannelDifference. A client that only
lost its connection gets everything when it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrogram.raw import types as tl

from frontends.standins.person import Answer, Command
from frontends.standins.telegram.layer import only_known
from frontends.standins.telegram.limits import Paces
from frontends.standins.telegram.places import Group, Place, Private

if TYPE_CHECKING:
    from frontends.standins.telegram.messages import Message
    from frontends.standins.telegram.people import Person
    from frontends.standins.telegram.sessions import Session
    from frontends.standins.telegram.telegram import Telegram

UPDATES_KEPT = 5000
"""For clients that were away."""
SCOPES = ("BotCommandScopeUsers", "BotCommandScopeDefault")
"""Where a private chat looks for its menu, first to last."""


@dataclass(eq=False)
class Query:
    """A press or a checkout that waits for the bot's answer."""

    at: float
    answer: Answer | None = None
    declined: str | None = None


@dataclass(frozen=True)
class Noted:
    """An update that is kept for whoever is away."""

    supergroup: int | None
    """Whose numbers it counts by; None: the account's own."""
    pts: int
    at: int
    build: Callable[[], Any]
    random_id: int | None
    """Of a message of the bot's own: what the client had called it."""


@dataclass
class Charge:
    person: Person
    place: Place
    amount: int
    payload: bytes
    refunded: bool = False


@dataclass(eq=False)
class Bot:
    telegram: Telegram
    id: int
    name: str
    token: str
    privacy: bool = True
    revoked: bool = False
    auth_keys: set[bytes] = field(default_factory=set)
    menus: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    """Commands by scope and language."""
    info: dict[tuple[str, str], str] = field(default_factory=dict)
    """Name, about and description by language."""
    chats: dict[int, Private] = field(default_factory=dict)
    queries: dict[int, Query] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    random_ids: set[int] = field(default_factory=set)
    paces: Paces = field(default_factory=Paces)
    pts: int = 1
    _log: deque[Noted] = field(default_factory=lambda: deque(maxlen=UPDATES_KEPT))

    @property
    def connected(self) -> bool:
        return any(session.live for session in self.sessions())

    def sessions(self) -> list[Session]:
        """Where updates go: main sessions."""
        sessions = self.telegram.wire.sessions.values()
        return [session for session in sessions if session.auth_key in self.auth_keys and not session.media]

    def menu(self, language: str) -> list[Command]:
        for scope in SCOPES:
            for code in (language, ""):
                if (scope, code) in self.menus:
                    return [Command(name, said) for name, said in self.menus[scope, code]]
        return []

    def to_tl(self) -> Any:
        return only_known(
            tl.User,
            id=self.id,
            is_self=True,
            bot=True,
            access_hash=self.id * 13,
            first_name=self.name,
            username=self.name,
            bot_info_version=1,
            bot_chat_history=not self.privacy or None,
        )

    def next_pts(self, place: Place) -> int:
        """Number of the next update about this chat."""
        if isinstance(place, Group) and place.supergroup:
            place.pts += 1
            return place.pts
        self.pts += 1
        return self.pts

    def note(self, message: Message, kind: Any, random_id: int | None = None) -> Any:
        """An update about a message, numbered and kept for whoever is away."""
        pts = self.next_pts(message.place)

        def build() -> Any:
            return kind(message=message.to_tl(self), pts=pts, pts_count=1)

        place, at = message.place, int(self.telegram.clock.now())
        supergroup = place.id if isinstance(place, Group) and place.supergroup else None
        self._log.append(Noted(supergroup, pts, at, build, random_id))
        return build()

    def missed(self, pts: int, supergroup: int | None = None) -> list[Any]:
        """What came after a number, of the account or of a supergroup; own messages with what they were called."""
        found = [noted for noted in self._log if noted.supergroup == supergroup and noted.pts > pts]
        updates = [(noted.random_id, noted.build()) for noted in found]
        named = [tl.UpdateMessageID(id=update.message.id, random_id=name) for name, update in updates if name]
        return [*named, *(update for _, update in updates)]

    def changed(self, since: int) -> set[int]:
        """Supergroups in which something happened."""
        return {noted.supergroup for noted in self._log if noted.supergroup is not None and noted.at >= since}

    async def push(self, updates: list[Any], people: list[Person], place: Place) -> None:
        """Tell whoever is logged in."""
        body = self.telegram.updates(self, updates, people, place).write()
        for session in self.sessions():
            await session.push(body)
