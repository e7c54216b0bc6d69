"""A stand-in of a LibreTranslate server: real HTTP, a small dictionary, and the faults of the real one.

Requests and answers are as in its API (`POST /translate`: q, source, target, format, api_key → translatedText, with
source `auto` also detectedLanguage; faults as `{"error": …}`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

DICTIONARY = {
    "ein Leuchtturm im Sturm": "a lighthouse in the storm",
    "маяк в шторм": "lighthouse in a storm",
    "暴风雨中的灯塔": "lighthouse in a storm",
    "ein Schild mit": "a sign with",
    "im Stil von": "in the style of",
    "Möwen": "seagulls",
    "un phare dans la tempête": "a lighthouse in the storm",
}


class LibreTranslate:
    """`damage` is done to every translated text; `status`, `body` and `delay_seconds` answer otherwise than asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.damage: Callable[[str], str] = lambda text: text
        self.detects = "fr"
        self.status = 200
        self.body: bytes | None = None
        self.delay_seconds = 0.0
        self.api_key = ""
        self.closing = asyncio.Event()

    async def translate(self, request: web.Request) -> web.StreamResponse:
        question = await request.json()
        self.asked.append(question)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.closing.wait(), self.delay_seconds)
        if self.status in {301, 302}:
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})
        if self.body is not None:
            return web.Response(status=self.status, body=self.body, content_type="application/json")
        if self.status != 200:
            return web.json_response({"error": "Internal error"}, status=self.status)
        if self.api_key != question.get("api_key", ""):
            return web.json_response({"error": "Invalid API key"}, status=403)
        told: dict[str, Any] = {"translatedText": self.damage(translated(question["q"]))}
        if question["source"] == "auto":
            told["detectedLanguage"] = {"confidence": 90, "language": self.detects}
        return web.json_response(told)


def translated(text: str) -> str:
    for foreign, english in DICTIONARY.items():
        text = text.replace(foreign, english)
    return text


@asynccontextmanager
async def libretranslate() -> AsyncIterator[LibreTranslate]:
    """A running one, on a free port of loopback."""
    standin = LibreTranslate()
    application = web.Application()
    application.router.add_post("/translate", standin.translate)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        standin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield standin
    finally:
        standin.closing.set()
        await runner.cleanup()
