"""How a job is told in OpenAI's shape: its pictures, what they cost, or why there are none."""

from __future__ import annotations

import base64
from typing import Any

from control_plane.api import openai_errors
from control_plane.api.guards import Person
from control_plane.api.openai_errors import Told
from control_plane.api.operation import Call
from control_plane.context import Context
from control_plane.files import artifacts
from control_plane.jobs import desk
from control_plane.states import TERMINAL
from control_plane.wire.job import ArtifactView, JobView
from control_plane.wire.openai import Image, ImageUsage, ResponseFormat, TokenDetails

INLINE_BYTES_MAX = 64 * 1024**2
"""Of the pictures of one answer; when there is more, they come as `url` only."""

_ENDED: dict[str, Told] = {
    "moderation": Told(400, "image_generation_user_error", "moderation_blocked"),
    "invalid_input": Told(400, openai_errors.INVALID, "invalid_input"),
    "max_wait": Told(504, openai_errors.SERVER, "deadline-exceeded"),
    "canceled": Told(409, openai_errors.INVALID, "canceled"),
}
"""Why a job came to nothing → how that is told; anything else is a `server_error`."""


async def leave(call: Call[Person, Any, Any], job: JobView, *, stays: bool) -> None:
    """Nobody waits any more: what has not started is taken out of the line, unless somebody may come back for it."""
    if not stays and job.status == "queued":
        await desk.cancel(call.context, call.who.user_id, job.id)


def ended(job: JobView, *, stays: bool) -> tuple[Told, str] | None:
    """How it is told that there is no picture; None when there is."""
    if job.status == "succeeded":
        return None
    if job.status not in TERMINAL:
        again = "Ask again with the same Idempotency-Key." if stays else "It is canceled if it has not started."
        return _ENDED["max_wait"], f"Job {job.id} has not finished in the time that a request may wait. {again}"
    cause = job.error.code if job.error else job.status
    sentence = job.error.message if job.error else f"The job is {job.status}."
    return _ENDED.get(cause, Told(500, openai_errors.SERVER, cause)), f"{sentence} (job {job.id})"


async def images(context: Context, job: JobView, wanted: ResponseFormat | None) -> list[Image]:
    """The pictures in the shape that was asked for."""
    if wanted == "url" or sum(artifact.bytes for artifact in job.artifacts) > INLINE_BYTES_MAX:
        return [Image(url=artifact.url) for artifact in job.artifacts]
    return [
        Image(b64_json=await inline(context, job, artifact), url=artifact.url if wanted is None else None)
        for artifact in job.artifacts
    ]


async def inline(context: Context, job: JobView, artifact: ArtifactView) -> str:
    """The file in base64. Raises `Gone` when it has been withdrawn meanwhile."""
    located = await artifacts.locate(context.database, job.id, artifact.index)
    opened = await context.store.open(located.key or "")
    if opened is None:
        raise artifacts.gone()
    try:
        content = b"".join([chunk async for chunk in opened.read(0, opened.bytes)])
    finally:
        opened.close()
    return base64.b64encode(content).decode()


def usage(job: JobView) -> ImageUsage:
    charged = job.cost.charged
    return ImageUsage(
        output_tokens=charged, total_tokens=charged, output_tokens_details=TokenDetails(image_tokens=charged)
    )
