"""ComfyUI's version and nodes, and the models, against the workflows that they would enable."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import msgspec

from agent.checkup import Check
from agent.engine.comfyui.server import Gone, Refused, Server, Silent
from agent.engine.comfyui.survey import Row, survey
from agent.engine.repertory import known
from agent.models.depot import depot
from agent.models.plan import telling
from agent.settings import ConfigurationError, Settings
from control_plane.wire.workflow import WorkflowError

PROVEN = (0, 3, 64)
"""The version that the shipped workflows were validated with."""
SHOWN_MAX = 3


async def checks(settings: Settings) -> list[Check]:
    """Of each ComfyUI that answers: a silent one is the engine's matter. And of the files, whoever would use them."""
    found = []
    for url in dict.fromkeys(card.comfyui_url for card in settings.cards if card.engine != "testcard"):
        found += await _of(url, settings)
    return [*found, await _models(settings)] if found or any(c.is_supervised for c in settings.cards) else []


async def _of(url: str, settings: Settings) -> list[Check]:
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            stats = await Server(url, session).stats()
        rows = await survey(url, known(settings.workflows_file, settings.workflows))
    except (Gone, Silent, Refused, msgspec.ValidationError):
        return []
    except WorkflowError as error:
        return [Check(name="workflows", result="bad", found="cannot be read", cure=str(error))]
    return [version(stats.system.comfyui_version), nodes(rows)]


def version(told: str) -> Check:
    numbers = tuple(int(part) for part in told.split(".")[:3] if part.isdecimal())
    if numbers >= PROVEN:
        return Check(name="comfyui", result="ok", found=told)
    proven = ".".join(map(str, PROVEN))
    cure = f"Workflows were validated with {proven}. Update ComfyUI (`git pull` and its requirements), restart it."
    return Check(name="comfyui", result="note", found=told or "of unknown version", cure=cure)


def nodes(rows: Sequence[Row]) -> Check:
    """What runs, and what the rest lacks besides files."""
    wrong = [f"{row.name}: {row.wrong[0]}" for row in rows if row.wrong]
    if wrong:
        return Check(name="workflows", result="bad", found="; ".join(wrong[:SHOWN_MAX]), cure="Mend their two files.")
    ready = [row.name for row in rows if not row.missing]
    found = f"{len(ready)} of {len(rows)} run here{': ' if ready else ''}{', '.join(ready)}"
    if ready:
        return Check(name="workflows", result="ok", found=found)
    cure = "What each lacks: tessera-agent workflows"
    return Check(name="workflows", result="bad", found=found, cure=cure)


async def _models(settings: Settings) -> Check:
    try:
        place = await depot(settings)
        result, found, cure = telling(place.plan())
    except ConfigurationError as error:
        return Check(name="models", result="note", found="not looked at", cure=str(error))
    return Check(name="models", result=result, found=found, cure=cure)
