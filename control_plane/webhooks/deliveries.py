"""Deliveries: messages of webhooks on their way, and what became of them.

    log of events ──relay──► pending ──claim──► leased ──record──► delivered
                                 ▲                 │ └──────────► dead
                                 └── retry, lease ended (a crash) ┘

The relay makes them from the log of events in the transaction that moves its cursor, so each message is made once.
`courier.py` takes them with a lease and sends; a lease that ended is taken again, so each message arrives at least
once, with the same id. Everything here is one statement or two.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane import cursors
from control_plane.database import Database, Query
from control_plane.errors import Invalid, NotFound, WebhookDisabled
from control_plane.signing import SigningKeys
from control_plane.webhooks import endpoints, envelope
from control_plane.wire.webhook import DeliveryList, DeliveryState, DeliveryView

LINE_MAX = 2
"""On their way at once to one host for one endpoint."""
ENDPOINT_MAX = 8
"""The same for one endpoint, which for orders may have many hosts."""
HOST_MAX = 8
"""The same for one host, whoever wants it: many accounts are no hammer."""
LOOK_MAX = 500
"""Deliveries that are looked at by age; when more are due, line by line."""
LEASE_SECONDS = 30.0
"""More than an attempt may take."""
FAILING_SECONDS = 5 * 86_400.0
"""An endpoint that has failed for so long without a success is disabled at its next failure."""
PAGE_MAX = 100
REACH_SECONDS = 7 * 86_400.0
"""Older events are no news, whatever the cursor says."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anybody wants to be told, and what is settled: everything below this transaction."""

    wanted: bool
    xid: int
    timeline: str
    """Transactions of another one are other transactions."""


