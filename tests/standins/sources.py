"""A server of model files that does what servers and the ways to them do: cut, stall, lie, refuse, send elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

PIECE = 64 * 1024


def tensors(size: int, seed: int = 1) -> bytes:
    """A real safetensors file of exactly so many bytes."""
    header = b""
    for room in range(size - 8, 0, -1):
        header = json.dumps({"w": {"dtype": "U8", "shape": [room], "data_offsets": [0, room]}}).encode()
        if 8 + len(header) + room <= size:
            header += b" " * (size - 8 - len(header) - room)
            return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(room)
    raise ValueError("too small")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Fault(msgspec.Struct, kw_only=True):
    """What befalls one request; each is used up once."""

    status: int = 0
    retry_after: str = ""
    cut_after: int | None = None
    """Bytes of the body, then the connection is gone."""
    ignore_range: bool = False
    """All of it, with 200, though a piece was asked for."""
    wrong_piece: bool = False
    """206, but from the beginning."""
    trickle_seconds: float = 0.0
    """A byte now and then."""
    longer: int = 0
    """More bytes than there should be, without a length."""
    location: str = ""
    packed: bool = False


class Seen(msgspec.Struct, frozen=True):
    path: str
    range: str
    if_range: str
    authorization: str


class Sources:
    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.seen: list[Seen] = []
        self.during: Callable[[int], None] = lambda _: None
        """Is told the bytes of a body as they go."""
        self.gate: tuple[int, asyncio.Event] | None = None
        """Bodies stop behind so many bytes until the event comes."""

    def put(self, path: str, content: bytes, *faults: Fault) -> str:
        """The address of the file."""
        self.files[path] = content
        self.tags[path] = f'"{sha256(content)[:16]}"'
        self.faults[path] = list(faults)
        return self.url + path

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path, headers = request.path, request.headers
        told = (headers.get("Range", ""), headers.get("If-Range", ""), headers.get("Authorization", ""))
        self.seen.append(Seen(path, *told))
        faults = self.faults.get(path) or []
        fault = faults.pop(0) if faults else self.always.get(path, Fault())
        if fault.location:
            return web.Response(status=302, headers={"Location": fault.location})
        if fault.status:
            return web.Response(
                status=fault.status, headers={"Retry-After": fault.retry_after} if fault.retry_after else {}
            )
        if path not in self.files:
            return web.Response(status=404)
        return await self._send(request, path, fault, *told[:2])

    async def _send(
        self, request: web.Request, path: str, fault: Fault, wanted: str, if_range: str
    ) -> web.StreamResponse:
        content, tag = self.files[path], self.tags[path]
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if wanted and not fault.ignore_range and if_range in ("", tag):
            begin = 0 if fault.wrong_piece else start
            response = web.StreamResponse(status=206)
            response.headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        else:
            begin, response = 0, web.StreamResponse(status=200)
        body = content[begin:] + bytes(fault.longer)
        response.headers["ETag"] = tag
        if fault.packed:
            response.headers["Content-Encoding"] = "gzip"
        if not fault.longer:
            response.content_length = len(body)
        await response.prepare(request)
        await self._body(request, response, body, fault)
        return response

    async def _body(self, request: web.Request, response: web.StreamResponse, body: bytes, fault: Fault) -> None:
        for at in range(0, len(body), PIECE):
            if fault.trickle_seconds:
                await response.write(body[at // PIECE : at // PIECE + 1])
                await asyncio.sleep(fault.trickle_seconds)
                continue
            end = min(at + PIECE, len(body) if fault.cut_after is None else fault.cut_after)
            if end > at:
                await response.write(body[at:end])
                self.during(end)
            if self.gate is not None and end >= self.gate[0]:
                await self.gate[1].wait()
            if fault.cut_after is not None and end >= fault.cut_after:
                assert request.transport is not None
                request.transport.abort()
                return
        await response.write_eof()


@asynccontextmanager
async def sources() -> AsyncIterator[Sources]:
    """On a free port of loopback."""
    stand = Sources()
    app = web.Application()
    app.router.add_get("/{path:.*}", stand.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stand
    finally:
        await runner.cleanup()
