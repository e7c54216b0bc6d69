"""The use cases of a customer: order, look, list, cancel.

An order is completed (`specs`) and priced before anything is written. What is asked for on behalf of a user always
names that user, so somebody else's job and one that never was look the same. Views are made here, from rows and from
the line of the lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import asdict

from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import (
    CapReached,
    DiskLow,
    InputsFull,
    Invalid,
    ModeratedInput,
    NoSuchModel,
    NotFound,
    PlanForbids,
    Rate,
    TesseraError,
)
from control_plane.jobs import views
from control_plane.jobs.views import JobFacts
from control_plane.money import plans
from control_plane.money.plans import Standing
from control_plane.orders import pricing, specs
from control_plane.orders.idempotency import Key
from control_plane.orders.models import Model
from control_plane.orders.specs import Ordered
from control_plane.people import caps
from control_plane.people.credentials import ApiKey
from control_plane.people.twins import is_test
from control_plane.queue import admission, waiting
from control_plane.queue.admission import URGENT_TOKENS, Order
from control_plane.queue.looks import JobRow, Look
from control_plane.queue.waiting import Queued
from control_plane.sandbox import simulate
from control_plane.sandbox.simulate import Outcome
from control_plane.states import TERMINAL
from control_plane.webhooks import endpoints
from control_plane.wire.job import (
    JobSpec,
    JobView,
    SubmitRequest,
)
from control_plane.wire.model import Quote, Refusal

PREVIEW = Query("jobs.preview", bytes)
ACCEPTED = Query("jobs.accepted", UUID)

OVERRULED = (CapReached, DiskLow, InputsFull, Invalid, ModeratedInput, NoSuchModel)
"""Refusals that come before the queue looks at the Idempotency-Key: what was accepted under it stays accepted."""

_encode = msgspec.json.Encoder().encode


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is in the queue. `replayed`: its Idempotency-Key had this answer already."""

    job: JobView
    replayed: bool
    rate: Rate | None
    """Where the submits of the user stand now."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was completed and priced: what is still to be asked is whether it is admitted."""

    request: SubmitRequest
    spec: JobSpec
    model: Model
    lane_id: int
    cost: int
    """Tokens."""
    adult: bool
    """By its own word, what the rules of conduct say of its words, or what it starts from."""
    outcome: Outcome | None = None
    """What a test key wants to happen."""

    @property
    def size(self) -> plans.Size:
        return _size(self.spec)

    def order(
        self,
        user_id: UUID,
        policy_version: int,
        key: Key | None,
        *,
        batch_id: UUID | None = None,
        repeat_of: UUID | None = None,
        traceparent: str | None = None,
    ) -> Order:
        """What goes into the queue."""
        spec, typed = self.spec, self.request.typed
        if self.adult or any(beside is not None for beside in (batch_id, repeat_of, traceparent, typed)):
            spec = Ordered(
                **asdict(spec),
                batch_id=batch_id,
                repeat_of=repeat_of,
                adult=self.adult,
                traceparent=traceparent,
                typed=typed,
            )
        return Order(
            user_id=user_id,
            lane_id=self.lane_id,
            cost=self.cost,
            pixels=self.size.pixels,
            video_seconds=self.size.video_seconds,
            head_start=URGENT_TOKENS if self.request.priority == "urgent" else 0.0,
            spec=_encode(spec).decode(),
            metadata=_encode(self.request.metadata).decode(),
            webhook_url=self.request.webhook_url,
            max_wait=self.request.max_wait,
            key=key.name if key is not None else None,
            request_sha256=key.sha256 if key is not None else None,
            policy_version=policy_version,
        )


async def prepare(context: Context, user_id: UUID, order: SubmitRequest) -> Ready:
    """Finds the input, fills in the defaults, keeps the model's limits and tells the price. Raises `Invalid`,
    `NoSuchModel`, `ModeratedInput`; for a result that becomes an input, also what `Intake.receive` does."""
    await _check_webhook(context, user_id, order)
    model = await context.catalogue.find(order.kind, order.model)
    wanted = order.input_image
    start = await context.intake.found(user_id, wanted) if wanted is not None else None
    spec = specs.complete(order, model, start.picture if start is not None else None)
    vram_gib, task = model.lane(specs.task(order, model))
    cost = pricing.calculate_token_cost(spec, model)
    adult = order.adult or (start is not None and start.adult) or context.conduct.is_adult(spec, order.typed)
    if is_test(user_id):
        return await _simulated(context, order, spec, model, cost, adult)
    lane_id = await context.dispatcher.board.lane(model.kind, model.name, vram_gib, task)
    return Ready(request=order, spec=spec, model=model, lane_id=lane_id, cost=cost, adult=adult)


