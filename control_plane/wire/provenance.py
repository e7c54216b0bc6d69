"""What a result was made with: with the order, its seed included, everything that is needed to make it again."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from control_plane.wire import Message

MODEL_FILES_MAX = 32
LIBRARIES_MAX = 32
SEEDS_MAX = 64

Words = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]


class ModelFile(Message, frozen=True, kw_only=True):
    """A file of weights."""

    name: Words
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    """Absent where the agent cannot read the file, or has not yet read it whole."""


class Provenance(Message, frozen=True, kw_only=True):
    """What a result was made with, as the agent that made it reports it."""

    engine: Words
    engine_version: Words = ""
    agent_version: Words = ""
    workflow: Words | None = None
    workflow_version: Words | None = None
    """SHA-256 of the graph and the manifest: the same one means the same steps."""
    models: Annotated[list[ModelFile], Meta(max_length=MODEL_FILES_MAX)] = []
    libraries: Annotated[dict[Words, Words], Meta(max_length=LIBRARIES_MAX)] = {}
    """Versions of what the engine draws with."""
    device: Words = ""
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=2**63 - 1)]], Meta(max_length=SEEDS_MAX)] = []
    """Of each artifact, in their order."""
