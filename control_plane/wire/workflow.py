"""What a workflow is: a graph in ComfyUI's API format and a manifest that says which of its leaves an order may fill.

A workflow is two files of one name in one folder, `<name>.json` as ComfyUI's "Export (API)" writes it and
`<name>.toml`. A *leaf* is an input that holds a value and no link, written `node.input`. Leaves that are neither in a
slot nor a LoRA nor a file nor the prefix stay as the operator wrote them; links can never change. The control plane
sells what the manifests say and sends the workflows to its agents, which judge graphs by `soundness` once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from control_plane.wire import Message
from control_plane.wire import weights as lists
from control_plane.wire.job import JobKind, LoraName, Task
from control_plane.wire.weights import FILES_MAX, FileName, FolderName, SentEntry
from control_plane.wire.worker import Capability

SHIPPED = Path(__file__).parents[2] / "agent" / "workflows"
"""The workflows that come with Tessera."""
GRAPH_BYTES_MAX = 256 * 1024
MANIFEST_BYTES_MAX = 64 * 1024
NODES_MAX = 200
WORKFLOWS_MAX = 64
"""A claim names at most as many models."""
LORAS_MAX = 8
LANGUAGES_MAX = 128

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
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z", max_length=64)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}\Z")]
"""Its code by ISO 639."""
ENGLISH: tuple[Language, ...] = ("en",)
"""What nearly every text encoder reads, and many of them nothing else."""
Leaf = Annotated[str, Meta(pattern=r"^[^.]+\.[^.]+\Z", max_length=200)]
"""`node.input`"""
Number = int | float


class WorkflowError(Exception):
    """The files of a workflow cannot be used; the message names the file and what is wrong."""


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    class_type: str
    inputs: dict[str, Any]


Graph = dict[str, Node]


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a field of the order goes. A number snaps to `min` plus a multiple of `step`; outside it is refused."""

    at: Annotated[list[Leaf], Meta(min_length=1)]
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None
    choices: list[str] = []
    default: Number | str | None = None
    """For an order that leaves the field out; absent: the graph's own value stays."""


class Lora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A LoRA of the stack: how strongly it counts is for the order to say, within bounds; 0 leaves it out."""

    at: Annotated[list[Leaf], Meta(min_length=1)]
    """The strengths of its loader."""
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    min: float = 0.0
    max: float
    default: float
    triggers: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=16)] = ()
    """Words that it was trained on: they stay as they are when a prompt is translated."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that must lie on the worker, in a folder as ComfyUI calls it; `weights` knows more of it."""

    folder: FolderName
    name: FileName
    at: Leaf


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    kind: JobKind
    model: Name
    """What orders name; several workflows may serve one model, each another task."""
    task: Task
    """What it makes of what. Of an order with an input image the model says whether it is painted anew as a whole
    (image-to-image) or where it is transparent (inpaint), so no model has both."""
    price_weight: Annotated[float, Meta(gt=0, le=10_000)]
    """The weight of the model in the price (`GET /api/v1/models` has the formula)."""
    position: Annotated[int, Meta(ge=0, le=999)] = 500
    """The model's place among all. An order that names no model gets the first of its kind."""
    vram_gib: Annotated[int, Meta(ge=0, le=1_024)]
    """The least memory that the GPU must have."""
    pixels_max: Annotated[int, Meta(ge=64 * 64, le=4_096 * 4_096)] | None = None
    """Width times height of what comes out; absent: the largest width by the largest height."""
    proven: Proof
    upscale: Literal[2, 4] | None = None
    """For a workflow that only enlarges: how many times longer it makes the sides."""
    prefix: Leaf
    """Of the names of the files that are made."""
    slots: dict[Field, Slot]
    loras: Annotated[dict[LoraName, Lora], Meta(max_length=LORAS_MAX)] = {}
    files: list[ModelFile]
    languages: Annotated[tuple[Language, ...], Meta(min_length=1, max_length=LANGUAGES_MAX)] = ENGLISH
    """In which its text encoder reads prompts, the best one first. It changes nothing of what is drawn."""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    name: Name
    manifest: Manifest
    graph: Graph

    @property
    def capability(self) -> Capability:
        return Capability(kind=self.manifest.kind, model=self.manifest.model, tasks=(self.manifest.task,))

    @property
    def version(self) -> str:
        """SHA-256 of graph and manifest: the same one means the same steps."""
        parts = (msgspec.json.encode(self.graph), self.for_agents)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    @property
    def for_agents(self) -> bytes:
        """The manifest as agents get it: without what only those need who order. An older agent that met a field which
        it does not know would leave the workflow out."""
        loras = {name: msgspec.structs.replace(lora, triggers=()) for name, lora in self.manifest.loras.items()}
        return msgspec.json.encode(msgspec.structs.replace(self.manifest, loras=loras, languages=ENGLISH))

    @property
    def wants_image(self) -> bool:
        return "input_image" in self.manifest.slots

    @property
    def in_batches(self) -> bool:
        """All artifacts of an order come from one run; otherwise there is one run for each."""
        return "count" in self.manifest.slots


