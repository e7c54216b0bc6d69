"""Operations on jobs: order, look, list, cancel, and the preview of a running one."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar.types import ASGIApp
from msgspec import Meta

from control_plane.api import answers, decoding, guards, prefer, traces
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Header, Nothing, count_read, operation
from control_plane.cursors import Cursor
from control_plane.errors import (
    CapReached,
    DiskLow,
    Forbidden,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InputsFull,
    Invalid,
    ModeratedInput,
    NoSuchModel,
    NotFound,
    Paused,
    PlanForbids,
    QueueFull,
    RateLimited,
    Suspended,
    TokensShort,
    TooManyWaiting,
    Unavailable,
)
from control_plane.jobs import desk, listing
from control_plane.jobs.desk import Placed
from control_plane.jobs.listing import Filters
from control_plane.jobs.streams import WAIT_SECONDS_MAX
from control_plane.media.probe import image_type
from control_plane.orders import repeating
from control_plane.orders.idempotency import Key
from control_plane.sandbox import simulate
from control_plane.wire import Request
from control_plane.wire.job import JobKind, JobList, JobStatus, JobView, Name, SubmitRequest
from control_plane.wire.model import Quote
from control_plane.wire.repeat import RepeatRequest

IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Makes repeating an order harmless: the same key with the same order answers with the same job.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
)
SUBMIT_PROBLEMS = (
    NoSuchModel,
    ModeratedInput,
    IdempotencyInFlight,
    IdempotencyMismatch,
    TokensShort,
    CapReached,
    PlanForbids,
    Suspended,
    RateLimited,
    QueueFull,
    Paused,
    DiskLow,
    InputsFull,
    TooManyWaiting,
)
"""What an order may be refused with, whichever way it is placed."""
LIMIT_DEFAULT = 20

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


class SubmitQuery(Request, frozen=True, kw_only=True):
    dry_run: bool = False
    """Only say what the order would cost, whether it would be taken and how long it would take (200, a quote)."""


class JobQuery(Request, frozen=True, kw_only=True):
    wait: Annotated[int, Meta(ge=0, le=WAIT_SECONDS_MAX)] = 0
    """Answer when the job is over, or after so many seconds."""


class JobsQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=listing.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before, with the same filters; absent for the first page."""
    status: JobStatus | None = None
    kind: JobKind | None = None
    model: Name | None = None
    created_after: Annotated[datetime, Meta(tz=True)] | None = None
    """Created then or later (RFC 3339, with a time zone)."""
    created_before: Annotated[datetime, Meta(tz=True)] | None = None
    metadata: Annotated[str, Meta(max_length=600, pattern=r"^[^\x00=]{1,64}=[^\x00]*\Z")] | None = None
    """`key=value`: only jobs with this entry in their metadata."""
    order: listing.Direction = "newest"
    """Which come first."""

    def filters(self) -> Filters:
        key, _, value = (self.metadata or "").partition("=")
        return Filters(
            status=self.status,
            kind=self.kind,
            model=self.model,
            created_after=self.created_after,
            created_before=self.created_before,
            metadata=(key, value) if self.metadata is not None else None,
            order=self.order,
        )


@operation(
    "POST",
    "/api/v1/jobs",
    guard=guards.SUBMIT,
    answers={201: JobView, 200: Quote},
    problems=SUBMIT_PROBLEMS,
    headers=(IDEMPOTENCY_KEY, prefer.PREFER, traces.TRACEPARENT),
    tag="Jobs",
    submits=True,
    express=True,
    notes=simulate.notes(),
)
async def submit_job(call: Call[Person, SubmitRequest, SubmitQuery]) -> ASGIApp:
    """Order a picture or a video.

    When this answers 201, the job is on disk and will not be lost. Send an `Idempotency-Key` to make it safe to
    repeat. A repetition is answered with `Idempotent-Replayed: true` and what was answered the first time. With
    `Prefer: wait=30` the answer comes when the job is over, or after so many seconds, with the job as it is by then.
    """
    key = idempotency_key(call, call.body)
    order = permitted(call.who, call.body)
    if call.query.dry_run:
        count_read(call.request.scope, call.context, call.who)
        return answers.json(await desk.quote(call.context, call.who.user_id, order, by=call.who.key))
    trace = traces.traceparent(call.request.scope)
    placed = await desk.submit(call.context, call.who.user_id, order, key, by=call.who.key, traceparent=trace)
    return await _placed(call, placed)


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}",
    guard=guards.READ,
    answers={200: JobView},
    problems=(NotFound, TooManyWaiting),
    headers=(prefer.PREFER,),
    tag="Jobs",
)
async def get_job(call: Call[Person, Nothing, JobQuery]) -> ASGIApp:
    """Look at a job; with `wait`, once it is over."""
    wish = prefer.wait_seconds(call.request.scope)
    seconds = call.query.wait or wish
    if not seconds:
        return answers.json(await desk.view(call.context, call.who.user_id, call.path("job_id")))
    job = await prefer.until_over(call, call.path("job_id"), seconds)
    return answers.json(job, headers=prefer.applied(seconds) if wish == seconds else None)


