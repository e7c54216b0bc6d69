"""What a ComfyUI has, and which workflows are therefore possible: taken down whenever the engine looks.

It is told later to whoever asks this machine, without a question to ComfyUI and without reading a file: of the model
files only sizes are looked up, and their hashes are those that are remembered. Node packages that others have written
are known by the modules of their classes; their versions are in files of theirs, where these lie on this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.engine import Inventory, ModelFacts
from agent.engine.comfyui.check import faults
from agent.engine.comfyui.nodes import NodeClasses, node_classes
from agent.engine.comfyui.server import Server, Stats
from agent.engine.comfyui.weights import Weights
from agent.hashes import Hashes
from control_plane.wire.workflow import Workflow

GIB = 1024**3
MODELS_MAX = 1_000
PACKAGES_MAX = 200
PROJECT_BYTES_MAX = 64 * 1024
REASONS_MAX = 20
REASON_LENGTH_MAX = 300
CUSTOM = "custom_nodes"

Listing = dict[str, list[str]]
"""Names of model files by folder."""

log = structlog.get_logger()


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    possible: list[Workflow]
    impossible: dict[str, list[str]]
    """Why, by the names of workflows."""
    listing: Listing
    weights: Weights
    """Of the files of what is possible."""
    versions: dict[str, str]
    packages: dict[str, str | None]
    node_classes: int
    node_classes_sha256: str


async def take(
    server: Server, stats: Stats, workflows: Sequence[Workflow], listing: Listing, hashes: Hashes | None
) -> Taken:
    """Raises what `server` does."""
    told = await server.object_info()
    folders = await server.folder_paths()
    reasons = _reasons(workflows, node_classes(told), vram_gib(stats))
    possible = [workflow for workflow in workflows if workflow.name not in reasons]
    return Taken(
        possible=possible,
        impossible=reasons,
        listing=listing,
        weights=Weights(folders, possible, hashes),
        versions=_versions(stats),
        packages=await asyncio.to_thread(_packages, told, folders.get(CUSTOM, [])),
        node_classes=len(told),
        node_classes_sha256=hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest(),
    )


def inventory(taken: Taken, withdrawn: set[str]) -> Inventory:
    """`withdrawn`: names of files that did not load. Looks at the disk, so to be called in a thread."""
    names = [(folder, name) for folder in sorted(taken.listing) for name in taken.listing[folder]]
    models: dict[str, list[ModelFacts]] = {folder: [] for folder in sorted(taken.listing)}
    for folder, name in names[:MODELS_MAX]:
        size, sha256 = taken.weights.facts(folder, name)
        models[folder].append(ModelFacts(name=name, bytes=size, sha256=sha256))
    broken = {workflow.name: _broken(workflow, withdrawn) for workflow in taken.possible}
    return Inventory(
        versions=taken.versions,
        packages=taken.packages,
        node_classes=taken.node_classes,
        node_classes_sha256=taken.node_classes_sha256,
        models=models,
        models_left_out=max(0, len(names) - MODELS_MAX),
        possible=[workflow.name for workflow in taken.possible if not broken[workflow.name]],
        impossible=taken.impossible | {name: reasons for name, reasons in broken.items() if reasons},
    )


def _broken(workflow: Workflow, withdrawn: set[str]) -> list[str]:
    return [f"{file.folder}/{file.name} did not load." for file in workflow.manifest.files if file.name in withdrawn]


def vram_gib(stats: Stats) -> int | None:
    """None where the processor draws, which has as much memory as it takes. A card of 24 GiB reports 23.6."""
    device = stats.devices[0] if stats.devices else None
    return None if device is None or device.type == "cpu" else round(device.vram_total / GIB)


def _reasons(workflows: Sequence[Workflow], classes: NodeClasses, memory_gib: int | None) -> dict[str, list[str]]:
    """Of those that do not run here; told at the level of debugging, since most lack files."""
    found: dict[str, list[str]] = {}
    for workflow in workflows:
        reasons = [fault.message[:REASON_LENGTH_MAX] for fault in faults(workflow, classes)[:REASONS_MAX]]
        if memory_gib is not None and workflow.manifest.vram_gib > memory_gib:
            reasons.append(f"It needs {workflow.manifest.vram_gib} GiB of GPU memory, and here are {memory_gib}.")
        if reasons:
            log.debug("workflow.left_out", workflow=workflow.name, reasons=reasons)
            found[workflow.name] = reasons
    return found


def _versions(stats: Stats) -> dict[str, str]:
    told = {"comfyui": stats.system.comfyui_version, "pytorch": stats.system.pytorch_version}
    return {name: version for name, version in told.items() if version}


def _packages(object_info: Mapping[str, Any], folders: Sequence[str]) -> dict[str, str | None]:
    modules = [str(told.get("python_module", "")) for told in object_info.values() if isinstance(told, dict)]
    names = {module.removeprefix(f"{CUSTOM}.") for module in modules if module.startswith(f"{CUSTOM}.")}
    return {name: _version(name, folders) for name in sorted(names)[:PACKAGES_MAX]}


def _version(package: str, folders: Sequence[str]) -> str | None:
    """As its own project file says; None: it has none here that can be read."""
    if Path(package).name != package:
        return None
    for folder in folders:
        try:
            with (Path(folder) / package / "pyproject.toml").open("rb") as file:
                project = tomllib.loads(file.read(PROJECT_BYTES_MAX).decode()).get("project", {})
            return str(project["version"])[:100]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
