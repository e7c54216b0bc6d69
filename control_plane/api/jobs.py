"""Operations on jobs: order, look, list, cancel, and the preview of a running one."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import jobs, listing
from control_plane.api import answers, decoding, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Header, Nothing, count_read, operation
from control_plane.errors import (
    DiskLow,
    Forbidden,
    IdempotencyMismatch,
    ModeratedInput,
    NoSuchModel,
    NotFound,
    Paused,
    PlanForbids,
    QueueFull,
    RateLimited,
    Suspended,
    TokensShort,
)
from control_plane.wire import Request
from control_plane.wire.job import JobList, JobStatus, JobView, SubmitRequest
from control_plane.wire.model import Quote

IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Makes repeating an order harmless: the same key with the same order answers with the same job.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
)
LIMIT_DEFAULT = 20

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


class SubmitQuery(Request, frozen=True, kw_only=True):
    dry_run: bool = False
    """Only say what the order would cost, whether it would be taken and how long it would take (200, a quote)."""


class JobsQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=listing.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")] | None = None
    """`next_cursor` of the page before; absent for the newest jobs."""
    status: JobStatus | None = None


@operation(
    "POST",
    "/api/v1/jobs",
    guard=guards.SUBMIT,
    answers={201: JobView, 200: Quote},
    problems=(
        NoSuchModel,
        ModeratedInput,
        IdempotencyMismatch,
        TokensShort,
        PlanForbids,
        Suspended,
        RateLimited,
        QueueFull,
        Paused,
        DiskLow,
    ),
    headers=(IDEMPOTENCY_KEY,),
    tag="Jobs",
    submits=True,
    express=True,
)
async def submit_job(call: Call[Person, SubmitRequest, SubmitQuery]) -> ASGIApp:
    """Order a picture or a video.

    When this answers 201, the job is on disk and will not be lost. Send an `Idempotency-Key` to make it safe to
    repeat. A repetition is answered with `Idempotent-Replayed: true` and the job as it is by then.
    """
    key = idempotency_key(call)
    check_permission(call.who, call.body)
    if call.query.dry_run:
        count_read(call.request.scope, call.context, call.who)
        return answers.json(await jobs.quote(call.context, call.who.user_id, call.body))
    placed = await jobs.submit(call.context, call.who.user_id, call.body, key)
    call.request.scope["state"]["rate"] = placed.rate
    headers = {"Location": placed.job.urls.self}
    if placed.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answers.json(placed.job, status=201, headers=headers)


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}",
    guard=guards.READ,
    answers={200: JobView},
    problems=(NotFound,),
    tag="Jobs",
)
async def get_job(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Look at a job."""
    return answers.json(await jobs.view(call.context, call.who.user_id, call.path("job_id")))


@operation("GET", "/api/v1/jobs", guard=guards.READ, answers={200: JobList}, tag="Jobs")
async def list_jobs(call: Call[Person, Nothing, JobsQuery]) -> ASGIApp:
    """List your jobs, the newest first."""
    query = call.query
    before = UUID(hex=query.cursor) if query.cursor is not None else None
    found = await listing.page(call.context, call.who.user_id, before=before, status=query.status, limit=query.limit)
    return answers.json(found)


@operation(
    "DELETE",
    "/api/v1/jobs/{job_id:uuid}",
    guard=guards.SUBMIT,
    answers={200: JobView},
    problems=(NotFound,),
    tag="Jobs",
)
async def cancel_job(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Cancel a job.

    One that has not started is `canceled` at once; a running one is `canceling` until its agent has stopped; a
    finished one stays what it is. Repeating this changes nothing.
    """
    return answers.json(await jobs.cancel(call.context, call.who.user_id, call.path("job_id")))


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/preview",
    guard=guards.READ,
    answers={200: "image/*"},
    problems=(NotFound,),
    tag="Jobs",
)
async def get_preview(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The last preview of a running job: a small WebP, JPEG or PNG.

    404 while there is none.
    """
    preview = await jobs.preview(call.context, call.who.user_id, call.path("job_id"))
    return answers.Answer(preview, media_type=image_type(preview))


def idempotency_key(call: Call[Person, Any, Any]) -> str | None:
    """The header, if there is one. Raises `Invalid`."""
    key = guards.header(call.request.scope, b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise decoding.parameter("Idempotency-Key", "bad_format", "1 to 255 printable ASCII characters, no space.")
    return key.decode("ascii") if key is not None else None


def check_permission(who: Person, order: SubmitRequest) -> None:
    """Whether this key may order this at all. Raises `Forbidden`."""
    if order.priority == "urgent" and not who.may("admin"):
        raise Forbidden("Only a key with the scope `admin` may order with priority `urgent`.")
    if who.key.models is not None and order.model not in who.key.models:
        raise Forbidden(f"This key is bound to these models, one of which must be named: {', '.join(who.key.models)}.")


def image_type(data: bytes) -> str:
    """By content; what an agent sends as a preview is never believed to be anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else "application/octet-stream"
