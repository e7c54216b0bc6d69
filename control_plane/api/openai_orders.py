"""From an order in OpenAI's words to one in ours. What cannot be done is refused and named, never quietly left out."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from msgspec import structs

from control_plane.api import decoding
from control_plane.orders.models import Model
from control_plane.wire.job import SIDE_MAX, SIDE_MIN, SubmitRequest
from control_plane.wire.openai import EditRequest, ImageRequest, Quality
from control_plane.wire.problem import Fault

SIDE_STEP = 8
QUALITY: dict[Quality, float] = {"low": 0.5, "high": 2.0, "hd": 2.0}
"""Times the steps that the model usually does; what is not here means those."""
PARTIAL_WITHOUT_STREAM = "It means something together with `stream` only."


def order(wanted: ImageRequest, model: Model, *, max_wait: int | None) -> SubmitRequest:
    """Raises `Invalid`, naming everything that cannot be done."""
    if faults := list(_faults(wanted)):
        raise decoding.invalid(faults)
    width, height = _sides(wanted.size)
    user = wanted.safety_identifier or wanted.user
    return SubmitRequest(
        prompt=wanted.prompt,
        model=model.name if wanted.model is not None else None,
        negative_prompt=wanted.negative_prompt,
        width=width,
        height=height,
        steps=wanted.steps or _steps(wanted.quality, model),
        guidance=wanted.guidance,
        seed=wanted.seed,
        count=wanted.n or 1,
        metadata={"user": user} if user else {},
        max_wait=max_wait,
    )


def edit(wanted: EditRequest, model: Model, picture: UUID, *, max_wait: int | None) -> SubmitRequest:
    """An order that starts from an input. Raises `Invalid`."""
    if wanted.input_fidelity is not None:
        raise decoding.invalid([_fault("input_fidelity", "Say with `strength` how much of the picture is made anew.")])
    made = order(wanted, model, max_wait=max_wait)
    return structs.replace(made, input_image=picture, strength=wanted.strength)


def _faults(wanted: ImageRequest) -> Iterator[Fault]:
    if wanted.output_format not in (None, "png"):
        yield _fault("output_format", f"Pictures are delivered as `png` here, not as `{wanted.output_format}`.")
    if wanted.output_compression not in (None, 100):
        yield _fault("output_compression", "Pictures are delivered as PNG, which loses nothing: only 100 is possible.")
    if wanted.background == "transparent":
        yield _fault("background", "No model here makes transparent backgrounds.")
    if wanted.moderation == "low":
        yield _fault("moderation", "The rules of this service are the same for everybody.")
    if wanted.style is not None:
        yield _fault("style", "There is no such switch here; describe the style in the prompt.")
    if wanted.partial_images and not wanted.stream:
        yield _fault("partial_images", PARTIAL_WITHOUT_STREAM)
    if wanted.stream and wanted.response_format == "url":
        yield _fault("response_format", "A stream carries the pictures themselves, so only `b64_json` is possible.")
    for side in _sides(wanted.size):
        if side is not None and not (SIDE_MIN <= side <= SIDE_MAX and side % SIDE_STEP == 0):
            yield _fault(
                "size", f"{side} is no side of a picture here: {SIDE_MIN} to {SIDE_MAX}, a multiple of {SIDE_STEP}."
            )


def _sides(size: str | None) -> tuple[int | None, int | None]:
    if size in (None, "auto"):
        return None, None
    width, _, height = size.partition("x")
    return int(width), int(height)


def _steps(quality: Quality | None, model: Model) -> int | None:
    factor = QUALITY.get(quality) if quality is not None else None
    return None if factor is None else min(max(1, round(model.steps * factor)), model.steps_max)


def _fault(name: str, sentence: str) -> Fault:
    return Fault(pointer=f"/{name}", code="unsupported_value", detail=sentence)
