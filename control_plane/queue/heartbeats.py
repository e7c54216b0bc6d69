"""Heartbeats: leases renewed on arrival, the answer kept back until there is news.

One call speaks for all leases of an agent, and the renewals of many agents share a statement. While it is held, the
worker can be told at once that a job is to be canceled, a lease is lost, a drain was asked for, or somebody watches;
without news it is answered after `hold` seconds. When its connection breaks, the agent has most likely died (a
killed process closes its sockets): its leases are shortened to the grace, and the next heartbeat, should there be
one, renews them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import Unauthorized
from control_plane.events.feed import Feed
from control_plane.notify import Bus
from control_plane.queue import statements
from control_plane.queue.coalesce import Coalescer
from control_plane.queue.statements import SEEN_WORKER, HeartbeatRow, ProgressReport, Report
from control_plane.queue.waiters import until_news
from control_plane.wire.worker import HeartbeatAnswer, HeartbeatRequest, Intervals, Renewal
from control_plane.workers import slots
from control_plane.workers.slots import SlotFacts, SlotHealth

if TYPE_CHECKING:
    from control_plane.settings import Settings

WATCH_SECONDS = 5.0
"""How long one look at a job counts as watching it."""
WATCHED_MAX = 10_000
SEEN_SECONDS = 5.0
"""A worker's signs of life are written down at most this often."""
SLOT_SEEN_SECONDS = 15.0


class WorkerOrders(msgspec.Struct, frozen=True, kw_only=True):
    drain: bool
    revoked: bool
    cancel: list[UUID]
    tokens: list[UUID]
    """Of the leases that are still this worker's."""
    now: datetime


SlotSaid = tuple[tuple[int, ...], int | None, int]
"""Lanes, the loaded one, VRAM: what of a slot is written down when it asks for work."""

WORKER_ORDERS = Query("queue.worker_orders", WorkerOrders)


def intervals(settings: Settings) -> Intervals:
    """What agents are told; decided here and nowhere else."""
    return Intervals(
        lease=settings.lease_seconds,
        offer=settings.offer_seconds,
        grace=settings.grace_seconds,
        heartbeat=settings.heartbeat_seconds,
        hold=min(settings.heartbeat_seconds, Intervals().hold),
        self_fence=settings.self_fence_seconds,
        poll=settings.poll_seconds,
    )


class Held:
    """A heartbeat that is being held open."""

    def __init__(self, worker_id: UUID, request: HeartbeatRequest) -> None:
        self.worker_id = worker_id
        self.request = request
        self.job_ids = frozenset(report.job_id for report in request.leases)
        self.news = asyncio.Event()
        self.broken = False
        """A held heartbeat of the same worker broke while this one was on its way."""