async def _simulated(
    context: Context, order: SubmitRequest, spec: JobSpec, model: Model, cost: int, adult: bool
) -> Ready:
    """The order of a test key: it costs what a real one would, and waits in a lane of the sandbox."""
    outcome = simulate.wanted(order.metadata)
    vram_gib = simulate.NOBODYS_GIB if outcome in simulate.WAITING else 0
    lane_id = await context.dispatcher.board.sandbox_lane(model.kind, model.name, vram_gib)
    if outcome == "expired":
        order = msgspec.structs.replace(order, max_wait=simulate.EXPIRED_SECONDS)
    return Ready(request=order, spec=spec, model=model, lane_id=lane_id, cost=cost, adult=adult, outcome=outcome)


async def knock(context: Context, user_id: UUID, ready: Ready) -> None:
    """Raises what a test key wants an order to be refused with."""
    if ready.outcome is not None:
        standing = await plans.standing(context.database, user_id)
        if refusal := _at_the_door(ready, standing):
            raise refusal


def _at_the_door(ready: Ready, standing: Standing) -> TesseraError | None:
    return simulate.refused(ready.outcome, ready.cost, standing.plan, standing.resets_at, standing.resets_in)


async def submit(
    context: Context,
    user_id: UUID,
    order: SubmitRequest,
    key: Key | None = None,
    *,
    repeat_of: UUID | None = None,
    by: ApiKey | None = None,
    traceparent: str | None = None,
) -> Placed:
    """Places an order; committed when this returns. Raises `Invalid`, `NoSuchModel`, `ModeratedInput`, `DiskLow` and
    what the dispatcher refuses. What was accepted under `key` stays so, also when the rules of conduct have changed
    since, the input is gone or the key's day is used up. `by`: whose daily cap it counts for; `traceparent`: the trace
    that it belongs to."""
    async with context.repetitions.alone(user_id, key):
        try:
            return await _submit(context, user_id, order, key, repeat_of, by, traceparent)
        except OVERRULED:
            if (placed := await replayed(context, user_id, key)) is None:
                raise
            return placed


async def replayed(context: Context, user_id: UUID, key: Key | None) -> Placed | None:
    """The answer to an order that was accepted under this key, as it was the first time."""
    job_id = await accepted(context, user_id, key)
    if job_id is None:
        return None
    return Placed(job=await _as_ordered(context, user_id, job_id, key), replayed=True, rate=None)


async def accepted(context: Context, user_id: UUID, key: Key | None) -> UUID | None:
    """The job, the first one of a batch, that was ordered under this key with the same words."""
    if key is None:
        return None
    return await context.database.one(ACCEPTED, {"user_id": user_id, "key": key.name, "request_sha256": key.sha256})


async def _submit(
    context: Context,
    user_id: UUID,
    order: SubmitRequest,
    key: Key | None,
    repeat_of: UUID | None,
    by: ApiKey | None,
    traceparent: str | None,
) -> Placed:
    ready = await prepare(context, user_id, order)
    policy_version = context.conduct.check(ready.spec, order.typed)
    context.disk.check()
    await knock(context, user_id, ready)
    sent_at = context.lines.clock()
    placed = ready.order(user_id, policy_version, key, repeat_of=repeat_of, traceparent=traceparent)
    async with caps.spending(context.database, by, ready.cost):
        try:
            submitted = await context.dispatcher.submit(placed)
        except PlanForbids as error:
            raise await explained(context, user_id, ready.size, error) from None
    if submitted.created_at is None:
        await caps.unspend(context.database, by, ready.cost)
        job = await _as_ordered(context, user_id, submitted.job_id, key)
        return Placed(job=job, replayed=submitted.replayed, rate=submitted.rate)
    test = is_test(user_id)
    queued = Queued(id=submitted.job_id, tag=submitted.tag, cost=ready.cost, test=test)
    told = await context.lines.arrived(ready.lane_id, views.bound(context, ready.lane_id), queued, sent_at)
    if key is not None:
        context.repetitions.keep(user_id, key, told)
    fresh = JobFacts(
        id=submitted.job_id,
        test=test,
        cost=ready.cost,
        created_at=submitted.created_at,
        waiting=told,
        repeat_of=repeat_of,
        adult=ready.adult,
        typed=order.typed,
    )
    return Placed(job=views.view(context, fresh, ready.spec, order.metadata), replayed=False, rate=submitted.rate)


