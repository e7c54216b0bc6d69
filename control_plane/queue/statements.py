"""The queue's statements, bound to Python: claim, keep, end and take back (`admission` puts jobs in line).

Each function runs one statement of `sql/queries/queue.sql` and turns refusals into answers or errors; the meaning
is in the SQL, the limits are here and in `states`. Functions on batches take the members of many callers (see
`coalesce.py`); the others are rare enough to travel alone. A job's whole life passes through this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from control_plane.database import Database, Query, column, columns
from control_plane.errors import ArtifactsMissing, LeaseLost
from control_plane.states import (
    BACKOFF_FIRST_SECONDS,
    BACKOFF_MAX_SECONDS,
    FAILURES_MAX,
    FINAL_CAUSES,
    LOSSES_MAX,
    State,
)
from control_plane.wire.worker import FailCause, Phase, ReleaseReason
from control_plane.workers import slots

AFFINITY_TOKENS = 30.0
"""How many tokens of the loaded model each slot may serve before another lane, whose turn it was, loads its own"""
PATIENCE_SECONDS = 60.0
"""or how long that lane's head must have waited, all of it since the lane was last served: under a backlog every head
has waited for long, and counting that would have the slots load a model for each job."""
LAG_TOKENS = 2 * AFFINITY_TOKENS
"""How much service of each slot a lane that was empty or without a worker may catch up on; more than the affinity, so
that standing back for a loaded model is not forgotten."""
REAP_MOST = 100
SWEEP_MOST = 1_000


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A free place of a slot, asking for a lease. Members of one batch share `lane_ids` and `loaded_lane_id`."""

    worker_id: UUID
    slot: int
    claim_id: UUID
    lane_ids: tuple[int, ...]
    loaded_lane_id: int | None
    is_full: bool = False
    """The slot has all the leases that it may have: it can only find again what it was given."""


class LaneHint(msgspec.Struct, frozen=True, kw_only=True):
    """What the board knows about a lane when a claim leaves: where to start the scan, how to compare."""

    lane_id: int
    bound: float
    tag_offset: float
    clock: float = -math.inf
    served_at: datetime | str = "-infinity"
    """When a job of the lane was last claimed, as far as is known here; or '-infinity'."""


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    refusal: str | None
    job_id: UUID | None
    attempt: int | None
    lease_token: UUID | None
    expires_in: float
    spec: str | None
    lane_id: int | None
    tag: float | None
    clock: float | None
    """The tag without its head start: what the lane's clock rises to, so that a stream of urgent jobs ends."""
    head_tag: float | None
    """The smallest tag that was to be seen in the lane: the scan may start here next time."""
    key: float | None
    cost: int | None
    claimed_at: datetime
    contended: bool
    """The batch got less than it saw, because other claims were faster: look again."""


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    attempt: int
    lease_token: UUID
    old_worker_id: UUID
    spec: str


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """Which lease a write speaks for. Stale in any part, and the write changes nothing."""

    job_id: UUID
    attempt: int
    token: UUID
    worker_id: UUID


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One lease in a heartbeat."""

    job_id: UUID
    attempt: int
    token: UUID
    worker_id: UUID
    phase: Phase


class HeartbeatRow(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    renewed: bool
    cancel: bool
    starts: bool


class ProgressReport(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    attempt: int
    value: float
    step: int
    steps: int
    preview: bytes | None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    attempt: int
    token: UUID
    worker_id: UUID
    artifacts: int


class CompleteRow(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    result: str
    lane_id: int | None
    run_seconds: float | None
    cost: int | None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    worker_id: UUID
    slot: int


class Requeued(msgspec.Struct, frozen=True, kw_only=True):
    """A job that left a lease; `tag` is null when it waits in backoff or has ended."""

    state: State
    lane_id: int
    tag: float | None


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    attempt: int
    state: State
    lane_id: int
    tag: float | None
    worker_id: UUID
    phase: Phase


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    state: State
    worker_id: UUID | None


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    lane_id: int
    tag: float


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    lane_id: int


class Past(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str
    state: State


CLAIM = Query("queue.claim", ClaimRow)
CLAIM_ONE = Query("queue.claim_one", ClaimRow)
LIVE_LEASES = Query("queue.live_leases", UUID)
TAKE_OVER = Query("queue.take_over", TakenOver)
HEARTBEAT = Query("queue.heartbeat", HeartbeatRow)
REPORT_PROGRESS: Query[None] = Query("queue.report_progress")
COMPLETE = Query("queue.complete", CompleteRow)
FAIL = Query("queue.fail", Failed)
RELEASE = Query("queue.release", Requeued)
PAST = Query("queue.past", Past)
LOCK: Query[None] = Query("queue.lock")
CANCEL = Query("queue.cancel", Canceled)
REAP = Query("queue.reap", Reaped)
SHORTEN: Query[None] = Query("queue.shorten")
WAKE_BACKOFF = Query("queue.wake_backoff", Woken)
EXPIRE = Query("queue.expire", Expired)
SEEN_WORKER: Query[None] = Query("queue.seen_worker")

_OF_A_PLACE = ("worker_id", "slot", "claim_id", "is_full")
"""What a claim says of each place; all else is shared by the batch."""


async def claim(
    database: Database,
    places: Sequence[Place],
    hints: Sequence[LaneHint],
    pool_clock: float,
    offer_seconds: float,
    pace: float = 1.0,
) -> list[ClaimRow]:
    """One row per place: a new lease, the live lease of the same claim id, a refusal, or nothing to do.

    `pace`: how far the clocks come at present when every slot serves a token. Limits are tokens of a slot, order is by
    tags.
    """
    if len(places) == 1:
        return await database.many(CLAIM_ONE, lone_claim(places[0], hints, pool_clock, offer_seconds, pace))
    shared = _shared(places[0], hints, pool_clock, offer_seconds, pace)
    return await database.many(CLAIM, {name: column(places, name) for name in _OF_A_PLACE} | shared)


def lone_claim(
    place: Place,
    hints: Sequence[LaneHint],
    pool_clock: float,
    offer_seconds: float,
    pace: float = 1.0,
    of_user_id: UUID | None = None,
) -> dict[str, Any]:
    """The parameters of `CLAIM_ONE`; with `of_user_id` it takes a job of that user or none."""
    mine = {name: getattr(place, name) for name in _OF_A_PLACE}
    return mine | _shared(place, hints, pool_clock, offer_seconds, pace) | {"of_user_id": of_user_id}


def _shared(
    place: Place, hints: Sequence[LaneHint], pool_clock: float, offer_seconds: float, pace: float
) -> dict[str, Any]:
    """What a claim says for all places of a batch together."""
    return {
        "loaded_lane_id": place.loaded_lane_id,
        "lane_id": column(hints, "lane_id"),
        "bound": column(hints, "bound"),
        "clock": column(hints, "clock"),
        "served_at": column(hints, "served_at"),
        "tag_offset": column(hints, "tag_offset"),
        "pool_clock": pool_clock,
        "offer_seconds": offer_seconds,
        "affinity": AFFINITY_TOKENS * pace,
        "patience": PATIENCE_SECONDS,
        "lag": LAG_TOKENS * pace,
    }


async def take_over(database: Database, place: Place, offer_seconds: float) -> TakenOver | None:
    """For an idle place that found nothing: a lease that waits behind another slot's running job."""
    return await database.one(
        TAKE_OVER,
        {
            "worker_id": place.worker_id,
            "slot": place.slot,
            "claim_id": place.claim_id,
            "lane_id": list(place.lane_ids),
            "offer_seconds": offer_seconds,
        },
    )


