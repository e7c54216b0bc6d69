"""The outermost layer of every request: its id, its deadline, the headers that all answers carry, one log line.

It stands around Litestar, so what the router refuses passes through it too. It is plain ASGI and does as little as
it can: a hot request pays a few microseconds here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection

import structlog
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from control_plane import metrics, tracing
from control_plane.api import guards, problems, traces
from control_plane.api.operation import Operation, declared
from control_plane.errors import DeadlineExceeded
from control_plane.money import rates

ALL_ANSWERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
UNKNOWN_PATH = "unknown"
"""What metrics and log call a path that leads nowhere; clients do not get to invent names there."""


class Edge:
    """Wraps the application; `deadline_seconds` is `settings.request_seconds`."""

    def __init__(self, app: ASGIApp, deadline_seconds: float, operations: Collection[Operation]) -> None:
        self._app = app
        self._deadline_seconds = deadline_seconds
        self._waits = {one.path: one.wait_seconds for one in operations if one.fixed and one.wait_seconds}
        public = [one for one in operations if one.guard is guards.PUBLIC]
        self._open = {one.path for one in public if one.fixed and one.method == "GET"}
        self._log = structlog.get_logger().bind()  # bound once: a lazy logger costs more than the line it drops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and scope["path"] in self._open:  # whoever watches a service asks so
            scope = {**scope, "method": "GET"}  # the server sends no body, whatever it is given
        started_at = time.perf_counter()
        request_id = os.urandom(8).hex()
        state = scope["state"]
        state["request_id"] = request_id
        span = traces.begin(scope) if tracing.is_on() else None
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *ALL_ANSWERS, (b"x-request-id", request_id.encode())]
                if (rate := state.get("rate")) is not None:
                    headers += rates.headers(rate)
                if (cors := state.get("cors")) is not None:
                    headers += cors
                message["headers"] = headers
            await send(message)

        try:
            async with asyncio.timeout(self._deadline_seconds + self._waits.get(scope["path"], 0.0)) as deadline:
                state["deadline"] = deadline
                await self._app(scope, receive, answer)
        except TimeoutError:
            if status == 0:
                sentence = "The request took longer than allowed. Try again; a smaller one may be faster."
                await problems.render(scope, DeadlineExceeded(sentence))(scope, receive, answer)
        finally:
            path = self._finished(scope, request_id, status, time.perf_counter() - started_at)
            if span is not None:
                traces.end(span, scope["method"], path, status)

    def _finished(self, scope: HTTPScope, request_id: str, status: int, seconds: float) -> str:
        """Counts and tells; returns the path as its operation declares it."""
        handler: HTTPRouteHandler | None = scope.get("route_handler")  # type: ignore[assignment]  # absent on a 404
        known = declared(handler) if handler is not None else None
        served: str | None = scope["state"].get("served")
        path = known.path if known is not None else served or UNKNOWN_PATH
        metrics.request_finished(scope["method"] if path != UNKNOWN_PATH else UNKNOWN_PATH, path, status, seconds)
        quiet = served is not None or (known is not None and known.hot)
        tell = self._log.debug if quiet and status < 500 else self._log.info
        tell(
            "request.finished",
            method=scope["method"],
            path=path,
            status=status,
            duration_seconds=round(seconds, 6),
            request_id=request_id,
        )
        return path