async def _as_ordered(context: Context, user_id: UUID, job_id: UUID, key: Key | None) -> JobView:
    """The answer that the order got the first time, whatever has become of the job since. Raises `NotFound`."""
    row = await views.row(context, user_id, job_id)
    told = await context.repetitions.kept(user_id, key) if key is not None else None
    return views.ordered(context, row, told or await views.waits(context, row))


async def quote(context: Context, user_id: UUID, order: SubmitRequest, *, by: ApiKey | None = None) -> Quote:
    """What an order would cost, and whether it would be taken now; nothing is placed, counted or held. `by`: whose
    daily cap it would count for."""
    ready = await prepare(context, user_id, order)
    context.conduct.check(ready.spec, order.typed)
    standing = await plans.standing(context.database, user_id, context.dispatcher.board.spent_plans)
    return await quoted(context, standing, ready, await caps.foreseen(context.database, by, ready.cost))


async def quoted(
    context: Context, standing: Standing, ready: Ready, capped: CapReached | None, before: Sequence[Quote] = ()
) -> Quote:
    """What is told of an order before it is placed; `capped`: what its key's day refuses it with, `before`: those that
    would be placed right before it."""
    line = await views.line(context, ready.lane_id)
    left = msgspec.structs.replace(standing, calls=standing.calls - len(before), queued=standing.queued + len(before))
    spent = sum(told.cost for told in before)
    refusal = await _foreseen(context, left, ready, standing.available - spent, capped)
    return Quote(
        cost=ready.cost,
        feasible_now=line.service.slots > 0,
        eta=waiting.estimate(line, ready.cost + spent),
        spec=ready.spec,
        available=standing.available - spent,
        resets_at=standing.resets_at,
        refusal=None if refusal is None else Refusal(code=refusal.slug, status=refusal.status, detail=refusal.detail),
        adult=ready.adult,
    )


async def _foreseen(
    context: Context, standing: Standing, ready: Ready, available: int, capped: CapReached | None
) -> TesseraError | None:
    """What a submit would refuse this order with at this moment, in the same order and words."""
    try:
        context.disk.check()
    except DiskLow as error:
        return error
    if refusal := _at_the_door(ready, standing) or capped:
        return refusal
    if standing.status != "active":
        return admission.suspended()
    if ready.model.paused or standing.submits_paused or context.dispatcher.board.lanes[ready.lane_id].paused:
        return admission.paused()
    if forbidden := plans.forbidden(ready.size, standing, await context.database.many(plans.LIST)):
        return forbidden
    if standing.calls <= 0:
        return admission.rate_limited(standing.submits_per_minute, standing.busy_seconds)
    if standing.queued >= standing.queued_max:
        return admission.queue_full()
    if ready.cost > available:
        return admission.tokens_short(ready.cost, available, standing.resets_at, standing.resets_in)
    return None


async def _check_webhook(context: Context, user_id: UUID, order: SubmitRequest) -> None:
    """Sees to it that what is to be told of this job alone may go there, and can be signed. Raises `Invalid`."""
    if order.webhook_url is not None:
        endpoints.checked(order.webhook_url, context.settings.webhook_networks, "/webhook_url")
        await endpoints.sign_orders(context.database, user_id)


async def explained(context: Context, user_id: UUID, size: plans.Size, refused: PlanForbids) -> PlanForbids:
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
    return await _watched(context, await views.row(context, user_id, job_id))


async def views_of(context: Context, looks: Sequence[Look]) -> list[JobView | None]:
    """Jobs as they are now, each for its user; None for what is not theirs."""
    return [await _watched(context, row) if row is not None else None for row in await context.looks.several(looks)]


async def _watched(context: Context, row: JobRow) -> JobView:
    if row.state not in TERMINAL:
        context.dispatcher.watch(row.id)
    return await views.viewed(context, row)


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
