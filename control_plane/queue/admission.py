"""Admission: how an order becomes a job, or what its customer is told instead.

One statement decides for a whole batch (`sql/queries/admission.sql`): idempotency, suspension, kill switches, the
limits of the plan, the rate, the queue's length and the tokens, in this order. It also holds the tokens and puts the
job in line, so an answer of 201 means all of it. Refusals are rows; here they become errors that say what to do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from control_plane.database import Database, Query, columns, texts
from control_plane.errors import (
    IdempotencyMismatch,
    Internal,
    Merged,
    Paused,
    PlanForbids,
    QueueFull,
    Rate,
    RateLimited,
    Suspended,
    TesseraError,
    TokensShort,
)

URGENT_TOKENS = 1_000.0
"""The bounded head start of an urgent job."""
SECONDS_PER_MINUTE = 60.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A validated, priced job on its way into the queue."""

    user_id: UUID
    lane_id: int
    cost: int
    """Tokens."""
    pixels: int = 0
    """Of one picture or frame, for the plan's limit."""
    video_seconds: float = 0.0
    head_start: float = 0.0
    spec: str
    """JSON of the `JobSpec`."""
    metadata: str = "{}"
    webhook_url: str | None = None
    """Where to tell of this very job."""
    max_wait: int | None = None
    key: str | None = None
    """The Idempotency-Key, with `request_sha256` of what it was sent with."""
    request_sha256: bytes | None = None
    policy_version: int = 1
    """Of the rules of conduct that the order was read by."""
    clock: float = 0.0
    pool_tokens: str = "{}"
    """JSON: plan with a pool weight → tokens that all its users have in line in this lane."""


class SubmitRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a member. The facts about its user are those before it was admitted."""

    n: int
    refusal: str | None
    job_id: UUID | None
    tag: float | None
    created_at: datetime | None
    pool: str | None
    """The plan whose users share one place in line."""
    available: int | None
    """Tokens; to one that did not fit, what those before it have left."""
    calls_left: int | None
    """Submits that the rate allows right after this one."""
    calls_per_minute: int | None
    busy_seconds: float | None
    """Until the whole rate is free again."""
    resets_at: datetime
    resets_in: float


SUBMIT = Query("admission.submit", SubmitRow)
SUBMIT_ONE = Query("admission.submit_one", SubmitRow)


async def submit(database: Database, orders: Sequence[Order], *, spent_plans: Collection[str] = ()) -> list[SubmitRow]:
    """Admits a batch. `spent_plans`: whose users together have used up their day.

    A member that is refused with `again` could not be decided beside its neighbours: it is for the caller to repeat.
    """
    if len(orders) == 1:
        return await database.many(SUBMIT_ONE, lone_submit(orders[0], spent_plans))
    return await database.many(SUBMIT, {**columns(orders), "spent_plans": list(spent_plans)})


def lone_submit(order: Order, spent_plans: Collection[str]) -> dict[str, Any]:
    """The parameters of `SUBMIT_ONE`."""
    return {**texts(order), "spent_plans": list(spent_plans)}


def refused(row: SubmitRow, cost: int) -> TesseraError:
    """What the customer of a refused order is told."""
    error = _refusal(row, cost)
    error.rate = rate(row)
    return error


def rate(row: SubmitRow) -> Rate | None:
    """Where the submits of its user stand after this one; None when nobody was found who could have submitted it."""
    if row.calls_per_minute is None or row.calls_left is None or row.busy_seconds is None:
        return None
    taken = SECONDS_PER_MINUTE / row.calls_per_minute if row.refusal is None else 0.0
    return Rate("submits", row.calls_per_minute, row.calls_left, row.busy_seconds + taken)


def tokens_short(cost: int, available: int, resets_at: datetime, resets_in: float) -> TokensShort:
    price = "1 token" if cost == 1 else f"{cost} tokens"
    return TokensShort(
        f"This costs {price} and you have {available}. Your daily tokens come back at midnight UTC.",
        retry_after=math.ceil(resets_in),
        needed=cost,
        available=available,
        resets_at=resets_at,
    )


def rate_limited(per_minute: int, busy_seconds: float) -> RateLimited:
    wait = max(1, math.ceil(busy_seconds - SECONDS_PER_MINUTE + SECONDS_PER_MINUTE / per_minute))
    return RateLimited(f"Your plan takes {per_minute} orders a minute. Try again in {wait} s.", retry_after=wait)


def queue_full() -> QueueFull:
    return QueueFull("You have as many jobs waiting as your plan allows. Wait for one to finish.", retry_after=10)


def paused() -> Paused:
    return Paused("New jobs are paused by the operator. Try again later.", retry_after=30)


def suspended() -> Suspended:
    return Suspended("This account is suspended. Ask the operator.")


def _refusal(row: SubmitRow, cost: int) -> TesseraError:
    match row.refusal:
        case "tokens_short":
            return tokens_short(cost, row.available or 0, row.resets_at, row.resets_in)
        case "rate_limited":
            return rate_limited(row.calls_per_minute or 1, row.busy_seconds or 0.0)
        case "queue_full":
            return queue_full()
        case "plan_forbids":
            return PlanForbids("Your plan does not include this. GET /api/v1/plans lists what each plan allows.")
        case "suspended":
            return suspended()
        case "merged":
            return Merged("This account has become part of another one. Try again.", retry_after=1)
        case "paused":
            return paused()
        case "idempotency_mismatch":
            return IdempotencyMismatch("This Idempotency-Key was used with another request. Use a new key.")
        case _:
            return Internal(f"The order was refused for an unknown reason: {row.refusal}.")
