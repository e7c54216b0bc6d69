"""uvicorn's HTTP protocol, except that an answer leaves in one piece.

uvicorn writes head and body of an answer apart, which makes two system calls, and on a small answer each of them costs
more than everything Litestar does. Here a write waits for the next one until the loop's next turn at most, and
the two leave together.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(_Corked(transport, self.loop))  # type: ignore[arg-type]  # all that uvicorn uses


class _Corked:
    """A transport that holds one write back, for a moment."""

    __slots__ = ("_call_soon", "_held", "_transport", "_write")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._write = transport.write
        self._call_soon = loop.call_soon
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held + data)
        elif data:
            self._held = data
            self._call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