async def heartbeat(database: Database, reports: Sequence[Report], lease_seconds: float) -> list[HeartbeatRow]:
    return await database.many(HEARTBEAT, {**columns(reports), "lease_seconds": lease_seconds})


async def report_progress(database: Database, reports: Sequence[ProgressReport]) -> None:
    await database.run(REPORT_PROGRESS, columns(reports))


async def complete(database: Database, completions: Sequence[Completion]) -> list[CompleteRow]:
    return await database.many(COMPLETE, columns(completions))


async def completed(database: Database, fence: Fence, row: CompleteRow) -> State:
    """The state a completion led to. Raises `ArtifactsMissing`, or `LeaseLost` when it was not this fence's to end."""
    match row.result:
        case "succeeded" | "canceled":
            return "succeeded" if row.result == "succeeded" else "canceled"
        case "artifacts_missing":
            raise ArtifactsMissing(
                "Not every file of this attempt has arrived. Upload what is missing, then complete again."
            )
        case _:
            return await _repeated(database, fence, {"succeeded", "canceled"})


async def fail(database: Database, fence: Fence, cause: FailCause, message: str) -> State:
    """Ends a failed run; the slot is quarantined when it keeps failing. Raises `LeaseLost`."""
    failed = await database.one(
        FAIL,
        {
            **msgspec.structs.asdict(fence),
            "cause": cause,
            "message": message,
            "final": cause in FINAL_CAUSES,
            "failures_max": FAILURES_MAX,
            "backoff_first": BACKOFF_FIRST_SECONDS,
            "backoff_max": BACKOFF_MAX_SECONDS,
            "quarantine_after": slots.QUARANTINE_AFTER,
            "live_seconds": slots.LIVE_SECONDS,
        },
    )
    if failed is None:
        return await _repeated(database, fence, {"failed", "canceled"})
    if cause not in FINAL_CAUSES:
        await slots.quarantine(database, failed.worker_id, failed.slot)
    return failed.state


async def release(database: Database, fence: Fence, reason: ReleaseReason) -> Requeued | State:
    """Gives a lease back: where the job stands in line again, or the state it had when this is a repetition."""
    released = await database.one(RELEASE, {**msgspec.structs.asdict(fence), "reason": reason})
    return released or await _repeated(database, fence, {"released", "canceled"})


async def _repeated(database: Database, fence: Fence, outcomes: set[str]) -> State:
    past = await database.one(PAST, msgspec.structs.asdict(fence))
    if past is None or past.outcome not in outcomes:
        raise LeaseLost("The lease of this attempt is no longer yours; nothing was changed. Stop the work.")
    return past.state


async def cancel(database: Database, user_id: UUID, job_id: UUID) -> Canceled | None:
    """Cancels what has not started and asks for what runs; None when there is nothing (left) to cancel."""
    async with database.transaction() as connection:
        await LOCK.run(connection, {"user_id": user_id, "job_id": job_id})
        return await CANCEL.one(connection, {"user_id": user_id, "job_id": job_id})


async def reap(database: Database) -> list[Reaped]:
    return await database.many(REAP, {"most": REAP_MOST, "losses_max": LOSSES_MAX})


async def shorten(database: Database, worker_id: UUID, grace_seconds: float) -> None:
    await database.run(SHORTEN, {"worker_id": worker_id, "grace_seconds": grace_seconds})


async def wake_backoff(database: Database) -> list[Woken]:
    return await database.many(WAKE_BACKOFF, {"most": SWEEP_MOST})


async def expire(database: Database) -> list[Expired]:
    """The jobs that expired, with their lanes."""
    return await database.many(EXPIRE, {"most": SWEEP_MOST})
