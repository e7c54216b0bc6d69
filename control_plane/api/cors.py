"""Whether a page of another web site may read our answers: off, unless the key that it shows lists the site.

A browser asks before it sends a key along (a preflight, which carries none): it is let in when some live key lists
the site. The answer itself carries `Access-Control-Allow-Origin` only when the request's own key does, so a page
learns nothing by the key of somebody else. Sites are compared letter by letter, and cookies are never allowed. Source:
the Fetch standard, 3.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from litestar.types import ASGIApp, Receive, Scope, Send

from control_plane.errors import Unavailable

PREFLIGHT_SECONDS = 600
PREFIXES = ("/api/v1/", "/v1/")
NOT_FOR_PAGES = ("/api/v1/worker/", "/api/v1/admin/")
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED = (
    b"Authorization, Content-Type, Idempotency-Key, Prefer, Last-Event-ID, Range, If-None-Match, If-Match, If-Range,"
    b" Content-Digest, Tessera-Content-SHA256"
)
EXPOSED = (
    b"Location, RateLimit, RateLimit-Policy, Retry-After, Idempotent-Replayed, ETag, X-Request-Id, Preference-Applied,"
    b" Content-Range, Accept-Ranges, Link, WWW-Authenticate"
)
"""Headers of ours that a page may read."""

_VARY = (b"vary", b"Origin")

Headers = list[tuple[bytes, bytes]]
Origins = Callable[[], Awaitable[Collection[str]]]


def allow(scope: Scope, origins: Collection[str]) -> None:
    """The key of this request lists these sites: remember what the answer has to say."""
    origin = _header(scope, b"origin")
    headers: Headers = [_VARY]
    if origin is not None and origin in origins:
        headers = [
            _VARY,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED),
        ]
    scope["state"]["cors"] = headers


class Preflights:
    """Wraps the application; `origins` gives the sites that live keys list."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS" and await self._allows(scope):  # type: ignore[typeddict-item]  # HTTP only
            await _answer(scope, send)
        else:
            await self._app(scope, receive, send)

    async def _allows(self, scope: Scope) -> bool:
        origin, path = _header(scope, b"origin"), scope["path"]
        asks = origin is not None and _header(scope, b"access-control-request-method") is not None
        if not asks or not path.startswith(PREFIXES) or path.startswith(NOT_FOR_PAGES):
            return False
        try:
            return origin in await self._origins()
        except Unavailable:
            return False


async def _answer(scope: Scope, send: Send) -> None:
    origin = _header(scope, b"origin")
    assert origin is not None, "a preflight names its origin"
    headers: Headers = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ASKED),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _header(scope: Scope, name: bytes) -> str | None:
    found = next((value for key, value in scope["headers"] if key == name), None)
    return found.decode("latin-1") if found is not None else None
