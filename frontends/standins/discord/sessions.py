"""A gateway session: numbered events, kept so that they can be sent again when the client resumes.

It outlives its websocket; while nobody is there events are only kept. Each websocket has a compression of its own.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import deque
from typing import Any

from aiohttp import web

from frontends.standins.discord.limits import EVENTS_KEPT

SEND_SECONDS = 10.0
DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO, ACKNOWLEDGED = 0, 1, 2, 6, 7, 9, 10, 11


class Line:
    """One websocket, compressed as its client wished."""

    def __init__(self, socket: web.WebSocketResponse, compress: str | None) -> None:
        self.socket = socket
        self.beats = True
        """Whether heartbeats are acknowledged."""
        self._deflate = zlib.compressobj() if compress == "zlib-stream" else None
        self._writing = asyncio.Lock()

    async def send(self, op: int, data: Any = None, *, event: str | None = None, sequence: int | None = None) -> None:
        raw = json.dumps({"op": op, "d": data, "t": event, "s": sequence})
        async with self._writing:
            if self.socket.closed:
                return
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._write(raw)
            except (ConnectionError, TimeoutError):
                await self.close()

    async def close(self, code: int = 4000, said: bytes = b"") -> None:
        await self.socket.close(code=code, message=said)

    async def _write(self, raw: str) -> None:
        if self._deflate is None:
            await self.socket.send_str(raw)
            return
        await self.socket.send_bytes(self._deflate.compress(raw.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH))


class Session:
    def __init__(self, id: str, intents: int, shard: tuple[int, int], line: Line) -> None:
        self.id, self.intents, self.shard = id, intents, shard
        self.line: Line | None = line
        self.sequence = 0
        self._kept: deque[tuple[int, str, Any]] = deque(maxlen=EVENTS_KEPT)

    @property
    def live(self) -> bool:
        return self.line is not None and not self.line.socket.closed

    def wants(self, intent: int) -> bool:
        return not intent or bool(self.intents & intent)

    def has(self, guild_id: int) -> bool:
        """Whether this shard has the server; direct messages are the first one's."""
        index, count = self.shard
        return (guild_id >> 22) % count == index

    async def dispatch(self, event: str, data: Any) -> None:
        self.sequence += 1
        self._kept.append((self.sequence, event, data))
        if self.line is not None:
            await self.line.send(DISPATCH, data, event=event, sequence=self.sequence)

    async def resume(self, line: Line, after: int) -> None:
        """Send what came since."""
        self.line = line
        for sequence, event, data in [*self._kept]:
            if sequence > after:
                await line.send(DISPATCH, data, event=event, sequence=sequence)
        await self.dispatch("RESUMED", {})
