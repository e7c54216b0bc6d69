"""The stand-in of Discord: its bots, people, servers and messages, and the way of every request.

A request is logged (`calls`), counted against the limits, takes the fault that was wished for it, and is answered by
its route. A refusal for a broken limit is kept as a violation; what the stand-in does not know is kept in `errors`,
answered as an error, and raised when the stand-in closes, so that no test passes by it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import structlog
from aiohttp import web

from frontends.standins import person as words
from frontends.standins.changes import Changes
from frontends.standins.clock import Clock
from frontends.standins.discord import gateway, guilds
from frontends.standins.discord.bots import Bot
from frontends.standins.discord.interactions import Interaction
from frontends.standins.discord.limits import BUCKETS, Paces, Refusal
from frontends.standins.discord.messages import Attachment, Message
from frontends.standins.discord.people import Person
from frontends.standins.discord.places import Direct, Group, Place
from frontends.standins.discord.rest import ROUTES
from frontends.standins.discord.rest.calls import BODY_BYTES_MAX, Call, Handler
from frontends.standins.discord.sessions import INVALID, RECONNECT, Line
from frontends.standins.faults import Cut, Faults, Unanswered
from frontends.standins.person import Violation
from frontends.standins.shelf import FILE_BYTES_KEPT, INTERACTIONS_KEPT, MESSAGES_KEPT, Shelf

HOST = "127.0.0.1"
EPOCH_SECONDS = 1_420_070_400
CLOSE_SECONDS = 0.5

log = structlog.get_logger()


class Discord:
    def __init__(self, port: int = 0) -> None:
        self.clock = Clock()
        self.changes = Changes()
        self.faults = Faults(Refusal)
        self.bots: dict[int, Bot] = {}
        self.people: dict[int, Person] = {}
        self.groups: dict[int, Group] = {}
        """By the id of the server."""
        self.messages: Shelf[int, Message] = Shelf(MESSAGES_KEPT)
        self.interactions: Shelf[str, Interaction] = Shelf(INTERACTIONS_KEPT)
        """By token."""
        self.modals: Shelf[tuple[str, int, int], Any] = Shelf(INTERACTIONS_KEPT)
        """Open forms by custom id, channel and person."""
        self.lines: set[Line] = set()
        self.violations: list[Violation] = []
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, str]] = []
        """Name of the bot, and method with path, in order."""
        self.heartbeat_ms = 41_250
        self.shards = 1
        self.buckets = list(BUCKETS)
        """Of bots that are made from now on."""
        self.port = port
        self._places: dict[int, Place] = {}
        """Channels by their ids."""
        self._files: Shelf[int, Attachment] = Shelf(FILE_BYTES_KEPT)
        self._last_id = 0
        self._runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        """For `hikari.GatewayBot(rest_url=)`."""
        return f"http://{HOST}:{self.port}/api"

    @property
    def gateway_url(self) -> str:
        return f"ws://{HOST}:{self.port}/gateway"

    async def __aenter__(self) -> Discord:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        for method, pattern, handler in ROUTES:
            application.router.add_route(method, f"/api{pattern}", self._route(pattern, handler))
        application.router.add_get("/gateway", self._gateway)
        application.router.add_get("/files/{id}/{name}", self._file)
        application.router.add_route("*", "/api/{rest:.*}", self._unknown)
        self._runner = web.AppRunner(application, shutdown_timeout=CLOSE_SECONDS, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in [*self.lines]:
            await line.close(1001)
        assert self._runner is not None
        await self._runner.cleanup()
        if self.errors and error is None:
            raise self.errors[0]

    def bot(self, name: str, *, privileged: int = 0, token: str = "") -> Bot:
        """An application with its bot; `privileged` are the intents of that kind that it was granted."""
        id = self.snowflake() if not token else _id_of(token)
        token = token or base64.b64encode(str(id).encode()).decode().rstrip("=") + ".stand.in"
        self.bots[id] = Bot(self, id, name, token, Paces(self.buckets), privileged)
        return self.bots[id]

    def person(self, id: int, name: str = "Ann", language: str = "en") -> Person:
        """The person with this id; made at the first call."""
        return self.people.setdefault(id, Person(self, id, name, language))

    def group(
        self,
        title: str,
        *,
        bots: list[Bot],
        people: list[Person],
        admins: list[Person] | None = None,
        adult: bool = False,
    ) -> Group:
        """A server with one channel. Make it before its bots start when they want to hear of it."""
        guild = Group(self.snowflake(), self.snowflake(), title, people, bots, {one.id for one in admins or []}, adult)
        self.groups[guild.guild_id] = self._places[guild.id] = guild
        return guild

    def chat(self, person: words.Person, bot: words.Bot) -> Direct:
        assert isinstance(bot, Bot)
        assert isinstance(person, Person)
        if person.id not in bot.chats:
            bot.chats[person.id] = chat = Direct(self.snowflake(), bot, person)
            self._places[chat.id] = chat
        return bot.chats[person.id]

    def roster(self) -> list[Bot]:
        return list(self.bots.values())

    def message(self, id: int) -> Message | None:
        return self.messages.get(id)

    def places(self, person: words.Person) -> list[Group]:
        return [group for group in self.groups.values() if person in group.people]

    @property
    def unanswered(self) -> list[Interaction]:
        """What people asked and was not acknowledged in three seconds."""
        now = self.clock.now()
        return [asked for asked in self.interactions.values() if not asked.acknowledged and asked.overdue(now)]

    async def drops(self, bot: Bot | None = None, code: int = 4000) -> int:
        """Break the websockets of a bot, or of all; how many there were. They may resume."""
        lines = self._lines(bot)
        for line in lines:
            await line.close(code)
        return len(lines)

    async def asks_to_reconnect(self, bot: Bot) -> None:
        for line in self._lines(bot):
            await line.send(RECONNECT)

    async def invalidates(self, bot: Bot, *, resumable: bool) -> None:
        """Its sessions are over; `resumable` ones may try once more and succeed."""
        lines = self._lines(bot)
        if not resumable:
            bot.sessions.clear()
        for line in lines:
            await line.send(INVALID, resumable)

    def stops_beating(self, bot: Bot) -> None:
        """Heartbeats on its present websockets are not acknowledged any more."""
        for line in self._lines(bot):
            line.beats = False

    async def revokes(self, bot: Bot) -> None:
        """Its token is worth nothing from now on."""
        bot.revoked = True
        await self.drops(bot, 4004)

    def by_token(self, token: str) -> Bot | None:
        return next((bot for bot in self.bots.values() if bot.token == token and not bot.revoked), None)

    def place(self, id: int) -> Place | None:
        """The channel with this id."""
        return self._places.get(id)

    def guild_json(self, group: Group) -> dict[str, Any]:
        return guilds.to_json(group)

    def snowflake(self) -> int:
        """An id that says when it was made, and rises."""
        made = int((self.clock.now() - EPOCH_SECONDS) * 1000) << 22
        self._last_id = max(made, self._last_id + 1)
        return self._last_id

    def store(self, name: str, data: bytes, description: str = "") -> Attachment:
        id = self.snowflake()
        url = f"http://{HOST}:{self.port}/files/{id}/{name}"
        stored = Attachment(id, name, data, url, description)
        for forgotten in self._files.keep(id, stored, len(data)):
            forgotten.data = b""
        return stored

    def post(self, message: Message) -> None:
        """It is in the channel now."""
        for forgotten in self.messages.keep(message.id, message):
            forgotten.place.messages.remove(forgotten)
        message.place.messages.append(message)
        self.changes.tell(message)

    async def said(self, message: Message) -> None:
        """A person wrote; bots that want to hear it do, in a server without its content unless that was granted."""
        self.post(message)
        place = message.place
        if isinstance(place, Direct):
            if not place.blocked:
                await place.bot.push("MESSAGE_CREATE", message.to_json(), gateway.DIRECT_MESSAGES)
            return
        for bot in place.bots:
            told = message.to_json()
            if not bot.privileged & gateway.CONTENT and f"<@{bot.id}>" not in message.content:
                told |= {"content": "", "attachments": [], "embeds": [], "components": []}
            assert message.person is not None
            told["member"] = message.person.member_json(place)
            await bot.push("MESSAGE_CREATE", told, gateway.GUILD_MESSAGES, place.guild_id)

    async def asks(
        self, bot: Bot, person: Person, place: Place, kind: int, data: dict[str, Any], source: Message | None = None
    ) -> Interaction:
        """An interaction, sent to the bot; who is not connected does not get it."""
        id = self.snowflake()
        asked = Interaction(id, f"token-{id}", bot, person, place, kind, data, self.clock.now(), source)
        self.interactions.keep(asked.token, asked)
        await bot.push("INTERACTION_CREATE", asked.to_json(), guild_id=place.guild_id)
        return asked

    def _lines(self, bot: Bot | None) -> list[Line]:
        sessions = [session for one in self.bots.values() if bot in (None, one) for session in one.sessions]
        return [session.line for session in sessions if session.line is not None]

    def _route(self, pattern: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            call = Call(self, request)
            path = request.path.removeprefix("/api")
            name = f"{request.method} {path}"
            self.calls.append((call.caller.name if call.caller else "", name))
            headers: dict[str, str] = {}
            try:
                payer = self._payer(call)
                if payer is not None:
                    headers = payer.paces.spend(time.time(), request.method, pattern, path)
                said = await self.faults.around(name, payer, lambda: _answered(handler, call))
                return _response(200 if said[0] is not None else 204, said[0], headers)
            except Refusal as refusal:
                await request.read()
                return self._refused(call, name, refusal, headers)
            except (Cut, Unanswered):
                if request.transport is not None:  # else the bot has hung up by itself
                    request.transport.close()
                return web.Response()
            except ConnectionError:  # it has hung up in the middle of its request
                return web.Response()
            except Exception as error:
                log.exception("standin.failed", call=name)
                self.errors.append(error)
                return _response(400, {"code": 0, "message": "the stand-in failed"}, headers)

        return answer

    def _payer(self, call: Call) -> Bot | None:
        """Whose limits a call counts against: interactions name no token of a bot."""
        asked = self.interactions.get(call.request.match_info.get("token", ""))
        return asked.bot if asked else call.caller

    def _refused(self, call: Call, name: str, refusal: Refusal, headers: dict[str, str]) -> web.Response:
        if refusal.violation:
            payer = self._payer(call)
            said = f"{refusal.status} {refusal.body.get('errors') or refusal.body['message']}"
            self.violations.append(Violation(payer.name if payer else "", name, said))
        return _response(refusal.status, refusal.body, {**headers, **refusal.headers})

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        self.errors.append(LookupError(f"the stand-in of Discord has no route {request.method} {request.path}"))
        return _response(404, {"code": 0, "message": "404: Not Found"}, {})

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        return await gateway.converse(self, request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(int(request.match_info["id"]))
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found.data, content_type=found.mime_type)


async def _answered(handler: Handler, call: Call) -> tuple[Any]:
    """In a tuple, as None is an answer too."""
    return (await handler(call),)


def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    if status == 204:
        return web.Response(status=204, headers=headers)
    return web.json_response(body, status=status, headers=headers)


def _id_of(token: str) -> int:
    """A token begins with its application's id in base64."""
    head = token.partition(".")[0]
    return int(base64.b64decode(head + "=" * (-len(head) % 4)))
