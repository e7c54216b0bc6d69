"""Which engine this machine uses, and why.

`auto` looks whether a ComfyUI answers. An engine is made per slot; nothing here starts one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import aiohttp
import msgspec

from agent.engine import Engine

PROBE_SECONDS = 2.0


class EngineMissing(Exception):
    """The engine that was asked for is not to be had; the message says why and what to do."""


class Choice(msgspec.Struct, frozen=True):
    name: str
    why: str
    """For people."""
    make: Callable[[], Engine]


async def choose(wanted: Literal["auto", "testcard", "comfyui"], comfyui_url: str, testcard_seconds: float) -> Choice:
    """Raises `EngineMissing`."""
    if wanted == "comfyui":
        raise EngineMissing(
            "This version cannot drive ComfyUI yet. Use --engine testcard (the built-in engine, for trying things out)."
        )
    why = "as asked"
    if wanted == "auto":
        found = await comfyui_answers(comfyui_url)
        why = (
            f"a ComfyUI answers at {comfyui_url}, but this version cannot drive it yet"
            if found
            else f"no ComfyUI answers at {comfyui_url}"
        )
    return Choice("testcard", why, lambda: _testcard(testcard_seconds))


async def comfyui_answers(url: str) -> bool:
    """Whether a ComfyUI is there: only one answers /system_stats with its version."""
    try:
        async with (
            asyncio.timeout(PROBE_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(url.rstrip("/") + "/system_stats") as response,
        ):
            stats = msgspec.json.decode(await response.content.read(64 * 1024))
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
        return False
    return isinstance(stats, dict) and "comfyui_version" in (stats.get("system") or {})


def _testcard(seconds: float) -> Engine:
    try:
        from agent.engine.testcard import Testcard  # needs Pillow, which other engines do not
    except ImportError as error:
        raise EngineMissing(f"The built-in engine cannot be loaded ({error}). Run: pip install pillow") from error
    return Testcard(seconds=seconds)
