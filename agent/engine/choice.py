"""Which engine this machine uses, and why.

`auto` looks whether a ComfyUI answers, and draws test cards all the same while control planes offer no model that a
ComfyUI could serve: an agent that took it would get no work. An engine is made per slot; nothing here starts one. The
modules of an engine are only loaded when it is chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
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


async def choose(
    wanted: Literal["auto", "testcard", "comfyui"], comfyui_url: str, testcard_seconds: float, workflows: Path | None
) -> Choice:
    """Raises `EngineMissing`. `workflows`: a folder of the operator's own, over the shipped ones."""
    if wanted == "comfyui":
        return Choice("comfyui", "as asked", lambda: _comfyui(comfyui_url, workflows))
    why = "as asked"
    if wanted == "auto" and await comfyui_answers(comfyui_url):
        why = f"a ComfyUI answers at {comfyui_url}, but none of its models is sold yet; --engine comfyui drives it"
    elif wanted == "auto":
        why = f"no ComfyUI answers at {comfyui_url}"
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


def _comfyui(url: str, workflows: Path | None) -> Engine:
    try:
        from agent.engine.comfyui import ComfyUI  # needs Pillow, to see what was drawn
        from control_plane.wire.workflow import SHIPPED, WorkflowError, load
    except ImportError as error:
        raise EngineMissing(f"ComfyUI cannot be driven ({error}). Run: pip install pillow") from error
    try:
        return ComfyUI(url, load(SHIPPED, *([workflows] if workflows else [])))
    except WorkflowError as error:
        raise EngineMissing(str(error)) from error


def _testcard(seconds: float) -> Engine:
    try:
        from agent.engine.testcard import Testcard  # needs Pillow, which other engines do not
    except ImportError as error:
        raise EngineMissing(f"The built-in engine cannot be loaded ({error}). Run: pip install pillow") from error
    return Testcard(seconds=seconds)
