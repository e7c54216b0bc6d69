"""A stored file on its way to a client: whole, or one range of it."""

from __future__ import annotations

from litestar.types import Receive, Scope, Send

from control_plane.api import guards
from control_plane.api.artifacts import byte_range, is_known
from control_plane.store import Opened


class Sent:
    """Closes the file when it is done, also when the client hangs up."""

    def __init__(self, opened: Opened, scope: Scope, *, mime_type: str, sha256: bytes, cache: str = "no-store") -> None:
        """Raises `RangeNotSatisfiable`, and then closes the file as well."""
        self._opened = opened
        etag = f'"{sha256.hex()}"'.encode()
        self._known = is_known(guards.header(scope, b"if-none-match"), etag)
        asked = guards.header(scope, b"range")
        if guards.header(scope, b"if-range") not in (None, etag):
            asked = None
        try:
            part = byte_range(asked, opened.bytes)
        except BaseException:
            opened.close()
            raise
        self._start, self._end = part or (0, opened.bytes)
        self._status = 304 if self._known else 206 if part else 200
        self._headers = [
            (b"content-type", mime_type.encode()),
            (b"content-disposition", b"inline"),
            (b"content-security-policy", b"sandbox; default-src 'none'"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"cache-control", cache.encode()),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self._status, "headers": self._all()})
            if not self._known:
                async for data in self._opened.read(self._start, self._end):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._opened.close()

    def _all(self) -> list[tuple[bytes, bytes]]:
        if self._known:
            return self._headers
        headers = [*self._headers, (b"content-length", str(self._end - self._start).encode())]
        if self._status == 206:
            told = f"bytes {self._start}-{self._end - 1}/{self._opened.bytes}"
            headers.append((b"content-range", told.encode()))
        return headers
