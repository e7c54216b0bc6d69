"""The use cases of a customer: order, look, list, cancel.

An order is completed (`orders`) and priced before anything is written. What is asked for on behalf of a user always
names that user, so somebody else's job and one that never was look the same. Views are made here, from rows and from
the line of the lane.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

import msgspec

from control_plane import admission, orders, plans, pricing, signing, states, waiting
from control_plane.admission import URGENT_TOKENS, Order
from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import DiskLow, ModeratedInput, NotFound, PlanForbids, Rate, TesseraError
from control_plane.plans import Standing
from control_plane.states import ERROR_MESSAGES, TERMINAL, State
from control_plane.waiting import Queued
from control_plane.wire.job import (
    ArtifactView,
    Cost,
    JobError,
    JobList,
    JobSpec,
    JobStatus,
    JobUrls,
    JobView,
    Progress,
    SubmitRequest,
    Waiting,
)
from control_plane.wire.model import Quote, Refusal
from control_plane.wire.worker import Phase

PAGE_MAX = 100


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    lane_id: int
    state: State
    phase: Phase | None
    cancel_requested: bool
    tag: float | None
    cost: int
    charged: int | None
    """Of the settlement, once the job is over."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    spec: str
    metadata: str
    progress: float | None
    progress_step: int | None
    progress_steps: int | None
    capped: bool
    """In line, while its user has as many running as the plan allows."""
    artifacts: str | None


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str


GET = Query("jobs.get", JobRow)
PAGE = Query("jobs.page", JobRow)
PREVIEW = Query("jobs.preview", bytes)
ACCEPTED = Query("jobs.accepted", UUID)

