"""The gateway's side of a websocket: HELLO, IDENTIFY or RESUME, heartbeats, and the close codes for what is wrong
(https://discord.com/developers/docs/topics/opcodes-and-status-codes). Starts are paced: one in five seconds."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from frontends.standins.discord.bots import Bot
from frontends.standins.discord.limits import GATEWAY_SECONDS, GATEWAY_SENDS, IDENTIFY_SECONDS, Window
from frontends.standins.discord.sessions import (
    ACKNOWLEDGED,
    HEARTBEAT,
    HELLO,
    IDENTIFY,
    INVALID,
    RESUME,
    Line,
    Session,
)
from frontends.standins.person import Violation

if TYPE_CHECKING:
    from frontends.standins.discord.discord import Discord

MEMBERS, PRESENCES, GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, CONTENT = 1 << 1, 1 << 8, 1 << 0, 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = MEMBERS | PRESENCES | CONTENT
EVERY_INTENT = (1 << 26) - 1
BEATS_MISSED_MAX = 1.5
PAYLOAD_BYTES_MAX = 4096
UNKNOWN_OP, DECODE, UNAUTHENTICATED, BAD_TOKEN, TWICE, TOO_FAST = 4001, 4002, 4003, 4004, 4005, 4008
TIMED_OUT, BAD_SHARD, BAD_INTENTS, DENIED_INTENTS = 4009, 4010, 4013, 4014


class Wrong(Exception):
    """The websocket is closed with this code."""


class Conversation:
    """One websocket from HELLO to its end."""

    def __init__(self, discord: Discord, line: Line) -> None:
        self._discord = discord
        self._line = line
        self._bot: Bot | None = None
        self._session: Session | None = None
        self._pace = Window(GATEWAY_SENDS, GATEWAY_SECONDS)
        self._beaten_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        await self._line.send(HELLO, {"heartbeat_interval": self._discord.heartbeat_ms})
        try:
            while (payload := await self._receive()) is not None:
                await self._take(payload)
        except Wrong as wrong:
            await self._line.close(int(str(wrong)))
        finally:
            if self._session is not None and self._session.line is self._line:
                self._session.line = None

    async def _receive(self) -> Any:
        """The next payload; None at the end."""
        patience = self._discord.heartbeat_ms / 1000 * BEATS_MISSED_MAX
        try:
            async with asyncio.timeout_at(self._beaten_at + patience):
                raw = await self._line.socket.receive()
        except TimeoutError:
            raise Wrong(TIMED_OUT) from None
        if raw.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        if not self._pace.take(self._discord.clock.now()):
            self._violate("gateway", "more than 120 payloads a minute")
            raise Wrong(TOO_FAST)
        if len(raw.data) > PAYLOAD_BYTES_MAX:
            raise Wrong(DECODE)
        return json.loads(raw.data)

    async def _take(self, payload: Any) -> None:
        op, data = payload["op"], payload.get("d")
        if op == HEARTBEAT:
            self._beaten_at = asyncio.get_running_loop().time()
            if self._line.beats:
                await self._line.send(ACKNOWLEDGED)
        elif op == IDENTIFY:
            await self._identify(data)
        elif op == RESUME:
            await self._resume(data)
        elif self._session is None:
            raise Wrong(UNAUTHENTICATED)

    async def _identify(self, data: Any) -> None:
        if self._session is not None:
            raise Wrong(TWICE)
        bot = self._authenticated(data["token"])
        shard = self._shard(data.get("shard") or [0, 1])
        intents = self._intents(bot, data["intents"])
        if self._too_soon(bot, shard):
            await self._line.send(INVALID, False)
            return
        bot.identifies += 1
        bot.starts_left -= 1
        session = Session(secrets.token_hex(16), intents, shard, self._line)
        self._bot, self._session = bot, session
        bot.sessions.append(session)
        await session.dispatch("READY", self._ready(bot, session))
        await self._introduce(bot, session)

    def _ready(self, bot: Bot, session: Session) -> dict[str, Any]:
        guilds = [group for group in self._discord.groups.values() if bot in group.bots]
        return {
            "v": 10,
            "user": bot.to_json(),
            "guilds": [
                {"id": str(group.guild_id), "unavailable": True} for group in guilds if session.has(group.guild_id)
            ],
            "session_id": session.id,
            "resume_gateway_url": self._discord.gateway_url,
            "shard": list(session.shard),
            "application": {"id": str(bot.id), "flags": 0},
        }

    async def _introduce(self, bot: Bot, session: Session) -> None:
        """Its servers, when it wants them."""
        for group in self._discord.groups.values():
            if bot in group.bots and session.wants(GUILDS) and session.has(group.guild_id):
                await session.dispatch("GUILD_CREATE", self._discord.guild_json(group))

    async def _resume(self, data: Any) -> None:
        bot = self._authenticated(data["token"])
        session = next((one for one in bot.sessions if one.id == data["session_id"]), None)
        if session is None or data["seq"] > session.sequence:
            await self._line.send(INVALID, False)
            return
        bot.resumes += 1
        self._bot, self._session = bot, session
        await session.resume(self._line, data["seq"])

    def _authenticated(self, token: str) -> Bot:
        bot = self._discord.by_token(token)
        if bot is None:
            raise Wrong(BAD_TOKEN)
        return bot

    def _shard(self, wanted: list[int]) -> tuple[int, int]:
        index, count = wanted
        if not 0 <= index < count:
            raise Wrong(BAD_SHARD)
        return index, count

    def _intents(self, bot: Bot, intents: int) -> int:
        if intents & ~EVERY_INTENT:
            raise Wrong(BAD_INTENTS)
        if intents & PRIVILEGED & ~bot.privileged:
            raise Wrong(DENIED_INTENTS)
        return intents

    def _too_soon(self, bot: Bot, shard: tuple[int, int]) -> bool:
        """One start in five seconds, whichever shard it is of."""
        now = self._discord.clock.now()
        soon = now - max(bot.identified_at.values(), default=0.0) < IDENTIFY_SECONDS
        if soon:
            self._violate("IDENTIFY", f"a second start within {IDENTIFY_SECONDS:g} s")
        else:
            bot.identified_at[shard[0]] = now
        return soon

    def _violate(self, call: str, said: str) -> None:
        self._discord.violations.append(Violation(self._bot.name if self._bot else "", call, said))


async def converse(discord: Discord, request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    line = Line(socket, request.query.get("compress"))
    discord.lines.add(line)
    try:
        await Conversation(discord, line).run()
    finally:
        discord.lines.discard(line)
    return socket
