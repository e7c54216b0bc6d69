"""Server-Sent Events: an answer that goes on for as long as its frames do (WHATWG HTML, section 9.2).

Frames are asked for one at a time and the next one not before the last has been taken, so a reader that is slow holds
back nothing but its own stream; one that takes nothing at all for some seconds is let go and comes back by id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from litestar.types import Receive, Scope, Send

from control_plane.api.operation import extend_deadline
from control_plane.api.presence import watched
from control_plane.context import Context
from control_plane.events.feed import Listener
from control_plane.jobs.streams import Frame

MEDIA_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 1_000
"""After which a browser connects again."""
HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep frames until it has a buffer full of them
]
COMMENT = b": still here\n"


class Stream:
    """The answer. `first` has been asked for already, so that what cannot begin could still be refused."""

    __slots__ = ("_first", "_frames", "_listener", "_send_seconds", "_tasks")

    def __init__(self, context: Context, listener: Listener, first: Frame, frames: AsyncGenerator[Frame, None]) -> None:
        self._tasks = context.tasks
        self._send_seconds = context.dispatcher.feed.send_seconds
        self._listener = listener
        self._first = first
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extend_deadline(scope, None)
        async with aclosing(self._frames):
            with watched(self._tasks, receive, self._listener.leave):
                await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
                await self._pass_on(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass_on(self, send: Send) -> None:
        """Raises `TimeoutError` when the client takes nothing."""
        retry = b"retry: %d\n" % RETRY_MILLISECONDS
        await self._send(send, retry + written(self._first))
        async for frame in self._frames:
            await self._send(send, written(frame))

    async def _send(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._send_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def begun(frames: AsyncGenerator[Frame, None]) -> Frame | None:
    """The first frame, or None when there is nothing to say. What refuses the stream is raised here."""
    return await anext(frames, None)


def written(frame: Frame) -> bytes:
    """A frame in bytes; pure. Its data are JSON of one line. A frame without data moves the reader's place silently."""
    lines = [COMMENT] if frame.name is None else [f"event: {frame.name}\n".encode(), b"data: ", frame.data, b"\n"]
    if frame.id is not None:
        lines.append(f"id: {frame.id}\n".encode())
    return b"".join([*lines, b"\n"])
