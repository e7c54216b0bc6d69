"""Every workflow at a glance: what it is, how far it was proven, and what keeps it from running here.

Without a ComfyUI that answers only the two files of each workflow are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import msgspec

from agent.engine.comfyui.check import faults
from agent.engine.comfyui.nodes import node_classes
from agent.engine.comfyui.server import Gone, Refused, Server, Silent
from control_plane.wire.job import JobKind
from control_plane.wire.soundness import structure_faults
from control_plane.wire.workflow import Proof, Workflow


class Row(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: JobKind
    model: str
    title: str
    proven: Proof
    vram_gib: int
    wrong: list[str]
    """Whoever wrote it must mend this."""
    missing: list[str] | None
    """What this worker lacks; None: there is no ComfyUI to ask."""


async def survey(url: str, workflows: Sequence[Workflow]) -> list[Row]:
    """Of these workflows, at the ComfyUI of this address."""
    async with aiohttp.ClientSession() as session:
        try:
            classes = node_classes(await Server(url, session).object_info())
        except (Gone, Silent, Refused):
            classes = None
    rows = []
    for workflow in workflows:
        found = faults(workflow, classes) if classes is not None else []
        manifest = workflow.manifest
        rows.append(
            Row(
                name=workflow.name,
                kind=manifest.kind,
                model=manifest.model,
                title=manifest.title,
                proven=manifest.proven,
                vram_gib=manifest.vram_gib,
                wrong=[fault.message for fault in found if fault.kind == "wrong"] or structure_faults(workflow),
                missing=[f.message for f in found if f.kind == "missing"] if classes is not None else None,
            )
        )
    return rows
