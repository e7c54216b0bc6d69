"""An order put into a workflow: pure, and unable to change anything but the values of the declared leaves.

A number keeps the type that the leaf has in the template, text stays text, so no value of an order can turn into a
link or a structure. What cannot be filled in is refused with a sentence for the person who ordered.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.engine.comfyui.workflow import Field, Graph, Node, Slot, Workflow
from control_plane.wire.job import JobSpec


class Unfit(Exception):
    """The order does not fit the workflow; the message may be shown to whoever ordered."""


def render(workflow: Workflow, spec: JobSpec, *, prefix: str, input_image: str | None = None) -> Graph:
    """The graph to post. `input_image` is the name that ComfyUI gave to the upload."""
    values: dict[str, Any] = {workflow.manifest.prefix: prefix}
    for field, slot in workflow.manifest.slots.items():
        value = _value(field, slot, input_image if field == "input_image" else getattr(spec, field))
        if value is not None:
            values |= dict.fromkeys(slot.at, value)
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


def _number(field: Field, slot: Slot, value: float) -> float:
    if (slot.min is not None and value < slot.min) or (slot.max is not None and value > slot.max):
        raise Unfit(f"{field} must be from {slot.min} to {slot.max}.")
    if slot.step is None:
        return value
    least = slot.min or 0
    snapped = least + round((value - least) / slot.step) * slot.step
    return snapped - slot.step if slot.max is not None and snapped > slot.max else snapped


def _like(template: object, value: str | float) -> str | float:
    """`value` as the type that the leaf has in the template."""
    if isinstance(template, str):
        return str(value)
    if isinstance(template, float):
        return float(value)
    return int(value)
