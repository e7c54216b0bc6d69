"""The sandbox: runs what test keys order, so that every state is real and no agent ever hears of it.

The control planes are one worker together, whose credential nobody has. Its jobs wait in lanes of their own; what is
leased here becomes a rehearsal. Lanes that no slot serves hold what is to wait: a job that has waited long enough is
leased all the same. While no test key orders anything, the sandbox asks the database nothing.
"""

from __future__ import annotations

import asyncio
import time
from uuid import UUID, uuid4

import msgspec
import psycopg
import structlog

from control_plane.database import Query
from control_plane.errors import TesseraError
from control_plane.files.artifacts import Uploads
from control_plane.files.provenance import Notes
from control_plane.queue.dispatch import SANDBOX, Dispatcher
from control_plane.queue.statements import Fence, Place
from control_plane.sandbox import simulate
from control_plane.sandbox.rehearsal import Rehearsals, Run
from control_plane.store import Store
from control_plane.wire.job import JobSpec
from control_plane.workers import slots
from control_plane.workers.slots import SlotFacts

LEASES_MAX = 16
"""Of one process at once; most of them wait for their turn to be drawn."""
LOOK_SECONDS = 1.0
SEEN_SECONDS = slots.LIVE_SECONDS / 3
CLAIM_TRIES = 4


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that nobody serves, and how many of its jobs have waited long enough."""

    lane_id: int
    jobs: int


WORKER = Query("sandbox.worker", UUID)
DUE = Query("sandbox.due", Due)

_decode_spec = msgspec.json.Decoder(JobSpec).decode

log = structlog.get_logger()


class Sandbox:
    """One per process; `run` belongs to its task group."""

    def __init__(self, dispatcher: Dispatcher, store: Store, uploads: Uploads, provenance: Notes) -> None:
        self._dispatcher = dispatcher
        self._database = dispatcher.database
        self._rehearsals = Rehearsals(dispatcher, store, uploads, provenance)
        self._worker_id: UUID | None = None
        self._runs: set[Run] = set()
        self._woken = asyncio.Event()
        self._hinted = False
        self._seen: tuple[tuple[int, ...], float] = ((), 0.0)
        dispatcher.bus.on(SANDBOX, lambda _: self._hear())

    def _hear(self) -> None:
        self._hinted = True
        self._woken.set()

    async def run(self) -> None:
        """For ever. Looks when something was ordered, and once a second at what the board knows anyway."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._hand_out(tasks)
                except (TesseraError, psycopg.Error) as error:
                    log.warning("sandbox.idle", error=type(error).__name__)
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    # ------------------------------------------------------------------------------------------ claiming

    async def _hand_out(self, tasks: asyncio.TaskGroup) -> None:
        """Leases all that there is to do, as far as there is room."""
        lanes = [lane for lane in self._dispatcher.board.sandbox_lanes() if not lane.paused]
        if not lanes:
            return
        hinted, self._hinted = self._hinted, False
        served = [lane for lane in lanes if lane.vram_gib < simulate.NOBODYS_GIB]
        await self._show(tuple(lane.id for lane in served))
        if hinted or any(lane.head_tag is not None for lane in served):
            while await self._claim(tasks, tuple(lane.id for lane in served)):
                pass
        waiting = [lane.id for lane in lanes if lane.vram_gib == simulate.NOBODYS_GIB and lane.head_tag is not None]
        if waiting:
            await self._claim_overdue(tasks, waiting)

    async def _claim_overdue(self, tasks: asyncio.TaskGroup, lane_ids: list[int]) -> None:
        """What was to wait for long has."""
        parameters = {"lane_id": lane_ids, "waited_seconds": simulate.SLOW_SECONDS}
        for due in await self._database.many(DUE, parameters):
            for _ in range(due.jobs):
                if not await self._claim(tasks, (due.lane_id,)):
                    return

    async def _show(self, lane_ids: tuple[int, ...]) -> None:
        """Lets everybody see that these lanes are served."""
        known, at = self._seen
        if not lane_ids or (known == lane_ids and time.monotonic() - at < SEEN_SECONDS):
            return
        facts = SlotFacts(worker_id=await self._worker(), slot=0, lane_ids=lane_ids, loaded_lane_id=None, vram_gib=0)
        await slots.seen(self._database, [facts])
        self._seen = (lane_ids, time.monotonic())

    async def _claim(self, tasks: asyncio.TaskGroup, lane_ids: tuple[int, ...]) -> bool:
        """Leases one job and sets about it; whether there was one, and room."""
        if len(self._runs) >= LEASES_MAX:
            return False
        worker_id = await self._worker()
        place = Place(worker_id=worker_id, slot=0, claim_id=uuid4(), lane_ids=lane_ids, loaded_lane_id=None)
        for _ in range(CLAIM_TRIES):
            row = await self._dispatcher.claims.places(place)
            if row.job_id is not None and row.attempt is not None and row.lease_token is not None and row.spec:
                self._dispatcher.feed.touch()
                fence = Fence(job_id=row.job_id, attempt=row.attempt, token=row.lease_token, worker_id=worker_id)
                run = Run(fence, _decode_spec(row.spec))
                self._runs.add(run)
                tasks.create_task(self._serve(run))
                return True
            if not row.contended:
                break
        return False

    async def _worker(self) -> UUID:
        if self._worker_id is None:
            self._worker_id = await self._database.one(WORKER)
            assert self._worker_id is not None, "the migration makes it"
        return self._worker_id

    async def _serve(self, run: Run) -> None:
        """Whatever goes wrong stays in the sandbox; a lease that nobody ends is reaped."""
        try:
            await self._rehearsals.perform(run)
        except Exception:
            log.exception("sandbox.failed", job_id=run.fence.job_id, attempt=run.fence.attempt)
        finally:
            self._runs.discard(run)
            self._hear()