class Heartbeats:
    """All heartbeats of this process."""

    def __init__(self, database: Database, settings: Settings, bus: Bus, feed: Feed, tasks: asyncio.TaskGroup) -> None:
        self._database = database
        self._feed = feed
        self._settings = settings
        self._intervals = intervals(settings)
        self._bus = bus
        self._held: dict[UUID, dict[Held, None]] = {}
        self._told: dict[UUID, frozenset[UUID]] = {}
        self._watched: dict[UUID, float] = {}
        self._workers_seen: dict[UUID, tuple[bool, float]] = {}
        self._slots_seen: dict[tuple[UUID, int], tuple[SlotSaid, float]] = {}
        self._closed = False
        self._renewals: Coalescer[Sequence[Report], Sequence[HeartbeatRow]] = Coalescer(self._renew_batch, tasks)
        self._slots: Coalescer[SlotFacts, None] = Coalescer(self._slots_batch, tasks)
        self._progress: Coalescer[Sequence[ProgressReport], None] = Coalescer(self._progress_batch, tasks)
        bus.on("watch", lambda words: self._hear_watch(UUID(words[0])))

    # ------------------------------------------------------------------------------------------ the beat

    async def beat(
        self, worker_id: UUID, request: HeartbeatRequest, loaded: Mapping[int, int | None], gone: asyncio.Event
    ) -> HeartbeatAnswer:
        """Renew, then hold. Raises `Unauthorized` when the worker has been revoked."""
        held = Held(worker_id, request)
        self._held.setdefault(worker_id, {})[held] = None
        try:
            renewed = await self._renew(worker_id, request)
            await self._note(worker_id, request, loaded)
            return await self._hold(held, renewed, gone)
        finally:
            self._forget(held)
            if gone.is_set() and request.hold:
                held.broken = self._break(worker_id)
            if held.broken:
                await statements.shorten(self._database, worker_id, self._settings.grace_seconds)

    def _break(self, worker_id: UUID) -> bool:
        """The connection of a held heartbeat broke. What this worker sent before is no sign of life any more, so a
        renewal that is still on its way must not outlive it; unless another one is being held all the same."""
        others = self._held.get(worker_id, {})
        if any(other.request.hold for other in others):
            return False
        for other in others:
            other.broken = True
        return True

    def _forget(self, held: Held) -> None:
        mine = self._held[held.worker_id]
        del mine[held]
        if not mine:
            del self._held[held.worker_id]

    async def _renew(self, worker_id: UUID, request: HeartbeatRequest) -> list[Renewal]:
        if not request.leases:
            return []
        rows = await self._renewals(
            [
                Report(
                    job_id=lease.job_id,
                    attempt=lease.attempt,
                    token=lease.token,
                    worker_id=worker_id,
                    phase=lease.phase,
                )
                for lease in request.leases
            ]
        )
        kept = [lease for lease, row in zip(request.leases, rows, strict=True) if row.renewed]
        progress = [
            ProgressReport(
                job_id=lease.job_id,
                attempt=lease.attempt,
                value=lease.progress.value,
                step=lease.progress.step,
                steps=lease.progress.steps,
                preview=lease.preview,
            )
            for lease in kept
            if lease.progress is not None
        ]
        if progress:
            await self._progress(progress)
        return [
            Renewal(job_id=lease.job_id, attempt=lease.attempt, expires_in=self._settings.lease_seconds)
            for lease in kept
        ]

    async def _renew_batch(self, calls: Sequence[Sequence[Report]]) -> Sequence[Sequence[HeartbeatRow]]:
        reports = [report for call in calls for report in call]
        renewed = await statements.heartbeat(self._database, reports, self._settings.lease_seconds)
        if any(row.starts for row in renewed):
            self._feed.touch()
        rows = iter(renewed)
        return [[next(rows) for _ in call] for call in calls]

    async def _progress_batch(self, calls: Sequence[Sequence[ProgressReport]]) -> Sequence[None]:
        latest = {report.job_id: report for call in calls for report in call}
        await statements.report_progress(self._database, list(latest.values()))
        return [None] * len(calls)

    async def _hold(self, held: Held, renewed: list[Renewal], gone: asyncio.Event) -> HeartbeatAnswer:
        clock = asyncio.get_running_loop().time
        deadline = clock() + min(held.request.hold, self._intervals.hold)
        while True:
            held.news.clear()
            answer = await self._answer(held, renewed)
            left = deadline - clock()
            if self._is_news(held, answer) or left <= 0 or gone.is_set() or self._closed:
                if not gone.is_set():
                    self._told[held.worker_id] = frozenset(answer.cancel) | frozenset(answer.watched)
                return answer
            await until_news(held.news, gone, left)

    def _is_news(self, held: Held, answer: HeartbeatAnswer) -> bool:
        told = self._told.get(held.worker_id, frozenset())
        drains = answer.drain and not held.request.draining
        return bool(answer.revoke or drains or (set(answer.cancel) | set(answer.watched)) - told)

    async def _answer(self, held: Held, renewed: list[Renewal]) -> HeartbeatAnswer:
        orders = await self._database.one(WORKER_ORDERS, {"worker_id": held.worker_id, "job_id": list(held.job_ids)})
        if orders is None or orders.revoked:
            raise Unauthorized("This worker has been revoked. Enrol again with a new token.")
        live = set(orders.tokens)
        now = time.monotonic()
        return HeartbeatAnswer(
            renewed=renewed,
            cancel=orders.cancel,
            revoke=[lease.job_id for lease in held.request.leases if lease.token not in live],
            watched=[job_id for job_id in held.job_ids if self._watched.get(job_id, 0.0) > now],
            drain=orders.drain,
            intervals=self._intervals,
            server_time=orders.now.astimezone(UTC),
        )

    # ------------------------------------------------------------------------------------------ signs of life

    async def _note(self, worker_id: UUID, request: HeartbeatRequest, loaded: Mapping[int, int | None]) -> None:
        for slot in request.slots:
            if slot.proven:
                await slots.trust(self._database, worker_id, slot.slot)
        now = time.monotonic()
        draining, at = self._workers_seen.get(worker_id, (not request.draining, now))
        if draining == request.draining and now - at < SEEN_SECONDS:
            return
        self._workers_seen[worker_id] = (request.draining, now)
        await self._database.run(SEEN_WORKER, {"worker_id": worker_id, "draining": request.draining})
        for slot in request.slots:
            health = SlotHealth(
                worker_id=worker_id,
                slot=slot.slot,
                healthy=slot.healthy,
                gpu=slot.gpu,
                loaded_lane_id=loaded.get(slot.slot),
            )
            await slots.report(self._database, health)

    def knows_slot(self, worker_id: UUID, slot: int, said: SlotSaid) -> bool:
        """Whether a slot that asks for work said the same not long ago; else `seen_slot` is to be told."""
        known, at = self._slots_seen.get((worker_id, slot), (None, 0.0))
        return known == said and time.monotonic() - at < SLOT_SEEN_SECONDS

    async def seen_slot(self, slot: SlotFacts) -> None:
        """A slot asks for work: what it can do is written when it is new, and now and then."""
        now = time.monotonic()
        await self._slots(slot)
        self._slots_seen[slot.worker_id, slot.slot] = ((slot.lane_ids, slot.loaded_lane_id, slot.vram_gib), now)

    async def _slots_batch(self, facts: Sequence[SlotFacts]) -> Sequence[None]:
        latest = {(slot.worker_id, slot.slot): slot for slot in facts}
        await slots.seen(self._database, list(latest.values()))
        return [None] * len(facts)

    # ------------------------------------------------------------------------------------------ news

    def nudge(self, worker_id: UUID) -> None:
        """There is news for this worker: look again on behalf of what it keeps open here."""
        for held in self._held.get(worker_id, ()):
            held.news.set()

    def watch(self, job_id: UUID) -> None:
        """Somebody looks at this job: for a few seconds its agent reports progress early."""
        if self._watched.get(job_id, 0.0) < time.monotonic() + WATCH_SECONDS / 2:
            self._bus.announce("watch", job_id)

    def _hear_watch(self, job_id: UUID) -> None:
        now = time.monotonic()
        if len(self._watched) >= WATCHED_MAX:
            self._watched = {known: until for known, until in self._watched.items() if until > now}
        self._watched[job_id] = now + WATCH_SECONDS
        for mine in self._held.values():
            for held in mine:
                if job_id in held.job_ids:
                    held.news.set()

    def close(self) -> None:
        """Answer everyone; no further heartbeat is held."""
        self._closed = True
        for worker_id in list(self._held):
            self.nudge(worker_id)
