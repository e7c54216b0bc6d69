"""From what a customer wrote to what an engine can run: defaults filled in, limits of the model kept.

Pure, but for the seed that is drawn when none is given. Everything wrong with an order is told at once, by pointer.
What is to be made of what (the task) follows from the order, and the model says which tasks it is good for.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from control_plane.errors import Invalid
from control_plane.orders.models import Model
from control_plane.wire.input import Picture
from control_plane.wire.job import METADATA_BYTES_MAX, SEED_MAX, SIDE_MAX, SIDE_MIN, JobSpec, SubmitRequest, Task
from control_plane.wire.problem import Fault

STRENGTH = 0.6
"""Of a picture made from a picture, where the order leaves it open."""
SIDE_STEP = 8
"""Sides that follow from an input image are multiples of this, like those that people give."""


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
    wanted = size(order, model, picture)
    if faults := list(_faults(order, model, wanted)):
        raise Invalid("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), errors=faults)
    return JobSpec(
        kind=order.kind,
        model=model.name,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        width=wanted.width,
        height=wanted.height,
        steps=_first(order.steps, model.steps),
        guidance=model.guidance if order.guidance is None else order.guidance,
        sampler=order.sampler,
        seed=secrets.randbelow(SEED_MAX + 1) if order.seed is None else order.seed,
        count=order.count,
        input_image=picture,
        strength=STRENGTH if order.strength is None and task(order) == "image-to-image" else order.strength,
        frames=model.frames if order.frames is None else order.frames,
        fps=model.fps if order.fps is None else order.fps,
        upscale=order.upscale,
        embed_metadata=order.embed_metadata is not False,
    )


def task(order: SubmitRequest) -> Task:
    """What is to be made of what."""
    if order.upscale is not None:
        return "upscale"
    if order.kind == "video":
        return "text-to-video" if order.input_image is None else "image-to-video"
    return "text-to-image" if order.input_image is None else "image-to-image"


def size(order: SubmitRequest, model: Model, picture: Picture | None) -> Size:
    """What comes out, in pixels: as ordered, else with the proportions of the picture, else as the model likes it."""
    if picture is None:
        return Size(_first(order.width, model.width), _first(order.height, model.height))
    if order.upscale is not None:
        return Size(picture.width * order.upscale, picture.height * order.upscale)
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


def _faults(order: SubmitRequest, model: Model, wanted: Size) -> Iterator[Fault]:
    yield from _faults_of_task(order, model)
    yield from _faults_of_size(order, model, wanted)
    if order.steps is not None and order.steps > model.steps_max:
        yield _fault("/steps", f"{model.name} takes at most {model.steps_max} steps.")
    if order.kind == "image":
        for name in ("frames", "fps"):
            if getattr(order, name) is not None:
                yield _fault(f"/{name}", "Only a video has this.", "not_allowed")
    elif order.frames is not None and order.frames > _first(model.frames_max, 0):
        yield _fault("/frames", f"{model.name} makes at most {model.frames_max} frames.")
    if order.strength is not None and (order.input_image is None or order.upscale is not None):
        yield _fault("/strength", "It means something only where something is made of an input_image.", "not_allowed")
    if len(msgspec.json.encode(order.metadata)) > METADATA_BYTES_MAX:
        yield _fault("/metadata", f"As JSON it may have at most {METADATA_BYTES_MAX} bytes.", "too_long")


def _faults_of_task(order: SubmitRequest, model: Model) -> Iterator[Fault]:
    wanted = task(order)
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
    if wanted.pixels > model.pixels_max or max(wanted) > SIDE_MAX:
        which = "/upscale" if order.upscale is not None else "/height" if order.width is None else "/width"
        sides = f" and {SIDE_MAX} along a side" if max(wanted) > SIDE_MAX else ""
        yield _fault(
            which,
            f"{model.name} makes at most {model.pixels_max} pixels (width times height){sides}, not {wanted.pixels}.",
        )


def _either(factors: list[int]) -> str:
    return " or ".join(map(str, factors))


def _fault(pointer: str, sentence: str, code: str = "out_of_range") -> Fault:
    return Fault(pointer=pointer, code=code, detail=sentence)


def _first(wanted: int | None, default: int | None) -> int:
    found = default if wanted is None else wanted
    assert found is not None, "the table says that a video model has frames"
    return found