class Relayed(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were read, and deliveries that were made of them."""

    read: int
    told: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent, with the secrets to sign it."""

    id: UUID
    lease: UUID
    endpoint_id: UUID
    user_id: UUID
    job_id: UUID | None
    type: str
    url: str
    event_at: datetime
    attempts: int
    step: int
    timestamp: int
    """Now, by the database's clock, in seconds since 1970."""
    keys: list[bytes]
    traceparent: str | None
    """The trace that the job was ordered in."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt."""

    state: DeliveryState
    """`pending`: failed, and due again after `retry_seconds`."""
    retry_seconds: float | None = None
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    seconds: float
    gone: bool = False


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    endpoint_id: UUID
    type: str
    job_id: UUID | None
    url: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_excerpt: str | None
    last_seconds: float | None
    delivered_at: datetime | None
    created_at: datetime


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked to be sent, by its id; or why it is not."""

    id: UUID | None
    of_orders: bool
    disabled: bool


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    disabled_reason: str | None


WANTED = Query("deliveries.wanted", Wanted)
REST: Query[None] = Query("deliveries.rest")
RELAY = Query("deliveries.relay", Relayed)
LOCK_CLAIMS: Query[None] = Query("deliveries.lock_claims")
CLAIM = Query("deliveries.claim", Delivery)
NEXT_DUE = Query("deliveries.next_due", float)
RECORD = Query("deliveries.record", Judged)
ABANDON: Query[None] = Query("deliveries.abandon")
GIVE_BACK: Query[None] = Query("deliveries.give_back")
ADD_TEST = Query("deliveries.add_test", Asked)
REDELIVER = Query("deliveries.redeliver", Asked)
LOG = Query("deliveries.log", LogRow)


async def claim(database: Database, most: int) -> list[Delivery]:
    """Leases what is due, fairly. The two statements are one transaction: processes claim one after the other."""
    parameters = {
        "most": most,
        "look_max": LOOK_MAX,
        "line_max": LINE_MAX,
        "endpoint_max": ENDPOINT_MAX,
        "host_max": HOST_MAX,
        "lease_seconds": LEASE_SECONDS,
    }
    async with database.transaction() as connection:
        await LOCK_CLAIMS.run(connection)
        return await CLAIM.many(connection, parameters)


async def record(database: Database, delivery: Delivery, outcome: Outcome) -> str | None:
    """Writes down what became of an attempt, if its lease still holds. Returns why the endpoint was disabled by it."""
    parameters = {
        "delivery_id": delivery.id,
        "lease": delivery.lease,
        "failing_seconds": FAILING_SECONDS,
        **msgspec.structs.asdict(outcome),
    }
    if outcome.state == "delivered":
        await database.one(RECORD, parameters)
        return None
    async with database.transaction() as connection:
        judged = await RECORD.one(connection, parameters)
        if judged is None or judged.disabled_reason is None:
            return None
        await ABANDON.run(connection, {"webhook_id": delivery.endpoint_id})
        return judged.disabled_reason


async def test(database: Database, user_id: UUID, webhook_id: UUID) -> DeliveryView:
    """A test message, to be sent at once. Raises `NotFound`, `WebhookDisabled`, `Invalid`."""
    asked = await database.one(ADD_TEST, {"user_id": user_id, "webhook_id": webhook_id})
    return await _asked(database, user_id, webhook_id, asked)


async def redeliver(database: Database, user_id: UUID, webhook_id: UUID, delivery_id: UUID) -> DeliveryView:
    """The same message once more, with its schedule from the beginning. Raises `NotFound`, `WebhookDisabled`."""
    parameters = {"user_id": user_id, "webhook_id": webhook_id, "delivery_id": delivery_id}
    asked = await database.one(REDELIVER, parameters)
    return await _asked(database, user_id, webhook_id, asked)


async def _asked(database: Database, user_id: UUID, webhook_id: UUID, asked: Asked | None) -> DeliveryView:
    if asked is None:
        raise endpoints.not_found()
    if asked.disabled:
        raise WebhookDisabled("This webhook is disabled. Enable it first.")
    if asked.id is None:
        raise Invalid.at("webhook_id", "This one has no address of its own: it belongs to your orders.", "not_allowed")
    rows = await _rows(database, user_id, webhook_id, delivery_id=asked.id)
    if not rows:
        raise NotFound("The webhook was deleted meanwhile.")
    return _view(rows[0])


async def page(
    database: Database,
    keys: SigningKeys,
    user_id: UUID,
    webhook_id: UUID,
    *,
    state: DeliveryState | None,
    cursor: str | None,
    limit: int,
) -> DeliveryList:
    """Deliveries of an endpoint, the newest first. Raises `NotFound`, `Invalid` for a cursor of another list."""
    await endpoints.view(database, user_id, webhook_id)
    scope = ("deliveries", user_id, webhook_id, state)
    before = UUID(bytes=cursors.unseal(keys, cursor, *scope)) if cursor is not None else None
    rows = await _rows(database, user_id, webhook_id, before=before, state=state, most=limit + 1)
    more = len(rows) > limit
    return DeliveryList(
        data=[_view(row) for row in rows[:limit]],
        has_more=more,
        next_cursor=cursors.seal(keys, rows[limit - 1].id.bytes, *scope) if more else None,
    )


async def latest(
    database: Database, user_id: UUID, webhook_id: UUID, *, state: DeliveryState | None, most: int
) -> list[DeliveryView]:
    """The newest deliveries of an endpoint. Raises `NotFound`."""
    await endpoints.view(database, user_id, webhook_id)
    return [_view(row) for row in await _rows(database, user_id, webhook_id, state=state, most=most)]


async def _rows(database: Database, user_id: UUID, webhook_id: UUID, **narrowed: object) -> list[LogRow]:
    everything = {"delivery_id": None, "before": None, "state": None, "most": 1}
    return await database.many(LOG, {"user_id": user_id, "webhook_id": webhook_id, **everything, **narrowed})


def _view(row: LogRow) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        webhook_id=row.endpoint_id,
        message_id=envelope.message_id(row.id),
        type=row.type,
        job_id=row.job_id,
        url=row.url,
        status=row.state,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
        last_excerpt=row.last_excerpt,
        last_seconds=row.last_seconds,
        delivered_at=row.delivered_at,
        created_at=row.created_at,
    )
