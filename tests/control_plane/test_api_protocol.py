"""A kept connection is closed when it has been idle for long enough, and not before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from control_plane.api.protocol import Protocol

KEEP_ALIVE_SECONDS = 1
SLACK_SECONDS = 5.0
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, or, asked for /slow, later than an idle connection may be kept."""
    if scope["path"] == "/slow":
        await asyncio.sleep(2.2 * KEEP_ALIVE_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, http=Protocol, lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_SECONDS
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(SLACK_SECONDS):
        while not server.started:
            await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def answered(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(SLACK_SECONDS):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"


@pytest.mark.parametrize("last", [REQUEST, REQUEST.replace(b"/ ", b"/slow "), REQUEST * 3])
async def test_a_kept_connection_ends_when_nothing_came_for_long_enough(port: int, last: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(4):  # longer in all than an idle one may take
        writer.write(REQUEST)
        await answered(reader)
        await asyncio.sleep(0.4 * KEEP_ALIVE_SECONDS)
    writer.write(last)
    for _ in range(last.count(b"GET")):
        await answered(reader)
    before = time.monotonic()
    async with asyncio.timeout(KEEP_ALIVE_SECONDS + SLACK_SECONDS):
        assert await reader.read() == b""
    assert time.monotonic() - before > 0.9 * KEEP_ALIVE_SECONDS
    writer.close()
