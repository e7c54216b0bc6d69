"""The stand-in data centre: its bots, people, groups and messages, and the way of every call.

A call is logged (`calls`), takes the fault that was wished for it, and is answered by its method. A refusal for a
broken limit is kept as a violation; what the stand-in does not know is kept in `errors`, answered as an error, and
raised when the stand-in closes, so that no test passes by it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import structlog
from pyrogram.raw import types as tl

from frontends.standins import person as words
from frontends.standins.changes import Changes
from frontends.standins.clock import Clock
from frontends.standins.faults import Cut, Faults, Unanswered
from frontends.standins.person import Violation
from frontends.standins.shelf import MESSAGES_KEPT, Shelf
from frontends.standins.telegram import reach
from frontends.standins.telegram.bots import Bot
from frontends.standins.telegram.calls import Call
from frontends.standins.telegram.files import Files
from frontends.standins.telegram.limits import Refusal
from frontends.standins.telegram.messages import Message
from frontends.standins.telegram.methods import BEFORE_LOGIN, METHODS
from frontends.standins.telegram.people import Person
from frontends.standins.telegram.places import Group, Place, Private
from frontends.standins.telegram.sessions import Session
from frontends.standins.telegram.wire import HOST, Wire

FIRST_BOT_ID = 7_000_000
FIRST_GROUP_ID = 5_000_000

log = structlog.get_logger()


class Telegram:
    def __init__(self, port: int = 0, media_port: int = 0) -> None:
        self.clock = Clock()
        self.changes = Changes()
        self.faults = Faults(Refusal)
        self.files = Files()
        self.wire = Wire(self._answer)
        self.bots: dict[int, Bot] = {}
        self.people: dict[int, Person] = {}
        self.groups: dict[int, Group] = {}
        self.messages: Shelf[int, Message] = Shelf(MESSAGES_KEPT)
        self.violations: list[Violation] = []
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, str]] = []
        """Name of the bot and of the method, in order."""
        self._ports = port, media_port
        self._last_id = 0

    async def __aenter__(self) -> Telegram:
        await self.wire.open(*self._ports)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.wire.close()
        if self.errors and error is None:
            raise self.errors[0]

    @property
    def connection_factory(self) -> Callable[..., Any]:
        """For `pyrogram.Client(connection_factory=)`; another process takes `reach.connection_factory`."""
        return reach.connection_factory(HOST, self.wire.port, self.wire.media_port)

    def bot(self, name: str, *, privacy: bool = True, token: str = "") -> Bot:
        """A bot as BotFather makes one; `name` is its username, a token begins with its id."""
        id = int(token.partition(":")[0]) if token else FIRST_BOT_ID + len(self.bots)
        return self.bots.setdefault(id, Bot(self, id, name, token or f"{id}:standin-{name}", privacy))

    def person(self, id: int, name: str = "Ann", language: str = "en") -> Person:
        """The person with this id; made at the first call."""
        return self.people.setdefault(id, Person(self, id, name, language))

    def group(
        self,
        title: str,
        *,
        bots: list[Bot],
        people: list[Person],
        admins: list[Person | Bot] | None = None,
        supergroup: bool = True,
    ) -> Group:
        id = FIRST_GROUP_ID + len(self.groups)
        at = int(self.clock.now())
        self.groups[id] = Group(id, title, people, bots, {one.id for one in admins or []}, supergroup, at)
        return self.groups[id]

    async def adds(self, bot: Bot, group: Group, by: Person) -> Message:
        """Somebody brings a bot into a group; everybody there hears of it."""
        group.bots.append(bot)
        return await self.post(self.draft(group, person=by, action=tl.MessageActionChatAddUser(users=[bot.id])))

    def chat(self, person: words.Person, bot: words.Bot) -> Private:
        assert isinstance(bot, Bot)
        assert isinstance(person, Person)
        return bot.chats.setdefault(person.id, Private(bot, person))

    def roster(self) -> list[Bot]:
        return list(self.bots.values())

    def message(self, id: int) -> Message | None:
        return self.messages.get(id)

    def places(self, person: words.Person) -> list[Group]:
        return [group for group in self.groups.values() if person in group.people]

    def drops(self, bot: Bot | None = None) -> int:
        """Break the connections of a bot, or of all; how many there were."""
        return self.wire.drop(lambda session: bot is None or session.auth_key in bot.auth_keys)

    def revokes(self, bot: Bot) -> None:
        """Its token is worth nothing from now on, nor is a login that was made with it."""
        bot.revoked = True
        bot.auth_keys.clear()

    def next_id(self) -> int:
        """A number that nothing else has: of a message, a query, an album."""
        self._last_id += 1
        return self._last_id

    def draft(self, place: Place, **fields: Any) -> Message:
        """A message that is not yet said."""
        return Message(0, place, self.clock.now(), **fields)

    async def post(self, message: Message) -> Message:
        """Say it: it is in the chat, and the bots that may hear it do."""
        message.id = self.next_id()
        for forgotten in self.messages.keep(message.id, message):
            forgotten.place.messages.remove(forgotten)
        message.place.messages.append(message)
        self.changes.tell(message)
        supergroup = isinstance(message.place, Group) and message.place.supergroup
        kind = tl.UpdateNewChannelMessage if supergroup else tl.UpdateNewMessage
        for bot in message.place.hearers(message):
            await bot.push([bot.note(message, kind)], self.present(message.place), message.place)
        return message

    def present(self, place: Place) -> list[Person]:
        return place.people if isinstance(place, Group) else [place.person]

    def updates(self, bot: Bot, updates: list[Any], people: list[Person], place: Place) -> Any:
        return tl.Updates(
            updates=updates,
            users=[bot.to_tl(), *(person.to_tl() for person in people)],
            chats=[place.to_tl()] if isinstance(place, Group) else [],
            date=int(self.clock.now()),
            seq=0,
        )

    async def _answer(self, session: Session, request: Any) -> bytes:
        name = request.QUALNAME.removeprefix("functions.")
        bot = next((bot for bot in self.bots.values() if session.auth_key in bot.auth_keys), None)
        self.calls.append((bot.name if bot else "", name))
        try:
            return await self.faults.around(name, bot, lambda: self._done(Call(self, session, bot, request), name))
        except Refusal as refusal:
            if refusal.violation:
                self.violations.append(Violation(bot.name if bot else "", name, refusal.said))
            return _error(refusal.code, refusal.said)
        except (Cut, Unanswered):
            raise
        except Exception as error:
            log.exception("standin.failed", call=name)
            self.errors.append(error)
            return _error(400, "STAND_IN_FAILED")

    async def _done(self, call: Call, name: str) -> bytes:
        if call.account is None and name not in BEFORE_LOGIN:
            raise Refusal(401, "AUTH_KEY_UNREGISTERED")
        if name not in METHODS:
            raise LookupError(f"the stand-in of Telegram does not know {name}")
        answer = await METHODS[name](call)
        return answer if isinstance(answer, bytes) else bytes(answer.write())


def _error(code: int, said: str) -> bytes:
    return bytes(tl.RpcError(error_code=code, error_message=said).write())
