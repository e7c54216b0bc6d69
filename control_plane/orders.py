"""From what a customer wrote to what an engine can run: defaults filled in, limits of the model kept.

Pure, but for the seed that is drawn when none is given. Everything wrong with an order is told at once, by pointer.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec

from control_plane.errors import Invalid
from control_plane.models import Model
from control_plane.wire.job import METADATA_BYTES_MAX, SEED_MAX, JobSpec, SubmitRequest
from control_plane.wire.problem import Fault


def complete(order: SubmitRequest, model: Model) -> JobSpec:
    """The order with every default of the model, within its limits. Raises `Invalid` that names all that is wrong."""
    if faults := list(_faults(order, model)):
        raise Invalid("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), errors=faults)
    return JobSpec(
        kind=order.kind,
        model=model.name,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        width=_first(order.width, model.width),
        height=_first(order.height, model.height),
        steps=_first(order.steps, model.steps),
        guidance=model.guidance if order.guidance is None else order.guidance,
        sampler=order.sampler,
        seed=secrets.randbelow(SEED_MAX + 1) if order.seed is None else order.seed,
        count=order.count,
        frames=model.frames if order.frames is None else order.frames,
        fps=model.fps if order.fps is None else order.fps,
    )


def _faults(order: SubmitRequest, model: Model) -> Iterator[Fault]:
    pixels = _first(order.width, model.width) * _first(order.height, model.height)
    if pixels > model.pixels_max:
        which = "/height" if order.width is None else "/width"
        yield _fault(which, f"{model.name} makes at most {model.pixels_max} pixels (width times height), not {pixels}.")
    if order.steps is not None and order.steps > model.steps_max:
        yield _fault("/steps", f"{model.name} takes at most {model.steps_max} steps.")
    if order.kind == "image":
        for name in ("frames", "fps"):
            if getattr(order, name) is not None:
                yield _fault(f"/{name}", "Only a video has this.", "not_allowed")
    elif order.frames is not None and order.frames > _first(model.frames_max, 0):
        yield _fault("/frames", f"{model.name} makes at most {model.frames_max} frames.")
    if order.input_image is not None:
        yield _fault("/input_image", "You have no image of this name here.", "unknown")
    elif order.strength is not None:
        yield _fault("/strength", "It means something together with an input_image only.", "not_allowed")
    if len(msgspec.json.encode(order.metadata)) > METADATA_BYTES_MAX:
        yield _fault("/metadata", f"As JSON it may have at most {METADATA_BYTES_MAX} bytes.", "too_long")


def _fault(pointer: str, sentence: str, code: str = "out_of_range") -> Fault:
    return Fault(pointer=pointer, code=code, detail=sentence)


def _first(wanted: int | None, default: int | None) -> int:
    found = default if wanted is None else wanted
    assert found is not None, "the table says that a video model has frames"
    return found
