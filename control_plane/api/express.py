"""A shortcut to the operations that are called all the time: claim, heartbeat, complete, submit.

Litestar's way to a handler takes longer than these handlers themselves. Their addresses are few, so here one look into
a table finds them; what runs is the same as behind the router, with the same guard, decoding and problems. Whatever
is not exactly such an address goes the ordinary way, and is refused there as ever.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast
from uuid import UUID

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from control_plane.api import problems
from control_plane.api.operation import declared

KINDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "uuid": ("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", UUID),
    "int": ("[0-9]{1,9}", int),
}
"""How a path parameter is written here, and read. Other ways to write one are Litestar's business."""

_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")

Run = Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]


class _Bare:
    """All that an operation uses of a Litestar request; making a whole one takes longer."""

    __slots__ = ("receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive


class _Stop:
    """One operation that the express calls at."""

    def __init__(self, handler: HTTPRouteHandler, path: str) -> None:
        self.handler = handler
        self.run: Run = handler.fn
        self.readers = {name: KINDS[kind][1] for name, kind in _PARAMETER.findall(path)}
        self.pattern = re.compile(_PARAMETER.sub(lambda found: f"(?P<{found[1]}>{KINDS[found[2]][0]})", path))

    def parameters(self, path: str) -> dict[str, object] | None:
        """Those of the path; None when it leads elsewhere."""
        found = self.pattern.fullmatch(path)
        return {name: self.readers[name](text) for name, text in found.groupdict().items()} if found else None


class Express:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, handlers: Iterable[HTTPRouteHandler]) -> None:
        self._app = app
        self._fixed: dict[tuple[str, str], _Stop] = {}
        self._others: list[tuple[str, _Stop]] = []
        for handler in handlers:
            if (operation := declared(handler)) and operation.express:
                stop = _Stop(handler, operation.path)
                if stop.readers:
                    self._others.append((operation.method, stop))
                else:
                    self._fixed[operation.method, operation.path] = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stop = self._stop(scope)  # type: ignore[arg-type]  # the edge lets nothing but HTTP through
        if stop is None:
            await self._app(scope, receive, send)
            return
        scope["route_handler"] = stop.handler
        try:
            answer = await stop.run(cast(Request[Any, Any, Any], _Bare(scope, receive)))
        except Exception as error:
            answer = problems.render(scope, error)
        await answer(scope, receive, send)

    def _stop(self, scope: HTTPScope) -> _Stop | None:
        method, path = scope["method"], scope["path"]
        if stop := self._fixed.get((method, path)):
            scope["path_params"] = {}
            return stop
        for served, stop in self._others:
            if served == method and (found := stop.parameters(path)) is not None:
                scope["path_params"] = found  # type: ignore[typeddict-item]  # Litestar puts UUIDs and numbers there too
                return stop
        return None
