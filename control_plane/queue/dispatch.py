"""From orders to agents: the part of the queue that lives in a process.

The statements decide (`statements.py`); this file brings callers to them. Calls that wait at the same moment share a
statement (`coalesce.py`). A claim that finds nothing waits here, holding neither a transaction nor a connection,
until a submit in this process wakes it, a hint from another process does, or the slow poll finds work: once a
second every process reads the heads of all lanes, and takes back expired leases, and sends retries and overdue jobs
on their way; there is no leader. One job wakes one agent. Heartbeats are held open the same way, so that a wish to
cancel, a drain or a lost lease is answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import psycopg
import structlog

from control_plane import metrics, tracing
from control_plane.database import Database
from control_plane.errors import Rate, Unavailable
from control_plane.events.feed import Feed
from control_plane.notify import RESYNC, Bus
from control_plane.people.twins import is_test
from control_plane.queue import admission, bound, statements
from control_plane.queue.admission import Order, SubmitRow
from control_plane.queue.claims import Claims
from control_plane.queue.coalesce import Coalescer
from control_plane.queue.heartbeats import Heartbeats
from control_plane.queue.lanes import Board
from control_plane.queue.statements import CompleteRow, Completion, Fence
from control_plane.queue.waiters import Waiters
from control_plane.states import State
from control_plane.wire.worker import (
    Claimed,
    ClaimRequest,
    FailCause,
    HeartbeatAnswer,
    HeartbeatRequest,
    ReleaseReason,
)
from control_plane.workers import roster

if TYPE_CHECKING:
    from control_plane.settings import Settings

SANDBOX = "sandbox"
"""The topic of hints that a test key has ordered something."""
TICK_SECONDS = bound.TICK_SECONDS
AGENT_TURNS = 2
"""Turns of the loop that the answers to submits leave to the agents that were woken or served: their claims are on the
way to the database, and their leases written, before the customers' answers are made."""
log = structlog.get_logger()


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    created_at: datetime | None
    tag: float | None
    """The place in line, of a new job."""
    replayed: bool
    """The Idempotency-Key had this answer already."""
    rate: Rate | None
    """Where the submits of the user stand now."""


