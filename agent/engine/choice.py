"""Which engine this machine uses, and why.

`auto` takes a ComfyUI that answers, else the built-in engine. An engine is made per slot; nothing here starts one. The
modules of an engine are only loaded when it is chosen. A ComfyUI begins with the workflows that the control plane had
in force when the agent last heard of it, before that with the shipped ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import aiohttp
import msgspec

from agent.engine import Engine
from agent.engine.repertory import known
from agent.hashes import Hashes
from agent.settings import Settings

PROBE_SECONDS = 2.0
GIB = 1024**3


class EngineMissing(Exception):
    """The engine that was asked for is not to be had; the message says why and what to do."""


class Choice(msgspec.Struct, frozen=True):
    name: str
    why: str
    """For people."""
    make: Callable[[], Engine]


async def choose(settings: Settings, slot: int) -> Choice:
    """For one slot. Raises `EngineMissing`."""
    card = settings.cards[slot]
    if card.is_supervised and card.engine != "testcard":
        what = card.comfyui_image or card.comfyui_dir
        return Choice("comfyui", f"from {what}, started by us", lambda: _comfyui(settings, slot))
    if card.engine == "comfyui":
        return Choice("comfyui", "as asked", lambda: _comfyui(settings, slot))
    url, why = card.comfyui_url, "as asked"
    if card.engine == "auto" and await comfyui_answers(url):
        return Choice("comfyui", f"it answers at {url}", lambda: _comfyui(settings, slot))
    if card.engine == "auto":
        why = f"no ComfyUI answers at {url}"
    return Choice("testcard", why, lambda: _testcard(settings.testcard_seconds))


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


def _comfyui(settings: Settings, slot: int) -> Engine:
    try:
        from agent.engine.comfyui import ComfyUI  # needs Pillow, to see what was drawn
        from agent.engine.comfyui.launch import launch
        from agent.engine.comfyui.restarts import Wear
        from agent.engine.comfyui.ward import Ward
        from control_plane.wire.workflow import WorkflowError
    except ImportError as error:
        raise EngineMissing(f"ComfyUI cannot be driven ({error}). Run: pip install pillow") from error
    try:
        workflows = known(settings.workflows_file, settings.workflows)
    except WorkflowError as error:
        raise EngineMissing(str(error)) from error
    card, house = settings.cards[slot], settings.comfyui_folder / str(slot)
    hashes = Hashes(settings.hashes_file)
    if not card.is_supervised:
        return ComfyUI(card.comfyui_url, workflows, hashes=hashes)
    ward = Ward(lambda port: launch(card, slot, house, port, os.environ), house)
    jobs_max, growth = settings.comfyui_recycle_jobs, int(settings.comfyui_recycle_gib * GIB)
    return ComfyUI("", workflows, ward=ward, new_wear=lambda: Wear(jobs_max, growth), hashes=hashes)


def _testcard(seconds: float) -> Engine:
    try:
        from agent.engine.testcard import Testcard  # needs Pillow, which other engines do not
    except ImportError as error:
        raise EngineMissing(f"The built-in engine cannot be loaded ({error}). Run: pip install pillow") from error
    return Testcard(seconds=seconds)
