"""Batches: orders that are placed together, all of them or none.

All members are admitted by the statement that admits any order, in a transaction that is taken back when one of them is
refused; who is to blame is told by a JSON pointer. The Idempotency-Key goes with the first member and stands for all,
so a repetition finds that member and, by it, the batch. Agents are woken after the commit. What a batch has become is
read off its jobs: there is nothing else to keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg

from control_plane.context import Context
from control_plane.database import Query, columns
from control_plane.errors import (
    Invalid,
    NotFound,
    PlanForbids,
    QueueFull,
    Rate,
    RateLimited,
    TesseraError,
    TokensShort,
    Unavailable,
)
from control_plane.jobs import desk, listing, views
from control_plane.jobs.desk import Ready
from control_plane.money import plans
from control_plane.orders.idempotency import Key
from control_plane.people import caps
from control_plane.people.credentials import ApiKey
from control_plane.queue import admission
from control_plane.queue.admission import Order, SubmitRow
from control_plane.wire.batch import BatchQuote, BatchRefusal, BatchRequest, BatchUrls, BatchView
from control_plane.wire.job import Cost, JobView, SubmitRequest
from control_plane.wire.model import Quote
from control_plane.wire.problem import Fault

TRIES_MAX = 16
"""How often a batch looks again that could not be decided: each time somebody else with the same key was faster, or the
day of its user had not begun yet by the clock of this transaction."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    created_at: datetime
    job_ids: list[UUID]


class PlacedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is in the queue. `replayed`: its Idempotency-Key had this answer already."""

    batch: BatchView
    replayed: bool
    rate: Rate | None
    """Where the submits of the user stand now."""


NEW_ID = Query("batches.new_id", UUID)
ADD = Query("batches.add", datetime)
GET = Query("batches.get", Batch)
OF_JOB = Query("batches.of_job", UUID)


async def submit(
    context: Context,
    user_id: UUID,
    request: BatchRequest,
    key: Key | None = None,
    *,
    by: ApiKey | None = None,
    traceparent: str | None = None,
) -> PlacedBatch:
    """Places every order of a batch, or none; committed when this returns. Raises what `desk.submit` raises, with the
    pointer of the member that is to blame. `by`: whose daily cap it counts for."""
    async with context.repetitions.alone(user_id, key):
        try:
            return await _submit(context, user_id, request, key, by, traceparent)
        except desk.OVERRULED:
            if (first := await desk.accepted(context, user_id, key)) is None:
                raise
            return await _replayed(context, user_id, first, None)


async def _submit(
    context: Context,
    user_id: UUID,
    request: BatchRequest,
    key: Key | None,
    by: ApiKey | None,
    traceparent: str | None,
) -> PlacedBatch:
    ready = await _prepared(context, user_id, request.jobs)
    context.disk.check()
    batch_id = await context.database.one(NEW_ID)
    assert batch_id is not None
    orders = [
        each.order(user_id, version, key if n == 0 else None, batch_id=batch_id, traceparent=traceparent)
        for n, (each, version) in enumerate(ready)
    ]
    for n, (each, _) in enumerate(ready):
        with _blamed(n):
            await desk.knock(context, user_id, each)
    cost = sum(order.cost for order in orders)
    async with caps.spending(context.database, by, cost):
        rows = await _admitted(context, batch_id, orders)
        if rows[0].refusal != "replayed" and any(row.refusal for row in rows):
            raise await _refused(context, user_id, [each for each, _ in ready], rows)
    if rows[0].refusal == "replayed" and rows[0].job_id is not None:
        await caps.unspend(context.database, by, cost)
        return await _replayed(context, user_id, rows[0].job_id, admission.rate(rows[0]))
    for order, row in zip(orders, rows, strict=True):
        context.dispatcher.admitted(order, row)
    return PlacedBatch(batch=await _as_ordered(context, user_id, batch_id), replayed=False, rate=_rate(rows))


async def quote(context: Context, user_id: UUID, request: BatchRequest, *, by: ApiKey | None = None) -> BatchQuote:
    """What a batch would cost, and whether it would be taken now; nothing is placed, counted or held. `by`: whose
    daily cap it would count for, as a whole."""
    ready = [each for each, _ in await _prepared(context, user_id, request.jobs)]
    standing = await plans.standing(context.database, user_id, context.dispatcher.board.spent_plans)
    capped = await caps.foreseen(context.database, by, sum(each.cost for each in ready))
    quotes: list[Quote] = []
    for each in ready:
        quotes.append(await desk.quoted(context, standing, each, capped, before=quotes))
    refused = next(((n, told.refusal) for n, told in enumerate(quotes) if told.refusal is not None), None)
    return BatchQuote(
        cost=sum(each.cost for each in ready),
        feasible_now=all(told.feasible_now for told in quotes),
        available=standing.available,
        resets_at=standing.resets_at,
        refusal=BatchRefusal(**msgspec.structs.asdict(refused[1]), pointer=f"/jobs/{refused[0]}") if refused else None,
        jobs=quotes,
    )


async def view(context: Context, user_id: UUID, batch_id: UUID) -> BatchView:
    """A user's batch as its jobs are now. Raises `NotFound`."""
    found = await _get(context, user_id, batch_id)
    return _viewed(context, found, await listing.shown(context, user_id, found.job_ids))


async def cancel(context: Context, user_id: UUID, batch_id: UUID) -> BatchView:
    """Cancels every job of a batch that is not over, or asks its agent to. Raises `NotFound`."""
    found = await _get(context, user_id, batch_id)
    for job_id in found.job_ids:
        await context.dispatcher.cancel(user_id, job_id)
    return await view(context, user_id, batch_id)