_spec = msgspec.json.Decoder(JobSpec).decode
_metadata = msgspec.json.Decoder(dict[str, str]).decode
_artifacts = msgspec.json.Decoder(list[ArtifactRow]).decode
_encode = msgspec.json.Encoder().encode


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is in the queue. `replayed`: its Idempotency-Key had this answer already."""

    job: JobView
    replayed: bool
    rate: Rate | None
    """Where the submits of the user stand now."""


async def submit(context: Context, user_id: UUID, order: SubmitRequest, key: str | None = None) -> Placed:
    """Places an order; committed when this returns. Raises `Invalid`, `NoSuchModel`, `ModeratedInput`, `DiskLow` and
    what the dispatcher refuses. `key` is the Idempotency-Key; what was accepted under it stays so, also when the rules
    of conduct have changed since."""
    model = await context.catalogue.find(order.kind, order.model)
    spec = orders.complete(order, model)
    request_sha256 = hashlib.sha256(_encode(order)).digest() if key is not None else None
    try:
        policy_version = context.conduct.check(spec)
    except ModeratedInput:
        known = await context.database.one(ACCEPTED, {"user_id": user_id, "key": key, "request_sha256": request_sha256})
        if known is None:
            raise
        return Placed(job=await view(context, user_id, known), replayed=True, rate=None)
    context.disk.check()
    cost = pricing.calculate_token_cost(spec, model)
    lane_id = await context.dispatcher.board.lane(model.kind, model.name, model.vram_gib)
    sent_at = context.lines.clock()
    size = _size(spec)
    try:
        submitted = await context.dispatcher.submit(
            Order(
                user_id=user_id,
                lane_id=lane_id,
                cost=cost,
                pixels=size.pixels,
                video_seconds=size.video_seconds,
                head_start=URGENT_TOKENS if order.priority == "urgent" else 0.0,
                spec=_encode(spec).decode(),
                metadata=_encode(order.metadata).decode(),
                max_wait=order.max_wait,
                key=key,
                request_sha256=request_sha256,
                policy_version=policy_version,
            )
        )
    except PlanForbids as error:
        raise await _explained(context, user_id, size, error) from None
    if submitted.created_at is None:
        job = await view(context, user_id, submitted.job_id)
        return Placed(job=job, replayed=submitted.replayed, rate=submitted.rate)
    queued = Queued(id=submitted.job_id, tag=submitted.tag, cost=cost)
    told = await context.lines.arrived(lane_id, _bound(context, lane_id), queued, sent_at)
    fresh = JobFacts(id=submitted.job_id, cost=cost, created_at=submitted.created_at, waiting=told)
    return Placed(job=_view(context, fresh, spec, order.metadata), replayed=False, rate=submitted.rate)


async def quote(context: Context, user_id: UUID, order: SubmitRequest) -> Quote:
    """What an order would cost, and whether it would be taken now; nothing is placed, counted or held."""
    model = await context.catalogue.find(order.kind, order.model)
    spec = orders.complete(order, model)
    context.conduct.check(spec)
    cost = pricing.calculate_token_cost(spec, model)
    lane_id = await context.dispatcher.board.lane(model.kind, model.name, model.vram_gib)
    line = await _line(context, lane_id)
    eta = waiting.estimate(line, cost)
    standing = await plans.standing(context.database, user_id, context.dispatcher.board.spent_plans)
    is_paused = model.paused or standing.submits_paused or context.dispatcher.board.lanes[lane_id].paused
    refusal = await _foreseen(context, standing, spec, cost, is_paused=is_paused)
    return Quote(
        cost=cost,
        feasible_now=model.feasible_now,
        eta=eta,
        spec=spec,
        available=standing.available,
        resets_at=standing.resets_at,
        refusal=None if refusal is None else Refusal(code=refusal.slug, status=refusal.status, detail=refusal.detail),
    )


async def _foreseen(
    context: Context, standing: Standing, spec: JobSpec, cost: int, *, is_paused: bool
) -> TesseraError | None:
    """What admission would refuse this order with at this moment, in the same order and words."""
    if standing.status != "active":
        return admission.suspended()
    if is_paused:
        return admission.paused()
    if forbidden := plans.forbidden(_size(spec), standing, await context.database.many(plans.LIST)):
        return forbidden
    if standing.calls <= 0:
        return admission.rate_limited(standing.submits_per_minute, standing.busy_seconds)
    if standing.queued >= standing.queued_max:
        return admission.queue_full()
    if cost > standing.available:
        return admission.tokens_short(cost, standing.available, standing.resets_at, standing.resets_in)
    try:
        context.disk.check()
    except DiskLow as error:
        return error
    return None


async def _explained(context: Context, user_id: UUID, size: plans.Size, refused: PlanForbids) -> PlanForbids:
    """Which limit was broken; admission itself says only that one was. A plan that was changed since: as it said."""
    standing = await plans.standing(context.database, user_id)
    found = plans.forbidden(size, standing, await context.database.many(plans.LIST)) or refused
    found.rate = refused.rate
    return found


def _size(spec: JobSpec) -> plans.Size:
    seconds = spec.frames / spec.fps if spec.frames and spec.fps else 0.0
    return plans.Size(kind=spec.kind, pixels=spec.width * spec.height, video_seconds=seconds)


async def view(context: Context, user_id: UUID, job_id: UUID) -> JobView:
    """A user's job as it is now. Raises `NotFound`."""
    row = await context.database.one(GET, {"user_id": user_id, "job_id": job_id})
    if row is None:
        raise _not_found()
    if row.state not in TERMINAL:
        context.dispatcher.watch(job_id)
    return await _viewed(context, row)


async def views(
    context: Context, user_id: UUID, *, before: UUID | None, status: JobStatus | None, limit: int
) -> JobList:
    """A page of a user's jobs, the newest first."""
    rows = await context.database.many(
        PAGE, {"user_id": user_id, "before": before, "status": status, "most": limit + 1}
    )
    data = [await _viewed(context, row) for row in rows[:limit]]
    more = len(rows) > limit
    return JobList(data=data, has_more=more, next_cursor=cursor(rows[limit - 1].id) if more else None)


