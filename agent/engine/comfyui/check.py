"""Whether a workflow fits a ComfyUI: every reason why not, told to the person who writes or installs workflows.

`wrong` means the two files must be mended; `missing` means this worker lacks a model file or a node, so the workflow
is not offered here and all is well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from agent.engine.comfyui.nodes import Input, NodeClass, NodeClasses
from control_plane.wire.soundness import structure_faults
from control_plane.wire.workflow import Field, Lora, Slot, Workflow, is_link

TEXT_FIELDS: frozenset[Field] = frozenset({"prompt", "negative_prompt", "sampler", "input_image"})
LEAF_TYPES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
}


class Fault(msgspec.Struct, frozen=True):
    kind: Literal["wrong", "missing"]
    message: str


def faults(workflow: Workflow, classes: NodeClasses) -> list[Fault]:
    """Everything that keeps `workflow` from running on a ComfyUI with these nodes; empty: it runs."""
    found = [Fault("wrong", message) for message in structure_faults(workflow)]
    return found or [*_fit(workflow, classes)]


def _fit(workflow: Workflow, classes: NodeClasses) -> Iterator[Fault]:
    if not any(classes[node.class_type].saves for node in workflow.graph.values() if node.class_type in classes):
        yield Fault("wrong", "Nothing is saved: the graph has no output node.")
    for name, node in workflow.graph.items():
        known = classes.get(node.class_type)
        if known is None:
            yield Fault("missing", f"{name}: this ComfyUI has no node {node.class_type}. Update ComfyUI.")
            continue
        yield from _inputs_known(name, node.inputs, known)
        for key, value in node.inputs.items():
            if key in known.inputs and is_link(value):
                yield from _link_fits(workflow, classes, f"{name}.{key}", value, known.inputs[key])
            elif key in known.inputs:
                yield from _leaf_fits(workflow, f"{name}.{key}", value, known.inputs[key])


def _inputs_known(name: str, inputs: dict[str, object], known: NodeClass) -> Iterator[Fault]:
    for key, told in known.inputs.items():
        if told.required and key not in inputs:
            yield Fault("wrong", f"{name}.{key} is required.")
    for key in inputs:
        if key not in known.inputs:
            yield Fault("wrong", f"{name}.{key}: there is no such input.")


def _link_fits(workflow: Workflow, classes: NodeClasses, at: str, link: list[object], told: Input) -> Iterator[Fault]:
    source = classes.get(workflow.graph[str(link[0])].class_type)
    if source is None:
        return
    number = link[1]
    if not isinstance(number, int) or not 0 <= number < len(source.outputs):
        yield Fault("wrong", f"{at} is linked to output {number} of {link[0]}, which has {len(source.outputs)}.")
        return
    given = source.outputs[number]
    if "*" not in (given, told.type) and not set(given.split(",")) & set(told.type.split(",")):
        yield Fault("wrong", f"{at} takes {told.type} but gets {given} from {link[0]}.")


def _leaf_fits(workflow: Workflow, at: str, value: object, told: Input) -> Iterator[Fault]:
    file = next((file for file in workflow.manifest.files if file.at == at), None)
    slot = next((slot for slot in workflow.manifest.slots.items() if at in slot[1].at), None)
    lora = next((lora for lora in workflow.manifest.loras.values() if at in lora.at), None)
    if file is not None:
        if file.name not in (told.choices or []):
            yield Fault("missing", f"{file.folder}/{file.name} is not here.")
    elif told.choices is not None and not told.upload:
        yield from _choice_fits(at, value, told, slot)
    elif told.type in LEAF_TYPES:
        yield from _plain_fits(at, value, told, slot, lora)
    elif not told.upload:
        yield Fault("wrong", f"{at} must be linked to a node that gives {told.type}.")


def _choice_fits(at: str, value: object, told: Input, slot: tuple[Field, Slot] | None) -> Iterator[Fault]:
    for wanted in [value, *(slot[1].choices if slot else [])]:
        if wanted not in (told.choices or []):
            yield Fault("wrong", f"{at} cannot be {wanted!r}.")


def _plain_fits(
    at: str, value: object, told: Input, slot: tuple[Field, Slot] | None, lora: Lora | None
) -> Iterator[Fault]:
    if not isinstance(value, LEAF_TYPES[told.type]) or (isinstance(value, bool) and told.type != "BOOLEAN"):
        yield Fault("wrong", f"{at} must be of type {told.type}.")
        return
    numbers: list[object] = [value]
    if slot is not None:
        field, limits = slot
        if (field in TEXT_FIELDS) != (told.type == "STRING"):
            yield Fault("wrong", f"{at} is of type {told.type}, which does not suit {field}.")
        numbers += [limits.min, limits.max, limits.default]
    if lora is not None:
        numbers += [lora.min, lora.max, lora.default]
    for number in numbers:
        below = told.least is not None and isinstance(number, int | float) and number < told.least
        above = told.most is not None and isinstance(number, int | float) and number > told.most
        if below or above:
            yield Fault("wrong", f"{at} must be from {told.least} to {told.most}, not {number}.")
