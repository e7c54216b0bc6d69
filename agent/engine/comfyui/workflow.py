"""What a workflow is: a graph in ComfyUI's API format and a manifest that says which of its leaves an order may fill.

A workflow is two files of one name in one folder, `<name>.json` as ComfyUI's "Export (API)" writes it and
`<name>.toml`. A *leaf* is an input that holds a value and no link, written `node.input`. Leaves that are neither in a
slot nor a file nor the prefix stay as the operator wrote them; links can never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from control_plane.wire.job import JobKind
from control_plane.wire.worker import Capability

SHIPPED = Path(__file__).parents[2] / "workflows"
"""The workflows that come with the agent."""
GRAPH_BYTES_MAX = 1024 * 1024
NODES_MAX = 200

Field = Literal[
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "guidance",
    "sampler",
    "seed",
    "count",
    "input_image",
    "strength",
    "frames",
    "fps",
]
"""The fields of an order that can fill a slot."""
Proof = Literal["validated", "toy", "gpu"]
"""How far a workflow was proven on a genuine ComfyUI: its graph fits the pinned nodes; it ran on a processor with toy
weights; it ran on a GPU with weights of full size, random ones: that it runs is proven, not that it is beautiful."""
Leaf = Annotated[str, Meta(pattern=r"^[^.]+\.[^.]+\Z")]
"""`node.input`"""
Number = int | float


class WorkflowError(Exception):
    """The files of a workflow cannot be used; the message names the file and what is wrong."""


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    class_type: str
    inputs: dict[str, Any]


Graph = dict[str, Node]


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a field of the order goes. A number snaps to `min` plus a multiple of `step`; outside it is refused."""

    at: Annotated[list[Leaf], Meta(min_length=1)]
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None
    choices: list[str] = []
    default: Number | str | None = None
    """For an order that leaves the field out; absent: the graph's own value stays."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that must lie on the worker, in a folder as ComfyUI calls it."""

    folder: str
    name: str
    at: Leaf


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    kind: JobKind
    model: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z", max_length=64)]
    """What orders name; several workflows may serve one model, with and without an input image."""
    price_weight: Annotated[float, Meta(gt=0)]
    """What one artifact costs, beside a picture by `sd15`."""
    vram_gib: Annotated[int, Meta(ge=0)]
    """The least memory that the GPU must have."""
    proven: Proof
    upscale: int | None = None
    """For a workflow that only enlarges: how many times longer it makes the sides."""
    prefix: Leaf
    """Of the names of the files that are made."""
    slots: dict[Field, Slot]
    files: list[ModelFile]


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    manifest: Manifest
    graph: Graph

    @property
    def capability(self) -> Capability:
        return Capability(kind=self.manifest.kind, model=self.manifest.model)

    @property
    def version(self) -> str:
        """SHA-256 of graph and manifest: the same one means the same steps."""
        parts = (msgspec.json.encode(self.graph), msgspec.json.encode(self.manifest))
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    @property
    def wants_image(self) -> bool:
        return "input_image" in self.manifest.slots

    @property
    def in_batches(self) -> bool:
        """All artifacts of an order come from one run; otherwise there is one run for each."""
        return "count" in self.manifest.slots


def load(*folders: Path) -> list[Workflow]:
    """Every workflow in these folders by name, a later folder over an earlier one; raises `WorkflowError`."""
    found: dict[str, Workflow] = {}
    for folder in folders:
        manifests = sorted(folder.glob("*.toml"))
        if not manifests:
            raise WorkflowError(f"There is no workflow in {folder}: none has a manifest (.toml).")
        found |= {path.stem: _load(path) for path in manifests}
    return list(found.values())


def _load(path: Path) -> Workflow:
    graph_path = path.with_suffix(".json")
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise WorkflowError(f"{path}: {error}") from error
    try:
        raw = graph_path.read_bytes()
        if len(raw) > GRAPH_BYTES_MAX:
            raise WorkflowError(f"{graph_path}: larger than {GRAPH_BYTES_MAX} bytes.")
        graph = msgspec.json.decode(raw, type=Graph)
    except (OSError, msgspec.DecodeError) as error:
        hint = " Export it from ComfyUI with “Export (API)”." if isinstance(error, msgspec.DecodeError) else ""
        raise WorkflowError(f"{graph_path}: {error}.{hint}") from error
    if not 0 < len(graph) <= NODES_MAX:
        raise WorkflowError(f"{graph_path}: must have 1 to {NODES_MAX} nodes.")
    return Workflow(name=path.stem, manifest=manifest, graph=graph)


def is_link(value: object) -> bool:
    """Whether an input takes what another node puts out: `[node, number of the output]`."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def links(graph: Graph) -> Iterator[tuple[str, str, str, int]]:
    """Node, input, and the node and output that it is linked to."""
    for name, node in graph.items():
        for key, value in node.inputs.items():
            if is_link(value):
                yield name, key, value[0], value[1]


def declared(manifest: Manifest) -> list[str]:
    """Every leaf that rendering may fill, as often as it is named."""
    return [manifest.prefix, *(leaf for slot in manifest.slots.values() for leaf in slot.at)]
