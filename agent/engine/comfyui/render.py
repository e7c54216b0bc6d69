"""An order put into a workflow: pure, and unable to change anything but the values of the declared leaves.

A number keeps the type that the leaf has in the template, text stays text, so no value of an order can turn into a
link or a structure. What cannot be filled in is refused with a sentence for the person who ordered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from control_plane.wire.job import JobSpec
from control_plane.wire.workflow import Field, Graph, Lora, Node, Slot, Workflow, snapped


class Unfit(Exception):
    """The order does not fit the workflow; the message may be shown to whoever ordered."""


def render(workflow: Workflow, spec: JobSpec, *, prefix: str, input_image: str | None = None) -> Graph:
    """The graph to post. `input_image` is the name that ComfyUI gave to the upload."""
    values: dict[str, Any] = {workflow.manifest.prefix: prefix}
    for field, slot in workflow.manifest.slots.items():
        value = _value(field, slot, input_image if field == "input_image" else getattr(spec, field))
        if value is not None:
            values |= dict.fromkeys(slot.at, value)
    values |= _strengths(workflow.manifest.loras, spec.loras)
    graph = {name: Node(node.class_type, dict(node.inputs)) for name, node in workflow.graph.items()}
    for leaf, value in values.items():
        name, _, key = leaf.partition(".")
        inputs = graph[name].inputs
        inputs[key] = _like(inputs[key], value)
    return graph


def artifact(spec: JobSpec, index: int) -> JobSpec:
    """The order for one artifact of several, when a run makes only one."""
    return msgspec.structs.replace(spec, count=1, seed=spec.seed + index)


def _value(field: Field, slot: Slot, ordered: str | float | None) -> str | float | None:
    value = slot.default if ordered is None else ordered
    if value is None and field == "input_image":
        raise Unfit("This needs an input image.")
    if isinstance(value, str):
        if slot.choices and value not in slot.choices:
            raise Unfit(f"{field} must be one of {', '.join(slot.choices)}.")
        return value
    return None if value is None else _number(field, slot, value)


def _number(field: str, slot: Slot, value: float) -> float:
    found = snapped(slot, value)
    if found is None:
        raise Unfit(f"{field} must be from {slot.min} to {slot.max}.")
    return found


def _strengths(loras: Mapping[str, Lora], ordered: Mapping[str, float]) -> dict[str, Any]:
    """Leaf → strength, of every LoRA in the stack."""
    if unknown := ordered.keys() - loras.keys():
        raise Unfit(f"loras: there is no {', '.join(sorted(unknown))} here; there is {', '.join(loras) or 'none'}.")
    values: dict[str, Any] = {}
    for name, lora in loras.items():
        strength = ordered.get(name, lora.default)
        if not lora.min <= strength <= lora.max:
            raise Unfit(f"loras: {name} must be from {lora.min} to {lora.max}.")
        values |= dict.fromkeys(lora.at, strength)
    return values


def _like(template: object, value: str | float) -> str | float:
    """`value` as the type that the leaf has in the template."""
    if isinstance(template, str):
        return str(value)
    if isinstance(template, float):
        return float(value)
    return int(value)
