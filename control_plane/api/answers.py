"""Answers as plain ASGI: bytes that are ready, and two messages to send them.

Litestar passes such an application on as it is, without copying headers or looking for an encoder. What a
credential was needed for is never stored by anybody in between, so `no-store` is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class Answer:
    """A status, headers and a body that fits into memory."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        media_type: str = JSON,
        cache: str = "no-store",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers: list[tuple[bytes, bytes]] = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", cache.encode()),
        ]
        for name, value in (headers or {}).items():
            self.headers.append((name.lower().encode(), value.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json(value: Any, *, status: int = 200, cache: str = "no-store", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(_encode(value), status=status, cache=cache, headers=headers)


def nothing(status: int = 204) -> Answer:
    answer = Answer(b"", status=status)
    answer.headers = answer.headers[2:]
    return answer


def see_other(location: str) -> Answer:
    """A browser goes there next, by GET."""
    answer = Answer(b"", status=303, headers={"Location": location})
    answer.headers = answer.headers[1:]
    return answer
