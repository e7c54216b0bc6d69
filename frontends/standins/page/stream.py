"""The page's live view: one stream of server-sent events for one person, over both platforms.

First everything that there is, then each message as it changes; bots and chats again whenever they differ from what was
told (a bot connected, registered its commands, a group was made).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from frontends.standins.page import views
from frontends.standins.page.acts import Who, person
from frontends.standins.page.views import Platforms
from frontends.standins.person import Message

LOOK_SECONDS = 1.0
"""How often it is looked whether the bots changed; also the stream's sign of life."""
WRITE_SECONDS = 10.0
WAITING_MAX = 5000
"""Changes that a browser may be behind; beyond, it is sent away and comes again."""

Change = tuple[str, Message]


async def follow(request: web.Request, platforms: Platforms, who: Who) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    waiting: asyncio.Queue[Change] = asyncio.Queue()
    with contextlib.ExitStack() as listening, contextlib.suppress(ConnectionError, TimeoutError):
        for name, platform in platforms.items():
            listening.enter_context(platform.changes.listen(_heard(name, waiting)))
        told = await _overview(response, platforms, who, None)
        for name, platform in platforms.items():
            for message in person(platform, who).messages():
                await _send(response, "message", views.message(name, message))
        while waiting.qsize() <= WAITING_MAX:
            await _pass_on(response, platforms, who, waiting)
            told = await _overview(response, platforms, who, told)
    return response


def _heard(name: str, waiting: asyncio.Queue[Change]) -> Callable[[Message], None]:
    return lambda message: waiting.put_nowait((name, message))


async def _pass_on(
    response: web.StreamResponse, platforms: Platforms, who: Who, waiting: asyncio.Queue[Change]
) -> None:
    """What changed, each message once as it is now; or nothing, when nothing did for a while."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            changed = [await waiting.get()]
    except TimeoutError:
        await _write(response, b": still here\n\n")
        return
    while not waiting.empty():
        changed.append(waiting.get_nowait())
    for name, message in dict.fromkeys(changed):
        if person(platforms[name], who).may_see(message):
            await _send(response, "message", views.message(name, message))


async def _overview(response: web.StreamResponse, platforms: Platforms, who: Who, told: bytes | None) -> bytes:
    """Bots and chats, when they are not what was told already."""
    overview = {"bots": views.bots(platforms, who.language), "chats": views.chats(platforms, who.id)}
    now = msgspec.json.encode(overview)
    if now != told:
        await _send(response, "overview", overview)
    return now


async def _send(response: web.StreamResponse, event: str, data: Any) -> None:
    await _write(response, b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(data)))


async def _write(response: web.StreamResponse, raw: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(raw)
