"""From what a customer wrote to what an engine can run: defaults filled in, limits of the model kept.

Pure, but for the seed that is drawn when none is given. Everything wrong with an order is told at once, by pointer.
What is to be made of what (the task) follows from the order, and the model says which tasks it is good for. Where the
task has a workflow, its slots are the limits, and numbers are what it will make of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec

from control_plane.errors import Invalid
from control_plane.orders.manifests import pixels_max
from control_plane.orders.models import Model
from control_plane.wire.input import Picture
from control_plane.wire.job import METADATA_BYTES_MAX, SEED_MAX, SIDE_MAX, SIDE_MIN, JobSpec, SubmitRequest, Task, Typed
from control_plane.wire.problem import Fault
from control_plane.wire.workflow import Field, Manifest, snapped

STRENGTH = 0.6
"""Of a picture made from a picture, where the order leaves it open."""
WEIGHED: tuple[Field, ...] = (
    *("negative_prompt", "width", "height", "steps", "guidance", "sampler", "strength", "frames", "fps", "count"),
)
"""The fields of an order that a slot of a workflow may refuse."""
SIDE_STEP = 8
"""Sides that follow from an input image are multiples of this, like those that people give."""


class Ordered(JobSpec, frozen=True, kw_only=True):
    """An order as it is stored: what an engine gets of it, and what else is told of it."""

    batch_id: UUID | None = None
    repeat_of: UUID | None = None
    adult: bool = False
    """For what it starts from, or as the rules of conduct said of its words when it was ordered."""
    traceparent: str | None = None
    """The trace that the order belongs to."""
    typed: Typed | None = None


class Size(NamedTuple):
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def complete(order: SubmitRequest, model: Model, picture: Picture | None = None) -> JobSpec:
    """The order with every default of the model, within its limits; `picture` is what its `input_image` refers to.

    Raises `Invalid` that names all that is wrong.
    """
    doing = task(order, model)
    manifest = model.workflows.get(doing)
    wanted = size(order, model, picture, manifest)
    if faults := list(_faults(order, model, wanted, manifest)):
        raise Invalid("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), errors=faults)
    return JobSpec(
        kind=order.kind,
        model=model.name,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        width=wanted.width,
        height=wanted.height,
        steps=_first(order.steps, _default(manifest, "steps", model.steps)),
        guidance=_guidance(model, manifest) if order.guidance is None else order.guidance,
        sampler=order.sampler,
        seed=secrets.randbelow(SEED_MAX + 1) if order.seed is None else order.seed,
        count=order.count,
        input_image=picture,
        strength=_strength(doing, manifest) if order.strength is None else order.strength,
        frames=_snapped(manifest, "frames", _default(manifest, "frames", model.frames, order.frames)),
        fps=_default(manifest, "fps", model.fps, order.fps),
        upscale=order.upscale,
        embed_metadata=order.embed_metadata is not False,
        loras={name: order.loras.get(name, lora.default) for name, lora in manifest.loras.items()} if manifest else {},
    )


def task(order: SubmitRequest, model: Model) -> Task:
    """What is to be made of what."""
    if order.upscale is not None:
        return "upscale"
    if order.kind == "video":
        return "text-to-video" if order.input_image is None else "image-to-video"
    if order.input_image is None:
        return "text-to-image"
    return "inpaint" if "inpaint" in model.tasks and "image-to-image" not in model.tasks else "image-to-image"


def size(order: SubmitRequest, model: Model, picture: Picture | None, manifest: Manifest | None = None) -> Size:
    """What comes out, in pixels: as ordered, else with the proportions of the picture, else as the model likes it."""
    if order.upscale is not None and picture is not None:
        return Size(picture.width * order.upscale, picture.height * order.upscale)
    if manifest is not None and picture is not None and "width" not in manifest.slots:
        return Size(_side(picture.width), _side(picture.height))
    found = _size(order, model, picture)
    if manifest is None:
        return found
    width = found.width if order.width is not None else _clamped(manifest, "width", found.width)
    height = found.height if order.height is not None else _clamped(manifest, "height", found.height)
    return Size(_first(_snapped(manifest, "width", width), width), _first(_snapped(manifest, "height", height), height))


def _size(order: SubmitRequest, model: Model, picture: Picture | None) -> Size:
    if picture is None:
        return Size(_first(order.width, model.width), _first(order.height, model.height))
    if order.width is not None and order.height is not None:
        return Size(order.width, order.height)
    if order.width is not None:
        return Size(order.width, _side(order.width * picture.height / picture.width))
    if order.height is not None:
        return Size(_side(order.height * picture.width / picture.height), order.height)
    scale = (model.width * model.height / (picture.width * picture.height)) ** 0.5
    return Size(_side(picture.width * scale), _side(picture.height * scale))


def _side(pixels: float) -> int:
    """The nearest side below that can be ordered."""
    return min(SIDE_MAX, max(SIDE_MIN, int(pixels) // SIDE_STEP * SIDE_STEP))


def _clamped(manifest: Manifest, field: Field, value: int) -> int:
    """A number that was not ordered, but follows, within the range of its slot."""
    slot = manifest.slots.get(field)
    return value if slot is None else int(min(max(value, slot.min or value), slot.max or value))


def _snapped(manifest: Manifest | None, field: Field, value: int | None) -> int | None:
    """What the workflow makes of it; a number that it refuses stays, to be told."""
    slot = manifest.slots.get(field) if manifest is not None else None
    found = snapped(slot, value) if slot is not None and value is not None else value
    return value if found is None else int(found)


def _default(manifest: Manifest | None, field: Field, otherwise: int | None, ordered: int | None = None) -> int | None:
    if ordered is not None:
        return ordered
    slot = manifest.slots.get(field) if manifest is not None else None
    return int(slot.default) if slot is not None and isinstance(slot.default, int | float) else otherwise


def _guidance(model: Model, manifest: Manifest | None) -> float:
    slot = manifest.slots.get("guidance") if manifest is not None else None
    return float(slot.default) if slot is not None and isinstance(slot.default, int | float) else model.guidance


def _strength(doing: Task, manifest: Manifest | None) -> float | None:
    if manifest is None:
        return STRENGTH if doing == "image-to-image" else None
    slot = manifest.slots.get("strength")
    return float(slot.default) if slot is not None and isinstance(slot.default, int | float) else None


def _faults(order: SubmitRequest, model: Model, wanted: Size, manifest: Manifest | None) -> Iterator[Fault]:
    yield from _faults_of_task(order, model)
    yield from _faults_of_size(order, model, wanted)
    yield from _faults_of_slots(order, model, manifest) if manifest is not None else _faults_of_limits(order, model)
    if order.kind == "image":
        for name in ("frames", "fps"):
            if getattr(order, name) is not None:
                yield _fault(f"/{name}", "Only a video has this.", "not_allowed")
    if order.strength is not None and (order.input_image is None or order.upscale is not None):
        yield _fault("/strength", "It means something only where something is made of an input_image.", "not_allowed")
    if len(msgspec.json.encode(order.metadata)) > METADATA_BYTES_MAX:
        yield _fault("/metadata", f"As JSON it may have at most {METADATA_BYTES_MAX} bytes.", "too_long")


def _faults_of_limits(order: SubmitRequest, model: Model) -> Iterator[Fault]:
    """Of a model that is built in."""
    if order.loras:
        yield _fault("/loras", f"{model.name} has no LoRAs.", "not_allowed")
    if order.kind == "video" and order.frames is not None and order.frames > _first(model.frames_max, 0):
        yield _fault("/frames", f"{model.name} makes at most {model.frames_max} frames.")
    if order.steps is not None and order.steps > model.steps_max:
        yield _fault("/steps", f"{model.name} takes at most {model.steps_max} steps.")


def _faults_of_slots(order: SubmitRequest, model: Model, manifest: Manifest) -> Iterator[Fault]:
    """Of a model that is made of workflows: what the slots of this one do not take."""
    for field in WEIGHED:
        value, slot = getattr(order, field), manifest.slots.get(field)
        if value in (None, "") or (field in ("width", "height") and order.upscale is not None):
            continue
        if slot is None and field == "count":
            continue  # one run after the other
        if slot is None:
            if field not in ("frames", "fps") or order.kind == "video":
                yield _fault(f"/{field}", f"{model.name} takes none for {manifest.task}.", "not_allowed")
        elif slot.choices and value not in slot.choices:
            yield _fault(f"/{field}", f"{model.name} takes one of {', '.join(slot.choices)}.")
        elif not isinstance(value, str) and snapped(slot, value) is None:
            yield _fault(f"/{field}", f"{model.name} takes {slot.min} to {slot.max} for {manifest.task}.")
    for name, strength in order.loras.items():
        lora = manifest.loras.get(name)
        if lora is None:
            known = f"it has {', '.join(manifest.loras)}" if manifest.loras else "it has none"
            yield _fault(f"/loras/{name}", f"{model.name} has no LoRA of this name; {known}.", "unknown")
        elif not lora.min <= strength <= lora.max:
            yield _fault(f"/loras/{name}", f"{model.name} takes {lora.min:g} to {lora.max:g} of it.")


def _faults_of_task(order: SubmitRequest, model: Model) -> Iterator[Fault]:
    wanted = task(order, model)
    if not order.prompt and wanted != "upscale":
        yield _fault("/prompt", "Say what to make; only an upscale needs no prompt.", "missing")
    if wanted == "upscale" and order.input_image is None:
        yield _fault("/input_image", "An upscale needs a picture to enlarge.", "missing")
    elif wanted not in model.tasks:
        pointer = "/upscale" if wanted == "upscale" else "/input_image"
        tasks = ", ".join(model.tasks)
        yield _fault(pointer, f"{model.name} is not made for {wanted}; it is for {tasks}.", "not_allowed")
    elif order.upscale is not None and order.upscale not in model.upscales:
        yield _fault("/upscale", f"{model.name} enlarges {_either(model.upscales)} times.", "not_allowed")


def _faults_of_size(order: SubmitRequest, model: Model, wanted: Size) -> Iterator[Fault]:
    if order.upscale is not None:
        for name in ("width", "height"):
            if getattr(order, name) is not None:
                yield _fault(f"/{name}", "What comes of an upscale follows from the picture.", "not_allowed")
    manifest = model.workflows.get(task(order, model))
    most = pixels_max(manifest) if manifest is not None else model.pixels_max
    if wanted.pixels > most or max(wanted) > SIDE_MAX:
        which = "/upscale" if order.upscale is not None else "/height" if order.width is None else "/width"
        sides = f" and {SIDE_MAX} along a side" if max(wanted) > SIDE_MAX else ""
        yield _fault(
            which,
            f"{model.name} makes at most {most} pixels (width times height){sides}, not {wanted.pixels}.",
        )


def _either(factors: list[int]) -> str:
    return " or ".join(map(str, factors))


def _fault(pointer: str, sentence: str, code: str = "out_of_range") -> Fault:
    return Fault(pointer=pointer, code=code, detail=sentence)


def _first(wanted: int | None, default: int | None) -> int:
    found = default if wanted is None else wanted
    assert found is not None, "the table says that a video model has frames"
    return found