class SentWorkflow(Message, frozen=True, kw_only=True):
    """A workflow on its way to agents, whose manifest may say what an older agent does not know."""

    name: str
    manifest: msgspec.Raw
    graph: msgspec.Raw


class WorkflowSet(Message, frozen=True, kw_only=True):
    """Every workflow that may be ordered."""

    revision: str
    """Another one means that something has changed."""
    data: Annotated[list[SentWorkflow], Meta(max_length=WORKFLOWS_MAX)]
    weights: Annotated[list[SentEntry], Meta(max_length=FILES_MAX)] = []
    """What the operator's lists of weights say of their files: where to load them, how large they are, which hash and
    licence they have."""


def revision(versions: Iterable[tuple[str, str]]) -> str:
    """Of a set, by names and versions; what is known of weights counts as one more."""
    return hashlib.sha256(msgspec.json.encode(sorted(versions))).hexdigest()[:32]


def sent(workflows: Iterable[Workflow], weights: Iterable[lists.Entry] = ()) -> WorkflowSet:
    found = sorted(workflows, key=lambda workflow: workflow.name)
    known = lists.sent(weights)
    listed = hashlib.sha256(msgspec.json.encode(known)).hexdigest()
    return WorkflowSet(
        revision=revision([*((workflow.name, workflow.version) for workflow in found), ("weights/", listed)]),
        weights=known,
        data=[
            SentWorkflow(
                name=workflow.name,
                manifest=msgspec.Raw(workflow.for_agents),
                graph=msgspec.Raw(msgspec.json.encode(workflow.graph)),
            )
            for workflow in found
        ],
    )


def received(one: SentWorkflow) -> Workflow:
    """Raises `WorkflowError`, as for a workflow that is newer than this program."""
    return parse(one.name, bytes(one.manifest), bytes(one.graph), as_toml=False)


def parse(name: str, manifest: bytes, graph: bytes, origin: str = "", *, as_toml: bool = True) -> Workflow:
    """A workflow out of its two texts; raises `WorkflowError` that speaks of `origin` and its suffixes."""
    origin = origin or name
    for what, raw, most in ((".toml", manifest, MANIFEST_BYTES_MAX), (".json", graph, GRAPH_BYTES_MAX)):
        if len(raw) > most:
            raise WorkflowError(f"{origin}{what}: larger than {most} bytes.")
    try:
        told = (msgspec.toml if as_toml else msgspec.json).decode(manifest, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WorkflowError(f"{origin}.toml: {error}.") from error
    try:
        nodes = msgspec.json.decode(graph, type=Graph)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = "Export it from ComfyUI with “Export (API)”."
        raise WorkflowError(f"{origin}.json: {error}. {hint}") from error
    if not 0 < len(nodes) <= NODES_MAX:
        raise WorkflowError(f"{origin}.json: must have 1 to {NODES_MAX} nodes.")
    try:
        return msgspec.convert({"name": name, "manifest": told, "graph": nodes}, Workflow)
    except msgspec.ValidationError as error:
        said = "a workflow is called by small letters, digits, dots, dashes and underscores"
        raise WorkflowError(f"{origin}.toml: {said}, at most 64.") from error


def read(path: Path) -> Workflow:
    """The workflow whose manifest this is, the graph beside it; raises `WorkflowError`."""
    try:
        texts = path.read_bytes(), path.with_suffix(".json").read_bytes()
    except OSError as error:
        raise WorkflowError(f"{error.filename}: {error.strerror}.") from error
    return parse(path.stem, *texts, origin=str(path.with_suffix("")))


def manifests(*folders: Path) -> dict[str, Path]:
    """The manifests in these folders by the names of their workflows, a later folder over an earlier one."""
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def load(*folders: Path) -> list[Workflow]:
    """Every workflow in these folders, a later folder over an earlier one; raises `WorkflowError`."""
    for folder in folders:
        if not manifests(folder):
            raise WorkflowError(f"There is no workflow in {folder}: none has a manifest (.toml).")
    return [read(path) for path in manifests(*folders).values()]


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
    filled = [*(slot.at for slot in manifest.slots.values()), *(lora.at for lora in manifest.loras.values())]
    return [manifest.prefix, *(leaf for leaves in filled for leaf in leaves)]


def snapped(slot: Slot, value: Number) -> Number | None:
    """The nearest number that the slot takes; None when `value` is outside of its range."""
    if (slot.min is not None and value < slot.min) or (slot.max is not None and value > slot.max):
        return None
    if slot.step is None:
        return value
    least = slot.min or 0
    found = least + round((value - least) / slot.step) * slot.step
    return found - slot.step if slot.max is not None and found > slot.max else found
