"""The websocket: what happens inside a run, the moment it happens, and never more than a hint.

Every connection has a client id of its own: when two share one and the older closes, the server forgets the newer.
There is no task that reads: whoever waits for an event of its run reads for everybody and puts what is another's into
its tray. Nobody reads between runs, so a connection that broke meanwhile is noticed when the next run begins.
The server never pings; we do, after a silence, and one that does not answer is given up: the run goes on, and the
history will tell how it ended. Frames: research notes, section 4.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import structlog

from agent import clock
from agent.engine.comfyui.server import Server

CONNECT_SECONDS = 10.0
QUIET_SECONDS = 5.0
"""After so long without a word the server is pinged."""
GLANCE_SECONDS = 0.0005
"""To read away what is there already."""
PONG_SECONDS = 60.0
"""A node that holds the GIL kept a living server silent for 18 s."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
HELLO = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
"""Counts as the first message only; makes previews say which run they belong to."""

log = structlog.get_logger()


class Node(msgspec.Struct, frozen=True):
    value: float
    max: float
    state: str


class Stepped(msgspec.Struct, frozen=True):
    """Where each node of a run that has begun stands."""

    prompt_id: str
    nodes: dict[str, Node]


class Executing(msgspec.Struct, frozen=True):
    prompt_id: str
    node: str | None
    """None: the run has ended, and its entry is in the history."""


class Cached(msgspec.Struct, frozen=True):
    prompt_id: str
    nodes: list[str]


class Ended(msgspec.Struct, frozen=True):
    """The run is over; the history may need a moment to know."""

    prompt_id: str


class Glimpse(msgspec.Struct, frozen=True):
    prompt_id: str
    image: bytes


Event = Stepped | Executing | Cached | Ended | Glimpse


class Feed:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading = asyncio.Lock()
        self._trays: dict[str, deque[Event]] = {}
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self.client_id = ""

    @property
    def live(self) -> bool:
        return self._socket is not None and not self._socket.closed

    @contextmanager
    def tray(self, prompt_id: str) -> Iterator[None]:
        """Within, the events of this run are kept until `next` asks for them."""
        self._trays[prompt_id] = deque()
        try:
            yield
        finally:
            del self._trays[prompt_id]

    async def connect(self) -> None:
        """Makes sure of a connection; without one the run has to do with the history."""
        async with self._reading:
            if self.live and (len(self._trays) > 1 or await self._is_current()):
                return
            await self.close()
            self.client_id = uuid4().hex
            address = f"{self._server.url}/ws?clientId={self.client_id}"
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    socket = await self._server.session.ws_connect(
                        address, max_msg_size=MESSAGE_BYTES_MAX, autoping=False
                    )
                    await socket.send_str(HELLO)
            except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
                log.warning("feed.failed", problem=str(error) or type(error).__name__)
                return
            self._socket, self._heard_at, self._pinged_at = socket, clock.now(), None

    async def next(self, prompt_id: str, seconds: float) -> Event | None:
        """What happens to this run within so long; None: nothing, or the connection was lost."""
        tray, was_live = self._trays[prompt_id], self.live
        try:
            async with asyncio.timeout(seconds):
                while not tray and self.live == was_live:
                    async with self._reading:
                        if not tray and self.live == was_live:
                            await self._read()
        except TimeoutError:
            return None
        return tray.popleft() if tray else None

    async def _read(self) -> None:
        """One message, into the tray where it belongs."""
        if self._socket is None or self._socket.closed:
            await asyncio.sleep(QUIET_SECONDS)
            return
        try:
            message = await self._socket.receive(timeout=QUIET_SECONDS)
        except TimeoutError:
            await self._ping()
            return
        self._heard_at, self._pinged_at = clock.now(), None
        event = await self._understand(message)
        if event is not None and event.prompt_id in self._trays:
            self._trays[event.prompt_id].append(event)

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None and not socket.closed:
            try:
                async with asyncio.timeout(1.0):
                    await socket.close()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.debug("feed.closed_badly", problem=str(error))

    async def _is_current(self) -> bool:
        """Reads away what came since the last run, and finds out whether the other end has hung up."""
        while self._socket is not None and not self._socket.closed:
            try:
                message = await self._socket.receive(timeout=GLANCE_SECONDS)
            except TimeoutError:
                return True
            await self._understand(message)
        return False

    async def _understand(self, message: aiohttp.WSMessage) -> Event | None:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return parse_text(message.data)
            case aiohttp.WSMsgType.BINARY:
                return parse_binary(message.data)
            case aiohttp.WSMsgType.PING if self._socket is not None:
                await self._socket.pong(message.data)
            case aiohttp.WSMsgType.PONG | aiohttp.WSMsgType.PING:
                pass
            case _:
                log.info("feed.lost")
                await self.close()
        return None

    async def _ping(self) -> None:
        now = clock.now()
        if self._pinged_at is None and now - self._heard_at >= QUIET_SECONDS and self._socket is not None:
            self._pinged_at = now
            try:
                await self._socket.ping()
            except (aiohttp.ClientError, OSError):
                await self.close()
        elif self._pinged_at is not None and now - self._pinged_at >= PONG_SECONDS:
            log.warning("feed.half_open")
            await self.close()


def parse_text(text: str) -> Event | None:
    """None for what is of no use here, which includes all that is not about a run."""
    try:
        told = json.loads(text)
        kind, data = told["type"], told["data"]
        prompt_id = data.get("prompt_id")
        if not isinstance(prompt_id, str):
            return None
        match kind:
            case "progress_state":
                return msgspec.convert(data, Stepped)
            case "executing":
                return msgspec.convert(data, Executing)
            case "execution_cached":
                return msgspec.convert(data, Cached)
            case "execution_success" | "execution_error" | "execution_interrupted":
                return Ended(prompt_id)
    except (AttributeError, KeyError, TypeError, ValueError, msgspec.ValidationError):
        log.warning("feed.not_understood")
    return None


def parse_binary(frame: bytes) -> Glimpse | None:
    """Previews that say whose they are (type 4); others (type 1) may belong to anybody."""
    try:
        event, length = struct.unpack_from(">II", frame)
        if event != 4:
            return None
        about: dict[str, Any] = json.loads(frame[8 : 8 + length])
        return Glimpse(str(about["prompt_id"]), frame[8 + length :])
    except (KeyError, TypeError, ValueError, struct.error):
        log.warning("feed.not_understood")
        return None