async def cancel(context: Context, user_id: UUID, job_id: UUID) -> JobView:
    """Cancels a user's job, or asks its agent to; a finished one stays what it is. Raises `NotFound`."""
    await context.dispatcher.cancel(user_id, job_id)
    return await view(context, user_id, job_id)


async def preview(context: Context, user_id: UUID, job_id: UUID) -> bytes:
    """The last preview of a running job. Raises `NotFound` also when there is none (yet)."""
    found = await context.database.one(PREVIEW, {"user_id": user_id, "job_id": job_id})
    if found is None:
        raise NotFound("There is no such job of yours, or no preview of it now.")
    context.dispatcher.watch(job_id)
    return found


def cursor(job_id: UUID) -> str:
    """Opaque to clients: where the next page begins."""
    return job_id.hex


def _not_found() -> NotFound:
    return NotFound("You have no such job.")


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What changes in the life of a job, as it is told."""

    id: UUID
    cost: int
    charged: int = 0
    created_at: datetime
    status: JobStatus = "queued"
    state: State = "queued"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_code: str | None = None
    waiting: Waiting | None = None
    progress: Progress | None = None
    artifacts: list[ArtifactRow] = []


async def _viewed(context: Context, row: JobRow) -> JobView:
    status = states.status(row.state, row.phase, row.cancel_requested)
    facts = JobFacts(
        id=row.id,
        cost=row.cost,
        charged=row.charged or 0,
        created_at=row.created_at,
        status=status,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error_code=row.error_code,
        waiting=await _waiting(context, row) if status == "queued" else None,
        progress=_progress(row) if status in ("running", "canceling") else None,
        artifacts=_artifacts(row.artifacts) if row.artifacts is not None else [],
    )
    return _view(context, facts, _spec(row.spec), _metadata(row.metadata))


async def _waiting(context: Context, row: JobRow) -> Waiting:
    line = await _line(context, row.lane_id)
    queued = Queued(id=row.id, tag=row.tag, cost=row.cost, phase=row.phase, capped=row.capped)
    return waiting.explain(line, queued)


async def _line(context: Context, lane_id: int) -> waiting.Line:
    return await context.lines.line(lane_id, _bound(context, lane_id))


def _bound(context: Context, lane_id: int) -> float:
    lane = context.dispatcher.board.lanes.get(lane_id)
    return lane.bound if lane else float("-inf")


def _progress(row: JobRow) -> Progress | None:
    if row.progress is None:
        return None
    return Progress(value=row.progress, step=row.progress_step or 0, steps=row.progress_steps or 0)


def _view(context: Context, facts: JobFacts, spec: JobSpec, metadata: dict[str, str]) -> JobView:
    address = f"{context.settings.base_url}/api/v1/jobs/{facts.id}"
    return JobView(
        id=facts.id,
        status=facts.status,
        kind=spec.kind,
        model=spec.model,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        width=spec.width,
        height=spec.height,
        steps=spec.steps,
        guidance=spec.guidance,
        seed=spec.seed,
        count=spec.count,
        frames=spec.frames,
        fps=spec.fps,
        created_at=facts.created_at,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        waiting=facts.waiting,
        progress=facts.progress,
        artifacts=[_artifact_view(context, facts.id, row) for row in facts.artifacts],
        cost=Cost(held=0 if facts.state in TERMINAL else facts.cost, charged=facts.charged),
        error=_error(facts.error_code),
        metadata=metadata,
        urls=JobUrls(self=address, cancel=address),
    )


def _error(code: str | None) -> JobError | None:
    if code is None:
        return None
    return JobError(code=code, message=ERROR_MESSAGES.get(code, "The job could not be done."))


def _artifact_view(context: Context, job_id: UUID, row: ArtifactRow) -> ArtifactView:
    url = signing.artifact_url(
        context.signing_keys,
        context.settings.base_url,
        job_id,
        row.index,
        context.settings.artifact_url_seconds,
        context.signing_keys.now(),
    )
    return ArtifactView(
        index=row.index,
        url=url,
        mime_type=row.mime_type,
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        sha256=row.sha256,
    )
