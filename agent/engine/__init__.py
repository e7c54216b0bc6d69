"""What turns a job spec into files.

An engine knows nothing of leases or of the control plane. `run` is an async generator: it yields progress and
previews while it works and one `Output` per file, and whoever iterates it stops it by closing it (`aclose`, or
cancelling the task), after which the engine must be idle within `INTERRUPT_SECONDS` and leave no file behind
that it did not announce. An engine that has yielded `Done` takes the next run beside the rest of this one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import Capability, FailCause
from control_plane.wire.workflow import Workflow

INTERRUPT_SECONDS = 2.0


class Preview(msgspec.Struct, frozen=True):
    image: bytes
    """A small WebP, JPEG or PNG, at most `PREVIEW_BYTES_MAX`."""


class Output(msgspec.Struct, frozen=True):
    """A file that is whole, says that it was made by AI (`marking`), and will not change any more."""

    index: int
    path: Path
    mime_type: str
    made: Provenance | None = None
    """What it was made with."""


class Done(msgspec.Struct, frozen=True):
    """The engine takes the next run; what is left of this one is to save its files and bring them in. Yielded once,
    or never."""


class EngineError(Exception):
    """The run failed; `cause` decides whether it is worth trying again elsewhere."""

    def __init__(self, cause: FailCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot can do with this engine."""

    capabilities: list[Capability]
    vram_gib: int
    device: str
    """For people: `NVIDIA RTX 4090`, `CPU`."""
    disks: list[Path] = []
    """Folders that it writes to, on this machine: without room there it can do nothing."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    bytes: int | None
    """None: it is not on this machine."""
    sha256: str | None
    """None: nobody has read it since it was changed."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine had when it last looked."""

    versions: dict[str, str]
    packages: dict[str, str | None]
    """Of nodes that others have written, with their versions where these can be told."""
    node_classes: int
    node_classes_sha256: str
    """Of their sorted names, a line each."""
    models: dict[str, list[ModelFacts]]
    """By folder; only folders that some workflow takes files from."""
    models_left_out: int
    """How many more there are."""
    possible: list[str]
    impossible: dict[str, list[str]]
    """Workflows that do not run here, and why."""


def input_path(spec: JobSpec, folder: Path) -> Path | None:
    """Where the input image of a run lies in its folder; None when it has none."""
    return folder / spec.input_image.file_name if spec.input_image is not None else None


class Engine(Protocol):
    name: str

    async def start(self) -> None:
        """Get ready; raises `EngineError` when that is impossible."""
        ...

    async def offer(self) -> Offer:
        """Asked after every start, and after a run that found a model missing."""
        ...

    def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Done | Output, None]:
        """Make the files of `spec` inside `folder`, which is this run's own and holds nothing but the input
        image (`input_path`)."""
        ...

    def loaded(self) -> Capability | None:
        """The model that is ready to run without loading, for affinity."""
        ...

    def worn(self) -> str | None:
        """Why it should be started anew before its next run; None: there is no reason. Asks nobody."""
        ...

    async def stop(self) -> None:
        """End child processes; no file or process stays."""
        ...


@runtime_checkable
class Repertory(Protocol):
    """An engine that makes what workflows say, and can be given others."""

    def learn(self, workflows: list[Workflow]) -> None:
        """What may be ordered from now on. What runs goes on as it began."""
        ...

    async def look(self) -> bool:
        """Whether workflows or model files have changed, so that it may offer something else. Raises `EngineError`."""
        ...


@runtime_checkable
class Inventoried(Protocol):
    """An engine that can say what it has."""

    async def inventory(self) -> Inventory | None:
        """Asks nobody and reads no file; None: it has not looked yet."""
        ...


@runtime_checkable
class Tenant(Protocol):
    """An engine that holds memory of a GPU, and can give it back."""

    async def held_mib(self) -> int | None:
        """How much of the GPU's memory is its own; None when that is not known. At most a second or two."""
        ...

    async def free(self) -> None:
        """Give the GPU's memory back; the next run takes it again. Raises `EngineError`."""
        ...