class Dispatcher:
    """One per process. Its loops and batches run in `tasks`; `start` before use."""

    def __init__(self, database: Database, settings: Settings, tasks: asyncio.TaskGroup) -> None:
        self.database = database
        self.settings = settings
        self.waiters = Waiters()
        self.board = Board(database, self.waiters.renew)
        self.bus = Bus(database, enabled=settings.hints)
        self.feed = Feed(database, self.bus)
        self.heartbeats = Heartbeats(database, settings, self.bus, self.feed, tasks)
        self._tasks = tasks
        self._loops: list[asyncio.Task[None]] = []
        self._submits: Coalescer[Order, SubmitRow] = Coalescer(self._submit_batch, tasks)
        self.claims = Claims(
            database, settings, tasks, self.board, self.waiters, self.heartbeats, self.feed, self.nudge
        )
        self._completions: Coalescer[Completion, CompleteRow] = Coalescer(self._complete_batch, tasks)
        self.bus.on("lane", self._hear_lane)
        self.bus.on("worker", lambda words: self._hear_worker(UUID(words[0])))
        self.bus.on(RESYNC, lambda _: self._ticked.set())
        self.bus.on("process", lambda _: self.board.accompanied())
        self._ticked = asyncio.Event()
        self._ticking = asyncio.Lock()

    async def start(self) -> None:
        await self.board.refresh()
        buses = (self.bus.run_sender(), self.bus.run_listener())
        loops = (self._run_ticks(), *buses, self.feed.run(), self.feed.run_progress())
        self._loops = [self._tasks.create_task(loop) for loop in loops]
        self.bus.send("process")

    def close(self) -> None:
        """Answer everyone whose request is held open; nobody's is any more."""
        self.waiters.close()
        self.heartbeats.close()
        self.feed.close()

    async def stop(self) -> None:
        """Answer everyone who waits, write down what was learnt, end the loops."""
        self.close()
        for loop in self._loops:
            loop.cancel()
        try:
            await self.board.write_down()
        except (Unavailable, psycopg.Error) as error:
            log.warning("board.not_written", error=type(error.__cause__ or error).__name__)

    # ------------------------------------------------------------------------------------------ submit

    async def submit(self, order: Order) -> Submitted:
        """Durable when it returns. Raises what `admission.refused` says.

        A member that its batch could not decide (twins with one Idempotency-Key, orders behind one that did not fit)
        looks again; each round decides at least one of them.
        """
        row = await self._submits(order)
        while row.refusal == "again":
            row = await self._submits(order)
        rate = admission.rate(row)
        if row.refusal is None and row.job_id is not None and row.tag is not None:
            return Submitted(job_id=row.job_id, created_at=row.created_at, tag=row.tag, replayed=False, rate=rate)
        if row.refusal == "replayed" and row.job_id is not None:
            return Submitted(job_id=row.job_id, created_at=None, tag=None, replayed=True, rate=rate)
        raise admission.refused(row, order.cost)

    async def _submit_batch(self, orders: Sequence[Order]) -> Sequence[SubmitRow]:
        placed = [self.board.placed(order) for order in orders]
        spent = self.board.spent_plans
        given_out: UUID | None = None
        if len(placed) == 1 and (handed := await self.claims.hand_over(placed[0], spent)):
            rows, given_out = [handed[0]], handed[1]
        else:
            rows = await admission.submit(self.database, placed, spent_plans=spent)
        served = [self.admitted(order, row, given_out) for order, row in zip(orders, rows, strict=True)]
        if any(served):
            for _ in range(AGENT_TURNS):
                await asyncio.sleep(0)
        return rows

    def admitted(self, order: Order, row: SubmitRow, given_out: UUID | None = None) -> bool:
        """Offer what is in line now, unless it has been given out. Whether an agent here has something to do."""
        if row.refusal is not None or row.tag is None:
            return False
        if self._counts(order.lane_id):
            metrics.jobs_submitted.inc()
        self.feed.touch()
        self.board.pooled(order.lane_id, row.pool, order.cost)
        return row.job_id == given_out or self.offer_work(order.lane_id, row.tag)

    def offer_work(self, lane_id: int, tag: float) -> bool:
        """A job waits in this lane: lower the bound and wake one agent, here (true) or else in another process."""
        self.board.lower(lane_id, tag)
        if not self._counts(lane_id):
            self.bus.announce(SANDBOX, lane_id)
            return False
        woken = self.waiters.wake(lane_id, 1)
        if not self.board.is_alone:
            self.bus.send("lane", lane_id, repr(tag), 1 - woken)
        return woken > 0

    def _counts(self, lane_id: int) -> bool:
        """Whether work of this lane is real; the sandbox's is not, and no agent's either."""
        lane = self.board.lanes.get(lane_id)
        return lane is None or not lane.sandbox

    def _hear_lane(self, words: list[str]) -> None:
        lane_id, tag, jobs = int(words[0]), float(words[1]), int(words[2])
        self.board.lower(lane_id, tag)
        self.waiters.wake(lane_id, jobs)

    # ------------------------------------------------------------------------------------------ claim, keep, end

    async def claim(self, worker_id: UUID, request: ClaimRequest, gone: asyncio.Event) -> Claimed:
        """Leases for the free places of a worker; waits for work up to `request.wait` seconds or until `gone`."""
        spelt_out = self.board.spelt_out(request)
        if spelt_out is None:
            return Claimed(leases=[], skipped={"capabilities_unknown": len(request.slots)})
        return await self.claims.claim(worker_id, spelt_out, gone)

    async def greet(self, worker_id: UUID) -> None:
        """An agent starts, so what it held before it holds no more; should it yet, its next heartbeat renews it."""
        await statements.shorten(self.database, worker_id, self.settings.grace_seconds)

    async def heartbeat(self, worker_id: UUID, request: HeartbeatRequest, gone: asyncio.Event) -> HeartbeatAnswer:
        """Renews leases on arrival, then is held open until there is something to say."""
        loaded = {
            slot.slot: self.board.loaded(slot.loaded, tuple(self.board.lanes)) for slot in request.slots if slot.loaded
        }
        return await self.heartbeats.beat(worker_id, request, loaded, gone)

    async def complete(self, fence: Fence, artifacts: int) -> State:
        """Durable when it returns. Raises `LeaseLost`, `ArtifactsMissing`."""
        row = await self._completions(Completion(**msgspec.structs.asdict(fence), artifacts=artifacts))
        state = await statements.completed(self.database, fence, row)
        if row.lane_id is None or self._counts(row.lane_id):
            metrics.jobs_completed.labels(state).inc()
        self.feed.touch()
        self.claims.ended(fence)
        if row.result == "succeeded" and row.lane_id is not None and row.run_seconds is not None and row.cost:
            self.board.ran(row.lane_id, row.run_seconds, row.cost)
            lane = self.board.lanes.get(row.lane_id)  # one that another process made a moment ago is not known here yet
            if lane is not None and not lane.sandbox:
                metrics.job_ran(*lane.capability, row.run_seconds)
        return state

    async def _complete_batch(self, completions: Sequence[Completion]) -> Sequence[CompleteRow]:
        return await statements.complete(self.database, completions)

    async def fail(self, fence: Fence, cause: FailCause, message: str) -> State:
        state = await statements.fail(self.database, fence, cause, message)
        metrics.jobs_failed.labels(cause).inc()
        if state == "queued":
            metrics.jobs_retried.labels(cause).inc()
        self.feed.touch()
        self.claims.ended(fence)
        return state

    async def release(self, fence: Fence, reason: ReleaseReason) -> State:
        released = await statements.release(self.database, fence, reason)
        self.feed.touch()
        self.claims.ended(fence)
        if isinstance(released, str):
            return released
        metrics.jobs_released.inc()
        self._requeued(released.state, released.lane_id, released.tag)
        return released.state

    async def cancel(self, user_id: UUID, job_id: UUID) -> None:
        """Idempotent; what is not there or already over is left to the caller to look at."""
        canceled = await statements.cancel(self.database, user_id, job_id)
        if canceled is None:
            return
        if not is_test(user_id):
            metrics.jobs_canceled.inc()
        self.feed.touch()
        if canceled.worker_id is not None:
            self.nudge(canceled.worker_id)

    def nudge(self, worker_id: UUID) -> None:
        """There is news for this worker: answer what it keeps open, in whichever process."""
        self.bus.announce("worker", worker_id)

    def _hear_worker(self, worker_id: UUID) -> None:
        self.heartbeats.nudge(worker_id)
        self.waiters.nudge(worker_id)

    def watch(self, job_id: UUID) -> None:
        """Somebody looks at this job: for a few seconds its agent reports progress early."""
        self.heartbeats.watch(job_id)

    def _requeued(self, state: State, lane_id: int, tag: float | None) -> None:
        if state == "queued" and tag is not None:
            self.offer_work(lane_id, tag)

    # ------------------------------------------------------------------------------------------ operator

    async def drain(self, worker_id: UUID) -> None:
        await roster.drain(self.database, worker_id)
        self.nudge(worker_id)

    async def resume(self, worker_id: UUID) -> None:
        await roster.resume(self.database, worker_id)
        self.nudge(worker_id)

    async def revoke(self, worker_id: UUID) -> None:
        for job in await roster.revoke(self.database, worker_id):
            self._requeued(job.state, job.lane_id, job.tag)
        self.feed.touch()
        self.bus.announce("credential", worker_id)
        self.nudge(worker_id)

    # ------------------------------------------------------------------------------------------ once a second

    async def _run_ticks(self) -> None:
        while True:
            try:
                await self.tick()
            except Unavailable as error:
                log.warning("tick.failed", error=type(error.__cause__ or error).__name__)
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._ticked.wait()
            except TimeoutError:
                pass
            self._ticked.clear()

    async def tick(self) -> None:
        """What every process does once a second, so that nothing depends on a hint or on another process.

        A step that fails does not keep the others from their work. Ticks of one process never overlap: the steps skip
        rows that somebody holds, so after a tick nothing is left that was due before it, unless another process is
        just at it. Raises `Unavailable` when the database is away.
        """
        steps = (
            self.reap,
            self.wake_backoff,
            self.expire,
            self.board.write_down,
            self.board.refresh,
            self._wake_for_heads,
        )
        step: Callable[[], Awaitable[object]]
        async with self._ticking:
            for step in steps:
                try:
                    await step()
                except psycopg.Error as error:
                    log.warning("tick.failed", step=step.__name__, error=type(error).__name__)

    async def reap(self) -> int:
        """Takes back expired leases, a hundred at a time. Returns how many."""
        reaped = await statements.reap(self.database)
        for job in reaped:
            log.info("lease.reaped", job_id=job.job_id, attempt=job.attempt, worker_id=job.worker_id, state=job.state)
            tracing.attempt_ended(job.job_id, job.attempt)
            if self._counts(job.lane_id):
                metrics.jobs_reaped.labels(job.phase).inc()
                if job.phase == "started" and job.state == "queued":
                    metrics.jobs_retried.labels("loss").inc()
            self._requeued(job.state, job.lane_id, job.tag)
        if reaped:
            self.feed.touch()
        return len(reaped)

    async def wake_backoff(self) -> int:
        woken = await statements.wake_backoff(self.database)
        for job in woken:
            self.offer_work(job.lane_id, job.tag)
        return len(woken)

    async def expire(self) -> int:
        expired = await statements.expire(self.database)
        metrics.jobs_expired.inc(sum(self._counts(one.lane_id) for one in expired))
        if expired:
            self.feed.touch()
        return len(expired)

    async def _wake_for_heads(self) -> None:
        """The slow poll: wake as many waiting agents as there are jobs in their lanes."""
        lanes = [lane for lane in self.board.lanes.values() if lane.head_tag is not None and not lane.paused]
        wanted = [lane for lane in lanes if self.waiters.serving(lane.id)]
        if not wanted:
            return
        rows = await self.board.waiting([lane.id for lane in wanted], cap=len(self.waiters))
        for row in rows:
            self.waiters.wake(row.lane_id, row.jobs)
