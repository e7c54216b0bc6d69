"""The data centre's two doors: TCP ports on loopback, one for everything and one for files alone.

A connection first exchanges keys in clear, or comes with a key that is known from before; then everything is one
`Session`. The connections' own tasks belong to asyncio's server; the requests of one run in its task group, which waits
for what was begun even when the client is gone, as the genuine server would.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from io import BytesIO

from pyrogram.raw.core import TLObject

from frontends.standins.telegram.keys import Exchange, key_id
from frontends.standins.telegram.sessions import UNKNOWN_KEY, Answering, Session, opened
from frontends.standins.telegram.transport import Transport

HOST = "127.0.0.1"
STREAM_BYTES = 4 * 1024**2


class Wire:
    def __init__(self, answer: Answering) -> None:
        self.sessions: dict[tuple[bytes, bytes], Session] = {}
        """By auth key and session id, also of clients that are away."""
        self.port = 0
        self.media_port = 0
        self._answer = answer
        self._keys: dict[bytes, bytes] = {}
        self._salt = int.from_bytes(os.urandom(7), "little")
        self._doors: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[object]] = set()

    async def open(self, port: int = 0, media_port: int = 0) -> None:
        """Listen; port 0 takes any that is free."""
        for wanted, accept in ((port, self._accept), (media_port, self._accept_media)):
            self._doors.append(await asyncio.start_server(accept, HOST, wanted, limit=STREAM_BYTES))
        self.port, self.media_port = (door.sockets[0].getsockname()[1] for door in self._doors)

    async def close(self) -> None:
        for door in self._doors:
            door.close()
        self.drop(lambda session: True)
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def drop(self, which: Callable[[Session], bool]) -> int:
        """Break connections; how many were broken."""
        broken = [session for session in self.sessions.values() if session.transport and which(session)]
        for session in broken:
            session.abort()
        return len(broken)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._connection(Transport(reader, writer), media=False)

    async def _accept_media(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._connection(Transport(reader, writer), media=True)

    async def _connection(self, transport: Transport, media: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._converse(transport, media, tasks)
        except asyncio.CancelledError:
            return  # the server closes; asyncio's own task has nobody to tell
        finally:
            self._connections.discard(task)
            transport.close()

    async def _converse(self, transport: Transport, media: bool, tasks: asyncio.TaskGroup) -> None:
        exchange, session = Exchange(), None
        try:
            await transport.open()
            while True:
                packet = await transport.read()
                if packet[:8] == bytes(8):
                    await self._exchange(exchange, transport, packet)
                    continue
                auth_key = self._keys.get(packet[:8])
                clear = opened(packet, auth_key) if auth_key else None
                if auth_key is None or clear is None:
                    await transport.write(UNKNOWN_KEY)
                    continue
                if session is None:
                    session = self._session(auth_key, clear[8:16], media)
                    session.attach(transport)
                await session.handle(clear, tasks, self._answer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return
        finally:
            if session is not None:
                session.detach(transport)

    def _session(self, auth_key: bytes, session_id: bytes, media: bool) -> Session:
        fresh = Session(auth_key, session_id, self._salt, media)
        return self.sessions.setdefault((auth_key, session_id), fresh)

    async def _exchange(self, exchange: Exchange, transport: Transport, packet: bytes) -> None:
        answer = exchange.step(TLObject.read(BytesIO(packet[20:])))
        if exchange.auth_key is not None:
            self._keys[key_id(exchange.auth_key)] = exchange.auth_key
        if answer is not None:
            await transport.write(answer)