async def _get(context: Context, user_id: UUID, batch_id: UUID) -> Batch:
    found = await context.database.one(GET, {"id": batch_id, "user_id": user_id})
    if found is None:
        raise NotFound("You have no such batch.")
    return found


async def _as_ordered(context: Context, user_id: UUID, batch_id: UUID) -> BatchView:
    """As the batch was told when it was ordered, the first time and each time that this is repeated."""
    found = await _get(context, user_id, batch_id)
    rows = await context.looks.many(user_id, found.job_ids)
    return _viewed(context, found, [views.ordered(context, row, await views.waits(context, row)) for row in rows])


def _viewed(context: Context, batch: Batch, shown: list[JobView]) -> BatchView:
    address = f"{context.settings.base_url}/api/v1/batches/{batch.id}"
    return BatchView(
        id=batch.id,
        created_at=batch.created_at,
        counts=dict(Counter(job.status for job in shown)),
        cost=Cost(held=sum(job.cost.held for job in shown), charged=sum(job.cost.charged for job in shown)),
        jobs=shown,
        urls=BatchUrls(self=address, cancel=address),
    )


# ------------------------------------------------------------------------------------------ admission


async def _prepared(context: Context, user_id: UUID, requests: Sequence[SubmitRequest]) -> list[tuple[Ready, int]]:
    """Every order completed and priced, with the version of the rules that it was read by. Raises `Invalid` that tells
    all that does not fit of all of them; `NoSuchModel` and `ModeratedInput` of the first."""
    ready: list[tuple[Ready, int]] = []
    faults: list[Fault] = []
    for n, request in enumerate(requests):
        await asyncio.sleep(0)  # a hundred long prompts take a while to read: others have their turn in between
        try:
            with _blamed(n):
                each = await desk.prepare(context, user_id, request)
                ready.append((each, context.conduct.check(each.spec, request.typed)))
        except Invalid as error:
            faults += _faults(error)
    if faults:
        raise Invalid("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults), errors=faults)
    return ready


async def _admitted(context: Context, batch_id: UUID, orders: Sequence[Order]) -> list[SubmitRow]:
    """What became of the members: all are in line, or none is and at least one of them says why."""
    board = context.dispatcher.board
    for _ in range(TRIES_MAX):
        placed = [board.placed(order) for order in orders]
        rows: list[SubmitRow] = []
        async with context.database.transaction() as connection:
            rows = await admission.SUBMIT.many(connection, {**columns(placed), "spent_plans": list(board.spent_plans)})
            if any(row.refusal for row in rows):
                raise psycopg.Rollback
            await ADD.one(connection, {"id": batch_id, "job_id": [row.job_id for row in rows]})
        if {row.refusal for row in rows} - {None, "again"} or not any(row.refusal for row in rows):
            return rows
    raise Unavailable("The batch could not be decided beside others like it. Try again.", retry_after=1)


async def _replayed(context: Context, user_id: UUID, first: UUID, rate: Rate | None) -> PlacedBatch:
    batch_id = await context.database.one(OF_JOB, {"user_id": user_id, "job_id": first})
    if batch_id is None:
        raise NotFound("You have no such batch.")
    return PlacedBatch(batch=await _as_ordered(context, user_id, batch_id), replayed=True, rate=rate)


def _rate(rows: Sequence[SubmitRow]) -> Rate | None:
    """After the last member; what a row says of the rate holds before all of them."""
    rate = admission.rate(rows[-1])
    return rate and rate._replace(busy_seconds=rate.busy_seconds + (len(rows) - 1) * 60.0 / rate.per_minute)


# ------------------------------------------------------------------------------------------ refusals


async def _refused(context: Context, user_id: UUID, ready: Sequence[Ready], rows: Sequence[SubmitRow]) -> TesseraError:
    """The first refusal, in words about the whole batch, with the pointer of its member."""
    n, row = next((n, row) for n, row in enumerate(rows) if row.refusal not in (None, "again"))
    error = admission.refused(row, ready[n].cost)
    match error:
        case PlanForbids():
            error = await desk.explained(context, user_id, ready[n].size, error)
        case TokensShort():
            spent, total = sum(each.cost for each in ready[:n]), sum(each.cost for each in ready)
            available = (row.available or 0) + spent
            error = admission.tokens_short(total, available, row.resets_at, row.resets_in)
        case RateLimited() | QueueFull():
            error = await _never(context, user_id, len(ready)) or error
    error.rate = admission.rate(row)
    return _blame(error, n)


async def _never(context: Context, user_id: UUID, members: int) -> PlanForbids | None:
    """What is told of a batch that the plan would not take however long one waits."""
    standing = await plans.standing(context.database, user_id)
    for limit in ("submits_per_minute", "queued_max"):
        if members > (allowed := getattr(standing, limit)):
            sentence = f"Your plan {standing.plan} takes batches of at most {allowed} jobs; this one has {members}."
            return PlanForbids(sentence, plan=standing.plan, limit=limit, allowed=allowed, asked=members)
    return None


@contextmanager
def _blamed(n: int) -> Iterator[None]:
    """Whatever is refused here is refused of member `n`."""
    try:
        yield
    except TesseraError as error:
        raise _blame(error, n) from None


def _blame(error: TesseraError, n: int) -> TesseraError:
    faults = _faults(error) or [Fault(pointer="", code=error.slug, detail=error.detail)]
    error.fields["errors"] = [msgspec.structs.replace(fault, pointer=f"/jobs/{n}{fault.pointer}") for fault in faults]
    return error


def _faults(error: TesseraError) -> list[Fault]:
    return msgspec.convert(error.fields.get("errors", []), list[Fault], from_attributes=True)
