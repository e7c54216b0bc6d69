"""What may be ordered of a model, as a JSON Schema: that of any order, narrowed to the limits of this one.

It comes from the Struct that decodes orders, so the two cannot drift apart. What a schema cannot say, that width times
height has a limit too, stands in its description; the service itself tells it by pointer.
"""

from __future__ import annotations

import msgspec

from control_plane.api.document import Json, components
from control_plane.orders.models import Model
from control_plane.orders.specs import WEIGHED
from control_plane.wire.job import SIDE_MAX, SIDE_MIN, SubmitRequest
from control_plane.wire.workflow import Manifest, Slot

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SIDE_STEP = 8


def parameters(model: Model) -> Json:
    """The schema of an order for this model."""
    whole = msgspec.json.encode(components((SubmitRequest,))).replace(b"#/components/schemas/", b"#/$defs/")
    definitions: Json = msgspec.json.decode(whole)
    schema = definitions.pop(SubmitRequest.__name__)
    fields: Json = schema["properties"]
    _narrow(fields, model)
    enlarges = {"required": ["upscale"], "properties": {"upscale": {"enum": model.upscales}}}
    return {
        "$schema": DIALECT,
        "title": f"{model.title}: an order",
        "description": f"Width times height may be at most {model.pixels_max} pixels.",
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "kind"] if model.kind == "video" else ["model"],
        "anyOf": [{"required": ["prompt"]}, *([enlarges] if model.upscales else [])],
        "properties": fields,
        "$defs": definitions,
    }


def _narrow(fields: Json, model: Model) -> None:
    fields["model"] = {"const": model.name}
    fields["kind"] = {"const": model.kind}
    longest = min(SIDE_MAX, model.pixels_max // SIDE_MIN // SIDE_STEP * SIDE_STEP)
    for name, default in (("width", model.width), ("height", model.height)):
        _limit(fields[name], longest, default)
    _limit(fields["steps"], model.steps_max, model.steps)
    fields["guidance"]["default"] = model.guidance
    if model.kind == "video":
        _limit(fields["frames"], model.frames_max, model.frames)
        fields["fps"]["default"] = model.fps
    else:
        del fields["frames"], fields["fps"]
    if not any(task.startswith("image-") or task in ("inpaint", "upscale") for task in model.tasks):
        del fields["input_image"]
    if not any(task.startswith("image-") for task in model.tasks):
        del fields["strength"]
    if model.upscales:
        fields["upscale"] = {**fields["upscale"], "anyOf": [{"enum": model.upscales}, {"type": "null"}]}
    else:
        del fields["upscale"]
    _narrow_loras(fields, model)
    if model.workflows:
        _narrow_to_slots(fields, list(model.workflows.values()))


def _narrow_loras(fields: Json, model: Model) -> None:
    loras = {name: lora for manifest in model.workflows.values() for name, lora in manifest.loras.items()}
    if not loras:
        del fields["loras"]
        return
    bounds = {
        name: {"type": "number", "title": lora.title, "minimum": lora.min, "maximum": lora.max, "default": lora.default}
        for name, lora in loras.items()
    }
    told = {"type": "object", "additionalProperties": False, "properties": bounds, "default": {}}
    fields["loras"] = {"description": fields["loras"].get("description", ""), **told}


def _narrow_to_slots(fields: Json, manifests: list[Manifest]) -> None:
    """What no task takes is gone; numbers go as far as the task with the widest range."""
    for field in WEIGHED:
        slots = [manifest.slots[field] for manifest in manifests if field in manifest.slots]
        if not slots and field != "count":
            fields.pop(field, None)
        elif slots and field in fields and all(slot.choices for slot in slots):
            choices = list(dict.fromkeys(choice for slot in slots for choice in slot.choices))
            fields[field] = {**fields[field], "anyOf": [{"enum": choices}, {"type": "null"}]}
        elif field in fields:
            _widen(fields[field], slots)


def _widen(field: Json, slots: list[Slot]) -> None:
    least = [slot.min for slot in slots if slot.min is not None]
    most = [slot.max for slot in slots if slot.max is not None]
    for kind in field.get("anyOf", [field]):
        if kind.get("type") not in ("integer", "number"):
            continue
        if least:
            kind["minimum"] = max(kind.get("minimum", min(least)), min(least))
        if most:
            kind["maximum"] = min(kind.get("maximum", max(most)), max(most))
    if slots and slots[0].default is not None and not isinstance(slots[0].default, str):
        field["default"] = slots[0].default


def _limit(field: Json, most: int | None, default: int | None) -> None:
    """The number in it goes no further than this."""
    for kind in field["anyOf"]:
        if kind.get("type") == "integer":
            kind["maximum"] = min(kind["maximum"], most or kind["maximum"])
    field["default"] = default
