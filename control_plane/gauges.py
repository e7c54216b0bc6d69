"""What is measured when somebody looks: the gauges of /metrics, read from the database, the pool and the disk.

The statements of `sql/queries/gauges.sql` look at the whole service, so every control plane tells the same and a chart
takes the maximum over them. Each statement is read at most once a second, and the longer it takes the more rarely, so
that scraping costs at most `SHARE` of a connection however often and by how many it is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from control_plane import metrics
from control_plane.database import Database, Query
from control_plane.queue.dispatch import Dispatcher
from control_plane.store.disk import Disk
from control_plane.workers.slots import LIVE_SECONDS

KEPT_SECONDS = 1.0
SHARE = 0.02
"""Of all time, at most so much is spent on one statement."""
LINE_MAX = 10_000
"""Jobs in line that are counted."""
GONE_SECONDS = 86_400.0
"""A worker that was not heard of for so long is no longer missed."""
SLOTS_SHOWN_MAX = 256


class LaneLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands in line in a lane."""

    lane_id: int
    jobs: int
    users: int
    oldest_seconds: float
    turn_spread: float


class LaneSlots(msgspec.Struct, frozen=True, kw_only=True):
    """The live slots of a lane."""

    lane_id: int
    taking: int
    draining: int
    quarantined: int


class LaneLeases(msgspec.Struct, frozen=True, kw_only=True):
    """The leases of a lane in one phase."""

    lane_id: int
    phase: str
    leases: int
    tokens: int
    expired_seconds: float


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What there is only once."""

    workers_live: int
    workers_gone: int
    jobs_backing_off: int
    webhooks_due: int
    reports_open: int
    oldest_transaction_seconds: float
    backup_good_seconds: float | None
    age_seconds: float


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    held: int
    charged: int
    returned: int


class SlotGpu(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot says of its GPU; the worker by its name, which is the operator's or of enrolment."""

    worker: str
    slot: int
    gpu: dict[str, Any]


LANES = Query("gauges.lanes", LaneLine)
SLOTS = Query("gauges.slots", LaneSlots)
LEASES = Query("gauges.leases", LaneLeases)
HOUSE = Query("gauges.house", House)
TOKENS = Query("gauges.tokens", Tokens)
GPUS = Query("slots.gpus", SlotGpu)


class Gauges:
    """One per process. `read` before the exposition is made."""

    def __init__(self, database: Database, dispatcher: Dispatcher, disk: Disk) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._disk = disk
        self._reading = asyncio.Lock()
        readings = (self._lines, self._slots, self._leases, self._house, self._tokens, self._gpus)
        self._due: dict[Callable[[], Awaitable[None]], float] = dict.fromkeys(readings, 0.0)
        self._pool_waits, self._pool_failures = 0, 0

    def read_here(self) -> None:
        """What this process knows without asking anybody."""
        metrics.claims_waiting.set(len(self._dispatcher.waiters))
        metrics.requests_held.set(len(self._dispatcher.feed))
        metrics.listener_probe_seconds.set(self._dispatcher.bus.probe_seconds)
        metrics.disk_free_bytes.set(self._disk.free_bytes())
        metrics.disk_low.set(self._disk.is_low)
        metrics.disk_bytes.set(self._disk.bytes())
        use = self._database.use
        metrics.pool_connections.labels("lent").set(use.lent)
        metrics.pool_connections.labels("idle").set(use.idle)
        metrics.pool_connections_max.set(use.most)
        metrics.pool_requests_waiting.set(use.waiting)
        metrics.pool_waits.inc(use.waits - self._pool_waits)
        metrics.pool_failures.inc(use.failures - self._pool_failures)
        self._pool_waits, self._pool_failures = use.waits, use.failures

    async def read(self) -> None:
        """What the database says, as far as it is due. Raises `Unavailable`."""
        async with self._reading:
            for reading, due in self._due.items():
                if (started := time.monotonic()) >= due:
                    await reading()
                    took = time.monotonic() - started
                    self._due[reading] = started + max(KEPT_SECONDS, took / SHARE)

    def _labels(self, lane_id: int) -> tuple[str, ...] | None:
        """What a lane is called, unless this process has not met it yet."""
        lane = self._dispatcher.board.lanes.get(lane_id)
        return (*lane.capability, str(lane.vram_gib), lane.task) if lane is not None else None

    def _told(self, lane_id: int, **values: float) -> None:
        if (labels := self._labels(lane_id)) is not None:
            for name, value in values.items():
                metrics.lane_gauges[name].labels(*labels).set(value)

    async def _lines(self) -> None:
        lanes = [lane for lane in self._dispatcher.board.lanes.values() if not lane.sandbox]
        hints = {"lane_id": [lane.id for lane in lanes], "bound": [lane.bound for lane in lanes]}
        for line in await self._database.many(LANES, {**hints, "most": LINE_MAX}):
            self._told(
                line.lane_id,
                jobs_waiting=line.jobs,
                users_waiting=line.users,
                oldest_seconds=line.oldest_seconds,
                turn_spread=line.turn_spread,
            )

    async def _slots(self) -> None:
        rows = await self._database.many(SLOTS, {"live_seconds": LIVE_SECONDS})
        found = {row.lane_id: row for row in rows}
        for lane in [lane for lane in self._dispatcher.board.lanes.values() if not lane.sandbox]:
            row = found.get(lane.id) or LaneSlots(lane_id=lane.id, taking=0, draining=0, quarantined=0)
            self._told(lane.id, slots=row.taking, slots_draining=row.draining, slots_quarantined=row.quarantined)

    async def _leases(self) -> None:
        rows = await self._database.many(LEASES)
        for lane in [lane for lane in self._dispatcher.board.lanes.values() if not lane.sandbox]:
            mine = [row for row in rows if row.lane_id == lane.id]
            self._told(
                lane.id,
                jobs_running=sum(row.leases for row in mine),
                tokens_running=sum(row.tokens for row in mine),
            )
        metrics.oldest_expired_lease_seconds.set(max((row.expired_seconds for row in rows), default=0.0))

    async def _house(self) -> None:
        house = await self._database.one(
            HOUSE, {"live_seconds": LIVE_SECONDS, "gone_seconds": GONE_SECONDS, "most": LINE_MAX}
        )
        assert house is not None
        metrics.workers.labels("live").set(house.workers_live)
        metrics.workers.labels("gone").set(house.workers_gone)
        metrics.jobs_backing_off.set(house.jobs_backing_off)
        metrics.webhooks_due.set(house.webhooks_due)
        metrics.reports_open.set(house.reports_open)
        metrics.oldest_transaction_seconds.set(house.oldest_transaction_seconds)
        good_seconds = house.backup_good_seconds
        metrics.backup_age_seconds.set(house.age_seconds if good_seconds is None else good_seconds)

    async def _tokens(self) -> None:
        tokens = await self._database.one(TOKENS)
        assert tokens is not None
        metrics.tokens_held.set(tokens.held)
        metrics.tokens_settled.labels("charge").set(tokens.charged)
        metrics.tokens_settled.labels("return").set(tokens.returned)

    async def _gpus(self) -> None:
        """What live slots say of their GPUs; those that have gone are gone here, too."""
        rows = await self._database.many(GPUS, {"live_seconds": LIVE_SECONDS, "most": SLOTS_SHOWN_MAX})
        for name, gauge in metrics.slot_gauges.items():
            gauge.clear()
            for row in rows:
                if isinstance(value := row.gpu.get(name), int | float):
                    gauge.labels(row.worker, str(row.slot)).set(value)
