"""Ordering a job once more: the order as it was, seed and all, with a merge patch over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from control_plane.errors import Invalid
from control_plane.wire.job import JobView, SubmitRequest
from control_plane.wire.repeat import RepeatRequest

REPEATED = (
    *("kind", "model", "prompt", "negative_prompt", "width", "height", "steps", "guidance", "sampler", "seed", "count"),
    *("input_image", "strength", "frames", "fps", "metadata", "upscale", "embed_metadata", "loras"),
    *("typed", "adult"),
)
"""Of an order: what is made, and not what is to be done about it (deadline, priority, webhook)."""
WORDS = frozenset({"prompt", "negative_prompt"})


def repeated(job: JobView, changes: RepeatRequest) -> SubmitRequest:
    """The order of this job with these changes. Raises `Invalid` when something is missing then."""
    patch: dict[str, Any] = msgspec.to_builtins(changes)
    if not job.prompt and job.upscale is None and not patch.get("prompt"):
        raise Invalid.at("/prompt", "The prompt of this job has been erased. Send one.", "missing")
    told = order(job)
    if WORDS & patch.keys():
        told.pop("typed", None)
        if job.input_image is None:  # other words of no picture are judged by themselves
            told.pop("adult", None)
    return msgspec.convert(merged(told, patch), SubmitRequest)


def order(job: JobView) -> dict[str, Any]:
    """What would have to be ordered to get this job, as JSON."""
    told = {name: getattr(job, name) for name in REPEATED}
    if job.upscale is not None:  # what comes of it follows from the picture
        told |= {"width": None, "height": None, "strength": None}
    if not job.prompt:
        told["prompt"] = None
    if job.embed_metadata:  # may be what its customer had chosen for everything, and does no more
        told["embed_metadata"] = None
    found: dict[str, Any] = msgspec.to_builtins({name: value for name, value in told.items() if value is not None})
    return found


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396: null takes away, an object is merged member by member, anything else takes the place of what was."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