@operation("GET", "/api/v1/jobs", guard=guards.READ, answers={200: JobList}, tag="Jobs")
async def list_jobs(call: Call[Person, Nothing, JobsQuery]) -> ASGIApp:
    """List your jobs, narrowed to what fits, page by page.

    With filters, one page looks at no more than some thousands of your jobs. So it may be short, or even empty, and
    still have a next one: go on for as long as `has_more` is true.
    """
    query = call.query
    found = await listing.page(call.context, call.who.user_id, query.filters(), query.cursor, query.limit)
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
    return answers.json(await desk.cancel(call.context, call.who.user_id, call.path("job_id")))


@operation(
    "POST",
    "/api/v1/jobs/{job_id:uuid}/repeat",
    guard=guards.SUBMIT,
    answers={201: JobView, 200: Quote},
    problems=(NotFound, *SUBMIT_PROBLEMS),
    headers=(IDEMPOTENCY_KEY, prefer.PREFER, traces.TRACEPARENT),
    tag="Jobs",
    submits=True,
    optional_body=True,
)
async def repeat_job(call: Call[Person, RepeatRequest, SubmitQuery]) -> ASGIApp:
    """Order a job once more, with the same seed and everything else, or with changes.

    The body, which may be left out, is a JSON merge patch over the order: `{"seed": null}` draws a new seed,
    `{"steps": 40}` takes more steps. The new job names the old one as `repeat_of`.
    """
    job_id, user_id = call.path("job_id"), call.who.user_id
    key = idempotency_key(call, call.body, job_id)
    try:
        job = await desk.view(call.context, user_id, job_id)
        order = permitted(call.who, repeating.repeated(job, call.body))
    except (NotFound, Invalid):
        if call.query.dry_run or (placed := await desk.replayed(call.context, user_id, key)) is None:
            raise
        return await _placed(call, placed)  # it was there, and whole, when this was ordered first
    if call.query.dry_run:
        count_read(call.request.scope, call.context, call.who)
        return answers.json(await desk.quote(call.context, user_id, order, by=call.who.key))
    trace = traces.traceparent(call.request.scope)
    placed = await desk.submit(call.context, user_id, order, key, repeat_of=job_id, by=call.who.key, traceparent=trace)
    return await _placed(call, placed)


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
    preview = await desk.preview(call.context, call.who.user_id, call.path("job_id"))
    return answers.Answer(preview, media_type=image_type(preview))


async def _placed(call: Call[Person, Any, SubmitQuery], placed: Placed) -> ASGIApp:
    """The answer to an order that is in the queue, at once or when it is over."""
    call.request.scope["state"]["rate"] = placed.rate
    headers = {"Location": placed.job.urls.self}
    if placed.replayed:
        headers["Idempotent-Replayed"] = "true"
    job = placed.job
    if seconds := prefer.wait_seconds(call.request.scope):
        with suppress(NotFound, TooManyWaiting, Unavailable):  # it is placed, whatever becomes of the wish to wait
            job = await prefer.until_over(call, job.id, seconds)
            headers |= prefer.applied(seconds)
    return answers.json(job, status=201, headers=headers)


def idempotency_key(call: Call[Person, Any, Any], *sent: object) -> Key | None:
    """The header, if there is one, bound to what was sent. Raises `Invalid`."""
    key = guards.header(call.request.scope, b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise decoding.parameter("Idempotency-Key", "bad_format", "1 to 255 printable ASCII characters, no space.")
    return Key.bound(key.decode("ascii"), *sent) if key is not None else None


def permitted(who: Person, order: SubmitRequest) -> SubmitRequest:
    """The order as this person means it, if this key may order it at all. Raises `Forbidden`."""
    if order.priority == "urgent" and not who.may("admin"):
        raise Forbidden("Only a key with the scope `admin` may order with priority `urgent`.")
    if who.key.models is not None and order.model not in who.key.models:
        raise Forbidden(f"This key is bound to these models, one of which must be named: {', '.join(who.key.models)}.")
    if order.embed_metadata is None and not who.embed_metadata:
        return msgspec.structs.replace(order, embed_metadata=False)
    return order
