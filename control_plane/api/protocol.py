"""uvicorn's HTTP protocol, except that an answer leaves in one piece and that a request has limits at both ends.

uvicorn writes head and body of an answer apart, which makes two system calls, and on a small answer each of them costs
more than everything Litestar does. Here a write waits for the next one until the loop's next turn at most, and
the two leave together. A kept connection has one timer and not one for each request. uvicorn gathers headers for as
long as they come and waits for them for ever; here a head is refused when it is too long, and a connection closed that
does not finish one in time. Nor does it stay for the rest of a request that was answered before it had ended, and
headers after a body are not kept: uvicorn would keep them all.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 64 * 1024
"""Of the request line and all headers together."""
HEAD_SECONDS = 10.0
"""From the first byte of a head (or the connection, for the first) to its last."""
REST_SECONDS = 10.0
"""For what is left of a request whose answer has been sent."""


class Protocol(HttpToolsProtocol):
    _in_head = True
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _answered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(_Corked(transport, self.loop))  # type: ignore[arg-type]  # all that uvicorn uses
        self._close_in(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_goes_on(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._head_bytes = 0
            self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._timer is not None:
            self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        if self.pipeline or self.timeout_keep_alive_task is None or self.transport.is_closing():
            super().on_response_complete()
        else:  # what uvicorn does, but for the timer, which is there
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._close_in(REST_SECONDS)

    def _unset_keepalive_if_required(self) -> None:
        """Not for each request: making a timer costs more than to look, once it is due, whether it was meant."""

    def timeout_keep_alive_handler(self) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        busy = self._timer is not None or (cycle is not None and not cycle.response_complete)
        idle_seconds = 0.0 if busy else self.loop.time() - self._answered_at
        if idle_seconds >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        else:
            wait = self.timeout_keep_alive - idle_seconds
            self.timeout_keep_alive_task = self.loop.call_later(wait, self.timeout_keep_alive_handler)

    def _head_goes_on(self, more_bytes: int) -> None:
        """What came ended in the middle of a head."""
        self._head_bytes += more_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self.send_400_response(f"The head of a request may have at most {HEAD_BYTES_MAX} bytes.")
        elif self._timer is None:
            self._close_in(HEAD_SECONDS)

    def _close_in(self, seconds: float) -> None:
        """Unless what the timer waits for comes before."""
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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
        if self._transport.get_write_buffer_size():  # for a client that takes nothing it would stay for ever
            asyncio.get_running_loop().call_later(REST_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
