"""Claims: how a free place of a slot comes to a lease.

A claim looks in one statement, shared with other claims of the same lanes (`coalesce.py`). One that may wait enters the
line of waiters before it looks, so no job slips by, and looks again whenever it is woken. An idle place that finds
nothing may take over a lease that waits behind another slot's run.

An order that comes alone, as on an idle system, brings the look of the claim that would be woken along in its own
statement (`hand_over`): one commit, one way to the database, and nobody has to wake up in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import psycopg
from psycopg.errors import UniqueViolation

from control_plane import metrics
from control_plane.database import Database, Query
from control_plane.errors import Internal, Unauthorized
from control_plane.events.feed import Feed
from control_plane.queue import admission, statements
from control_plane.queue.admission import Order, SubmitRow
from control_plane.queue.coalesce import Coalescer
from control_plane.queue.heartbeats import Heartbeats
from control_plane.queue.lanes import Board
from control_plane.queue.statements import ClaimRow, Fence, LaneHint, Place, TakenOver
from control_plane.queue.waiters import Waiter, Waiters
from control_plane.wire.job import JobSpec
from control_plane.wire.worker import LEASES_PER_SLOT_MAX, Claimed, ClaimRequest, Lease, SlotClaim
from control_plane.workers.slots import SlotFacts

if TYPE_CHECKING:
    from control_plane.settings import Settings

CONTENDED_TRIES = 4
"""How often a claim that others outran looks again before it waits like any other."""

OWNER_MESSAGES = {
    "quarantined": "A slot of yours failed several different jobs in a row and gets no more work until its engine,"
    " started anew, has drawn a test picture. The agent sees to that. If it comes again: tessera-agent doctor.",
    "draining": "The operator drains this worker: it finishes what it holds and gets no more work.",
    "lane_unknown": "A slot of yours offers no model that this service sells, so it gets no work.",
}
"""What the GPU owner is told about slots that get nothing, where that is not simply for want of jobs."""


class HandedOver(SubmitRow, frozen=True, kw_only=True):
    """What became of the order, and beside it what a `ClaimRow` says."""

    claim_refusal: str | None
    claimed_job_id: UUID | None
    attempt: int | None
    lease_token: UUID | None
    expires_in: float | None
    spec: str | None
    lane_id: int | None
    claimed_tag: float | None
    clock: float | None
    head_tag: float | None
    key: float | None
    cost: int | None
    claimed_at: datetime
    contended: bool

    def claimed(self) -> ClaimRow:
        return ClaimRow(
            n=1,
            refusal=self.claim_refusal,
            job_id=self.claimed_job_id,
            attempt=self.attempt,
            lease_token=self.lease_token,
            expires_in=self.expires_in or 0.0,
            spec=self.spec,
            lane_id=self.lane_id,
            tag=self.claimed_tag,
            clock=self.clock,
            head_tag=self.head_tag,
            key=self.key,
            cost=self.cost,
            claimed_at=self.claimed_at,
            contended=self.contended,
        )


HAND_OVER = Query("claims.hand_over", HandedOver)

_decode_spec = msgspec.json.Decoder(JobSpec).decode


class _Traced(msgspec.Struct):
    """What a spec says besides, if its order came with a trace."""

    traceparent: str | None = None


_decode_traced = msgspec.json.Decoder(_Traced).decode


class Claims:
    """All claims of this process. `nudge` tells a worker that one of its leases is gone."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        tasks: asyncio.TaskGroup,
        board: Board,
        waiters: Waiters,
        heartbeats: Heartbeats,
        feed: Feed,
        nudge: Callable[[UUID], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._board = board
        self._waiters = waiters
        self._heartbeats = heartbeats
        self._feed = feed
        self._nudge = nudge
        self.places: Coalescer[Place, ClaimRow] = Coalescer(
            self._claim_batch, tasks, key=lambda place: (place.lane_ids, place.loaded_lane_id)
        )
        self._lent: dict[UUID, dict[UUID, int]] = {}
        """Worker → job → slot, of the leases that were given here and have not ended here."""

    async def claim(self, worker_id: UUID, request: ClaimRequest, gone: asyncio.Event) -> Claimed:
        """Leases for the free places of a worker; waits for work up to `request.wait` seconds or until `gone`."""
        places = [await self._place(worker_id, request.claim_id, slot) for slot in request.slots]
        if not request.wait:  # nobody to wake, and under load most claims are such
            self._waiters.supersede(worker_id, {slot.slot for slot in request.slots})
            return (await self._claim_now(places, request.slots))[0]
        idle = any(not slot.ahead for slot in request.slots)
        waiter = Waiter(worker_id, places, idle=idle)
        deadline = asyncio.get_running_loop().time() + min(request.wait, self._settings.poll_seconds)
        self._waiters.enter(waiter)
        woken: list[int] = []
        try:
            while True:
                woken, woken_at = waiter.take(), waiter.woken_at
                claimed, taken = await self._claim_now(places, request.slots)
                if woken:
                    metrics.wake_seconds.observe(time.monotonic() - woken_at)
                woken = [lane_id for lane_id in woken if lane_id not in taken]
                waiter.able = "no_job" in claimed.skipped
                left = deadline - asyncio.get_running_loop().time()
                if claimed.leases or "draining" in claimed.skipped or left <= 0 or gone.is_set() or waiter.closed:
                    return claimed
                if not waiter.able:
                    self._pass_on(woken)
                woken = []
                handed = await waiter.wait(left, gone)
                if handed is not None:
                    return Claimed(leases=[self._lend(places[0], handed)])
                if gone.is_set() or waiter.closed:
                    return claimed
        finally:
            self._pass_on([*woken, *self._waiters.leave(waiter)])

    def _pass_on(self, woken: list[int]) -> None:
        """Somebody else may want the jobs that these wake-ups were for."""
        for lane_id in woken:
            self._waiters.wake(lane_id, 1)

    async def _place(self, worker_id: UUID, claim_id: UUID, slot: SlotClaim) -> Place:
        lane_ids, loaded = self._board.offered(slot)
        said = (lane_ids, loaded, slot.vram_gib)
        if not self._heartbeats.knows_slot(worker_id, slot.slot, said):
            await self._heartbeats.seen_slot(
                SlotFacts(
                    worker_id=worker_id,
                    slot=slot.slot,
                    lane_ids=lane_ids,
                    loaded_lane_id=loaded,
                    vram_gib=slot.vram_gib,
                )
            )
        return Place(worker_id=worker_id, slot=slot.slot, claim_id=claim_id, lane_ids=lane_ids, loaded_lane_id=loaded)

    async def _claim_now(self, places: Sequence[Place], slots: Sequence[SlotClaim]) -> tuple[Claimed, set[int]]:
        """What there is for these places now, and the lanes it came from."""
        leases: list[Lease] = []
        skipped: dict[str, int] = {}
        taken: set[int] = set()
        began = time.monotonic()
        for place, slot in zip(places, slots, strict=True):
            outcome = await self._claim_place(place, idle=not slot.ahead)
            if isinstance(outcome, str):
                skipped[outcome] = skipped.get(outcome, 0) + 1
            else:
                leases.append(outcome[0])
                taken.add(outcome[1])
        metrics.claim_seconds.observe(time.monotonic() - began)
        if not skipped:
            return Claimed(leases=leases), taken
        messages = [OWNER_MESSAGES[reason] for reason in skipped if reason in OWNER_MESSAGES]
        return Claimed(leases=leases, skipped=skipped, messages=messages), taken

    async def _claim_place(self, place: Place, *, idle: bool) -> tuple[Lease, int] | str:
        """A lease and its lane, or the reason why there is none."""
        if not place.lane_ids:
            return "lane_unknown"
        if await self._is_full(place):
            place = msgspec.structs.replace(place, is_full=True)
        for _ in range(CONTENDED_TRIES):
            try:
                row = await self.places(place)
            except UniqueViolation:  # the same claim id at the same moment elsewhere: look again for its lease
                continue
            if row.refusal == "revoked":
                raise Unauthorized("This worker has been revoked. Enrol again with a new token.")
            if row.refusal is not None:
                return row.refusal
            if row.job_id is not None:
                return self._lend(place, row), row.lane_id or 0
            if not row.contended:
                break
        if idle and (taken := await self._take_over(place)):
            self._lent.setdefault(place.worker_id, {})[taken.job_id] = place.slot
            metrics.jobs_claimed.inc()
            metrics.jobs_taken_over.inc()
            self._feed.touch()
            self._nudge(taken.old_worker_id)
            return _lease_taken_over(place, taken, self._settings.offer_seconds), 0
        return "no_job"

    def _lend(self, place: Place, row: ClaimRow) -> Lease:
        lease = _lease(place, row)
        self._lent.setdefault(place.worker_id, {})[lease.job_id] = place.slot
        if row.lane_id is not None:  # else the same lease again
            metrics.jobs_claimed.inc()
            if lease.attempt == 1:
                metrics.job_leased(
                    *self._board.lanes[row.lane_id].capability, row.claimed_at.timestamp() - _ordered_at(lease.job_id)
                )
        return lease

    async def hand_over(self, order: Order, spent_plans: Collection[str]) -> tuple[SubmitRow, UUID | None] | None:
        """Admits an order and looks on behalf of a claim that rests, both or neither, in one commit.

        What became of the order, and the job that was given out if any; nobody else has to be woken when it is the
        same. None when there is no such claim or nothing was done: the order is to be admitted by itself. Raises
        `Unavailable`, and then nobody knows.
        """
        waiter = self._waiters.resting(order.lane_id)
        if waiter is None or waiter.place is None:
            return None
        found: ClaimRow | None = None
        waiter.begin_handing()
        try:
            submitted, found = await self._submit_and_claim(order, spent_plans, waiter.place)
        except psycopg.Error:
            return None
        finally:
            leased = found is not None and found.job_id is not None
            waiter.hand(found if leased else None)
            if found is None or found.refusal is not None or found.contended:
                waiter.nudge()
        return submitted, found.job_id

    async def _submit_and_claim(
        self, order: Order, spent_plans: Collection[str], place: Place
    ) -> tuple[SubmitRow, ClaimRow]:
        """The job is not in line yet, so the scan of its lane starts where it will be at the latest."""
        lowered = self._board.lowered(place.lane_ids)
        hints = [
            msgspec.structs.replace(hint, bound=min(hint.bound, order.clock - order.head_start))
            if hint.lane_id == order.lane_id
            else hint
            for hint in self._board.hints(place.lane_ids)
        ]
        claim = statements.lone_claim(
            place,
            hints,
            self._board.pool_clock(place.lane_ids),
            self._settings.offer_seconds,
            self._board.pace,
            of_user_id=order.user_id,
        )
        mine = admission.lone_submit(order, spent_plans)
        mine |= {"into_lane_id": mine["lane_id"], "process_clock": mine["clock"]}
        row = await self._database.one(HAND_OVER, mine | claim)
        assert row is not None
        claimed = row.claimed()
        self._board.learn([claimed], lowered)
        return row, claimed

    async def _take_over(self, place: Place) -> TakenOver | None:
        try:
            return await statements.take_over(self._database, place, self._settings.offer_seconds)
        except UniqueViolation:  # the same claim id took one over elsewhere, at the same moment
            return None

    async def _is_full(self, place: Place) -> bool:
        """Whether a slot has all the leases it may have; what ended elsewhere is found out when it matters."""
        lent = self._lent.get(place.worker_id)
        if lent is None or list(lent.values()).count(place.slot) < LEASES_PER_SLOT_MAX:
            return False
        jobs = [job_id for job_id, slot in lent.items() if slot == place.slot]
        live = await self._database.many(statements.LIVE_LEASES, {"worker_id": place.worker_id, "job_id": jobs})
        for job_id in set(jobs) - set(live):
            lent.pop(job_id, None)
        return len(live) >= LEASES_PER_SLOT_MAX

    def ended(self, fence: Fence) -> None:
        """This lease is over, as far as this process was told."""
        self._lent.get(fence.worker_id, {}).pop(fence.job_id, None)

    async def _claim_batch(self, places: Sequence[Place]) -> Sequence[ClaimRow]:
        lane_ids = places[0].lane_ids
        lowered = self._board.lowered(lane_ids)
        hints: list[LaneHint] = self._board.hints(lane_ids)
        rows = await statements.claim(
            self._database,
            places,
            hints,
            self._board.pool_clock(lane_ids),
            self._settings.offer_seconds,
            self._board.pace,
        )
        self._feed.touch()
        self._board.learn(rows, lowered)
        return rows


def _ordered_at(job_id: UUID) -> float:
    """In seconds since 1970, by the database's clock: it stands in the id."""
    return (job_id.int >> 80) / 1_000


def _traceparent(spec: str) -> str | None:
    """A quotation mark inside of a prompt has a backslash before it, so only the field itself is found."""
    return _decode_traced(spec).traceparent if '"traceparent"' in spec else None


def _lease(place: Place, row: ClaimRow) -> Lease:
    if row.job_id is None or row.attempt is None or row.lease_token is None or row.spec is None:
        raise Internal("A lease came back incomplete.")
    return Lease(
        job_id=row.job_id,
        attempt=row.attempt,
        token=row.lease_token,
        slot=place.slot,
        expires_in=row.expires_in,
        spec=_decode_spec(row.spec),
        traceparent=_traceparent(row.spec),
    )


def _lease_taken_over(place: Place, taken: TakenOver, offer_seconds: float) -> Lease:
    return Lease(
        job_id=taken.job_id,
        attempt=taken.attempt,
        token=taken.lease_token,
        slot=place.slot,
        expires_in=offer_seconds,
        spec=_decode_spec(taken.spec),
        traceparent=_traceparent(taken.spec),
    )
