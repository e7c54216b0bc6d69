"""Whether a workflow is sound, whatever the ComfyUI: every reason why not, told to the person who writes workflows.

The control plane sells nothing unsound, and agents judge once more what they are sent: a graph is a program. That it
also fits the nodes of a ComfyUI, only the agent beside it can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from control_plane.wire.nodes import ALLOWED, MODEL_FILES, SAVERS
from control_plane.wire.workflow import Field, Lora, Manifest, Slot, Workflow, declared, is_link, links

BUILT_IN = "testcard"
"""Drawn by an engine of its own; no workflow may stand in for it."""
MUST: dict[str, frozenset[Field]] = {
    "text-to-image": frozenset({"prompt", "width", "height", "steps", "seed"}),
    "image-to-image": frozenset({"prompt", "input_image", "steps", "seed"}),
    "inpaint": frozenset({"prompt", "input_image", "steps", "seed"}),
    "upscale": frozenset({"input_image"}),
    "text-to-video": frozenset({"prompt", "width", "height", "steps", "seed", "frames", "fps"}),
    "image-to-video": frozenset({"prompt", "input_image", "width", "height", "steps", "seed", "frames", "fps"}),
}
"""The slots that a workflow for this task cannot do without."""
RANGED: frozenset[Field] = frozenset({"width", "height", "steps", "guidance", "strength", "frames", "fps"})
"""Have a range and a default, so that orders are refused at once and priced beforehand."""


def structure_faults(workflow: Workflow) -> list[str]:
    """What is wrong with a workflow by itself."""
    return [
        *_manifest_coherent(workflow.manifest),
        *_classes_allowed(workflow),
        *_links_lead(workflow),
        *_leaves_exist(workflow),
        *_files_listed(workflow),
    ]


def set_faults(workflows: Iterable[Workflow]) -> dict[str, list[str]]:
    """What is wrong with workflows of one model beside each other, by the name of the later one."""
    found: dict[str, list[str]] = {}
    models: dict[tuple[str, str], list[Workflow]] = {}
    for workflow in workflows:
        manifest = workflow.manifest
        others = models.setdefault((manifest.kind, manifest.model), [])
        for other in others:
            said = list(_at_odds(manifest, other.manifest))
            if said:
                found.setdefault(workflow.name, []).extend(f"{reason} (see {other.name})." for reason in said)
        if workflow.name not in found:
            others.append(workflow)
    return found


def _at_odds(one: Manifest, other: Manifest) -> Iterator[str]:
    if one.task == other.task:
        yield f"The model {one.model} has a workflow for {one.task} already: give this one a model of its own"
    if {one.task, other.task} == {"image-to-image", "inpaint"}:
        yield f"The model {one.model} cannot be for both image-to-image and inpaint: give one a model of its own"
    if one.price_weight != other.price_weight:
        yield f"The workflows of {one.model} must have one price_weight"
    if one.position != other.position:
        yield f"The workflows of {one.model} must have one position"


def _manifest_coherent(manifest: Manifest) -> Iterator[str]:
    if manifest.model == BUILT_IN:
        yield f"model must not be {BUILT_IN}, which is built in."
    if (manifest.kind == "video") != manifest.task.endswith("-video"):
        yield f"A workflow of kind {manifest.kind} cannot be for {manifest.task}."
    for field in sorted(MUST[manifest.task] - manifest.slots.keys()):
        yield f"A workflow for {manifest.task} needs [slots.{field}]."
    if manifest.task.startswith("text-") and "input_image" in manifest.slots:
        yield f"A workflow for {manifest.task} has no [slots.input_image]."
    if (manifest.task == "upscale") != (manifest.upscale is not None):
        yield "upscale says how many times longer the sides become: for the task upscale, and for no other."
    if ("width" in manifest.slots) != ("height" in manifest.slots):
        yield "width and height are both slots, or neither."
    for field, slot in manifest.slots.items():
        yield from _slot_coherent(field, slot)
    for name, lora in manifest.loras.items():
        yield from _lora_coherent(name, lora)


def _slot_coherent(field: Field, slot: Slot) -> Iterator[str]:
    if field in RANGED and None in (slot.min, slot.max, slot.default):
        yield f"[slots.{field}] needs min, max and default."
    if slot.min is not None and slot.max is not None and slot.min > slot.max:
        yield f"[slots.{field}]: min is above max."
    if slot.step is not None and slot.step <= 0:
        yield f"[slots.{field}]: step must be above 0."
    elif isinstance(slot.default, int | float):
        below = slot.min is not None and slot.default < slot.min
        above = slot.max is not None and slot.default > slot.max
        if below or above:
            yield f"[slots.{field}]: the default must be from {slot.min} to {slot.max}."
    if slot.choices and slot.default is not None and slot.default not in slot.choices:
        yield f"[slots.{field}]: the default must be one of the choices."


def _lora_coherent(name: str, lora: Lora) -> Iterator[str]:
    if not lora.min <= lora.default <= lora.max:
        yield f"[loras.{name}]: the default must be from min to max."
    if not lora.min <= 0 <= lora.max:
        yield f"[loras.{name}]: 0, which leaves it out, must be from min to max."


def _classes_allowed(workflow: Workflow) -> Iterator[str]:
    for name, node in workflow.graph.items():
        if "." in name:
            yield f"{name}: a node's name must hold no dot."
        if node.class_type not in ALLOWED:
            yield f"{name}: {node.class_type} is not among the classes that workflows may use."
    if not any(node.class_type in SAVERS for node in workflow.graph.values()):
        yield "Nothing is saved: the graph has no output node."


def _links_lead(workflow: Workflow) -> Iterator[str]:
    for name, key, source, _ in links(workflow.graph):
        if source not in workflow.graph:
            yield f"{name}.{key} is linked to {source}, which does not exist."
            return
    needs = {name: {source for at, _, source, _ in links(workflow.graph) if at == name} for name in workflow.graph}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        yield f"The links go round in a circle: {' → '.join(error.args[1])}."


def _leaves_exist(workflow: Workflow) -> Iterator[str]:
    manifest = workflow.manifest
    filled = declared(manifest)
    fixed = [file.at for file in manifest.files]
    for leaf in [*filled, *fixed]:
        name, _, key = leaf.partition(".")
        node = workflow.graph.get(name)
        if node is None or key not in node.inputs:
            yield f"{leaf} is in the manifest but not in the graph."
        elif is_link(node.inputs[key]) or isinstance(node.inputs[key], dict | list):
            yield f"{leaf} is in the manifest but holds no plain value in the graph."
    for leaf in sorted({leaf for leaf in [*filled, *fixed] if [*filled, *fixed].count(leaf) > 1}):
        yield f"{leaf} is named twice in the manifest."
    for file in manifest.files:
        name, _, key = file.at.partition(".")
        written = workflow.graph[name].inputs.get(key) if name in workflow.graph else None
        if written is not None and written != file.name:
            yield f"{file.at} is {written!r} in the graph but {file.name!r} in the manifest."


def _files_listed(workflow: Workflow) -> Iterator[str]:
    """A graph names model files exactly where the manifest does, each in the folder that its loader reads."""
    listed = {file.at: file.folder for file in workflow.manifest.files}
    read = {
        f"{name}.{key}": folder
        for name, node in workflow.graph.items()
        for key, folder in MODEL_FILES.get(node.class_type, {}).items()
    }
    for at in sorted(read.keys() | listed.keys()):
        if at not in listed:
            yield f"{at} takes a file, which the manifest must list under [[files]]."
        elif at not in read:
            yield f"{at} is under [[files]] in the manifest, but its node takes no file there."
        elif listed[at] != read[at]:
            yield f"{at}: the file lies in the folder {read[at]}, not in {listed[at]}."
