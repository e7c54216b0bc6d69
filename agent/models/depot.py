"""What the commands work on: workflows, lists of weights with this machine's own pins, and the disk.

The workflows are those that the engine would begin with: as the control plane had them in force when this agent last
heard of it, before that the shipped ones and the owner's own. Of a file that several lists know, the owner's own list
counts, then what the control plane has said with its workflows, then the shipped lists: who is nearer to the machine is
believed first. Whoever said it, sources, contents and licences are held to the same rules.

A *pin* is the hash of a file for which no list has one, taken from the file that its owner trusted; from then on
exactly those bytes are taken for it. What a list says always goes before a pin.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.engine import repertory
from agent.engine.repertory import kept, understood
from agent.hashes import Hashes
from agent.models import folders
from agent.models import plan as planning
from agent.models.folders import Folders
from agent.models.plan import Need, Plan
from agent.settings import ConfigurationError, Settings
from control_plane.wire import weights as lists
from control_plane.wire.weights import Weights, WeightsError
from control_plane.wire.workflow import SHIPPED, WorkflowError, load

GIB = 1024**3


class Depot(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings
    needs: list[Need]
    weights: Weights
    """With the pins."""
    folders: Folders
    hashes: Hashes

    @property
    def files(self) -> list[str]:
        """Of every list and every workflow."""
        return sorted(set(self.weights.files) | {file for need in self.needs for file in need.files})

    def named(self, names: list[str]) -> set[str]:
        try:
            return planning.named(names, self.needs, self.weights)
        except planning.UnknownName as error:
            raise ConfigurationError(str(error)) from error

    def plan(self, chosen: set[str] | None = None) -> Plan:
        """As the disk is at this moment."""
        files = self.files
        found = self.folders.survey(files, self.weights, self.hashes)
        reserve = int(self.settings.disk_free_gib_min * GIB)
        return planning.plan(self.needs, self.weights, found, self.folders.free(files), reserve, chosen)


async def depot(settings: Settings) -> Depot:
    """Raises `ConfigurationError`."""
    own = [settings.workflows] if settings.workflows else []
    heard = kept(settings.workflows_file)
    try:
        workflows = understood(heard) or load(SHIPPED, *own)
        listed = lists.load(*own, base=lists.over(lists.load(SHIPPED), repertory.weights(heard)))
    except (WorkflowError, WeightsError) as error:
        raise ConfigurationError(str(error)) from error
    needs = [
        Need(
            workflow=workflow.name,
            model=workflow.manifest.model,
            vram_gib=workflow.manifest.vram_gib,
            files=[f"{file.folder}/{file.name}" for file in workflow.manifest.files],
        )
        for workflow in workflows
    ]
    weights = pinned(listed, load_pins(settings.pins_file))
    hashes = Hashes(settings.hashes_file)
    return Depot(settings=settings, needs=needs, weights=weights, folders=await folders.found(settings), hashes=hashes)


def pinned(weights: Weights, pins: Mapping[str, str]) -> Weights:
    files = {
        path: msgspec.structs.replace(file, sha256=pins[path]) if file.sha256 is None and path in pins else file
        for path, file in weights.files.items()
    }
    return Weights(licences=weights.licences, files=files)


def load_pins(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, lists.Sha256])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}). Mend it, or move it away and pin anew.") from error


def pin(path: Path, file: str, sha256: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode({**load_pins(path), file: sha256})) + b"\n")
    fresh.replace(path)
