"""`tessera workflow check | list`: what of ComfyUI is sold.

To add a workflow, put its two files into the folder (`TESSERA_WORKFLOWS`) and check them; a running Tessera finds them
by itself. `check` needs no service and no database, `list` tells what is in force.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import settings, verb
from control_plane.cli.parsing import EX_CONFIG, EX_USAGE, CommandError, command, noun

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import WorkflowRow
    from control_plane.orders.manifests import Found
    from control_plane.wire.workflow import Manifest

PROVEN = {
    "validated": "fits the pinned ComfyUI",
    "toy": "ran on a processor, toy weights",
    "gpu": "ran on a GPU, random weights of full size",
}
"""How far a workflow was proven, in words."""


def add(commands: Any) -> None:
    verbs = noun(commands, "workflow", help="workflows of ComfyUI: check, list")
    check = command(
        verbs,
        "check",
        _check,
        help="check the files of the workflows; nothing is changed",
        description=(
            "Read every workflow of the folder TESSERA_WORKFLOWS and those that come with Tessera, and say what is "
            "wrong with any. A running Tessera takes up what is sound within seconds, without a restart. Whether a "
            "ComfyUI has all the nodes and files, `tessera-agent workflows check` says beside it. Exit code 78 when "
            "something is wrong."
        ),
        examples="  tessera workflow check\n  tessera workflow check ./drafts",
    )
    check.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="another folder than TESSERA_WORKFLOWS")
    command(verbs, "list", verb(_list), help="list the workflows in force, and who can run them")


def _check(arguments: argparse.Namespace) -> int:
    from control_plane.orders import manifests

    folder: Path = arguments.folder or settings().workflows_folder
    if arguments.folder is not None and not folder.is_dir():
        raise CommandError(f"{folder} is no folder.", EX_USAGE)
    found = manifests.examine(manifests.folders(folder))
    if arguments.json:
        told = {name: _facts(workflow.manifest) for name, workflow in found.workflows.items()}
        printing.as_json({"folder": str(folder), "sound": told, "wrong": found.faults, "unlisted": found.unlisted})
    else:
        print("\n".join(_told(found, folder)))
    return EX_CONFIG if found.faults else 0


def _facts(manifest: Manifest) -> dict[str, object]:
    return {
        "kind": manifest.kind,
        "model": manifest.model,
        "task": manifest.task,
        "title": manifest.title,
        "vram_gib": manifest.vram_gib,
        "price_weight": manifest.price_weight,
        "proven": manifest.proven,
    }


def _told(found: Found, folder: Path) -> Iterator[str]:
    for name, workflow in found.workflows.items():
        manifest = workflow.manifest
        makes = f"{manifest.kind} {manifest.model} ({manifest.task})"
        yield f"sound  {name:<16} {makes}: {manifest.title}; {PROVEN[manifest.proven]}"
        for path in found.unlisted[name]:
            yield f"       {path} is on no list of weights, so its licence is not known."
    for name, reasons in found.faults.items():
        yield f"WRONG  {name}"
        yield from (f"       {reason}" for reason in reasons)
    yield ""
    yield f"{len(found.workflows)} sound, {len(found.faults)} wrong. Your own folder: {folder}"
    if not found.faults:
        yield "A running Tessera takes them up by itself, and sells each as soon as one of its workers can run it."


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.operator.tables import WORKFLOWS

    rows = await database.many(WORKFLOWS, {"live_seconds": settings().lease_seconds})
    if arguments.json:
        printing.as_json([_as_json(row) for row in rows])
        return 0
    printing.table(
        ("workflow", "kind", "model", "task", "weight", "VRAM", "proven", "may be sold", "workers", "queued", "state"),
        [_row(row) for row in rows],
        empty="No workflow is in force. A running Tessera puts them in force: tessera up, or tessera serve.",
    )
    return 0


def _row(row: WorkflowRow) -> tuple[object, ...]:
    manifest = _manifest(row)
    return (
        *(row.name, manifest.kind, manifest.model, manifest.task, f"{manifest.price_weight:g}"),
        *(f"{manifest.vram_gib} GiB", PROVEN[manifest.proven], _commercial(row) or "not known"),
        *(row.live_slots, row.queued, _state(row)),
    )


def _as_json(row: WorkflowRow) -> dict[str, object]:
    facts = _facts(_manifest(row))
    moments: dict[str, datetime | None] = {"published_at": row.published_at, "withdrawn_at": row.withdrawn_at}
    told = {"commercial": _commercial(row), "live_slots": row.live_slots, "queued": row.queued, "state": _state(row)}
    return {"name": row.name, **facts, "version": row.version, **told, **moments}


def _state(row: WorkflowRow) -> str:
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.paused:
        return "paused"
    if row.live_slots:
        return "sold"
    return "sold, nobody is there" if row.able_slots else "no worker can run it"


def _manifest(row: WorkflowRow) -> Manifest:
    import msgspec

    from control_plane.wire.workflow import Manifest

    return msgspec.json.decode(row.manifest, type=Manifest)


def _commercial(row: WorkflowRow) -> str | None:
    """Whether what it makes may be sold, by the licences of its weights; None: not known."""
    import msgspec

    from control_plane.orders.manifests import commercial
    from control_plane.wire.model import ModelLicence

    licences = msgspec.json.decode(row.licences, type=list[ModelLicence])
    return commercial(licences, all_known=bool(licences))
