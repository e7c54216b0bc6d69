"""The sandbox: runs what test keys order, so that every state is real and no agent ever hears of it.

The control planes are one worker together, whose credential nobody has. Its jobs wait in lanes of their own and go
through the statements of every other job: claim, heartbeat, upload, complete, fail, release, reap. What an order wants
to happen (`simulate`) is done to it on the way. One picture is drawn at a time in each process, by a child at the
lowest priority; while no test key orders anything, the sandbox asks the database nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
import structlog

from control_plane import inputs, metrics, queue, simulate, slots
from control_plane.artifacts import Upload, Uploads
from control_plane.database import Query
from control_plane.dispatch import SANDBOX, Dispatcher
from control_plane.drawing import CannotDraw, draw
from control_plane.errors import Gone, LeaseLost, NotFound, TesseraError
from control_plane.provenance import Notes
from control_plane.queue import Fence, Place, Report
from control_plane.slots import SlotFacts
from control_plane.store import Store
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import FailCause, HeartbeatRequest, LeaseReport, Phase

LEASES_MAX = 16
"""Of one process at once; most of them wait for their turn to be drawn."""
DRAWN_AT_ONCE = 1
BEAT_SECONDS = 1.0
SEEN_SECONDS = slots.LIVE_SECONDS / 3
CLAIM_TRIES = 4
LOST_AFTER_SECONDS = 0.5
CHUNK_BYTES = 256 * 1024


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A lane that nobody serves, and how many of its jobs have waited long enough."""

    lane_id: int
    jobs: int


WORKER = Query("sandbox.worker", UUID)
OUTCOME = Query("sandbox.outcome", str)
DUE = Query("sandbox.due", Due)

_decode_spec = msgspec.json.Decoder(JobSpec).decode

log = structlog.get_logger()


class _Over(Exception):
    """The lease is no longer ours."""


class _Canceled(Exception):
    """The customer wants the job stopped."""


class _Lost(Exception):
    """The worker is to vanish."""


class Run:
    """One job that this process has leased."""

    def __init__(self, fence: Fence, spec: JobSpec) -> None:
        self.fence = fence
        self.spec = spec
        self.started = False
        self.progress: float | None = None

    def reached(self, progress: float) -> None:
        self.progress = progress


class Sandbox:
    """One per process; `run` belongs to its task group."""

    def __init__(self, dispatcher: Dispatcher, store: Store, uploads: Uploads, provenance: Notes) -> None:
        self._dispatcher = dispatcher
        self._store = store
        self._database = dispatcher.database
        self._uploads = uploads
        self._provenance = provenance
        self._worker_id: UUID | None = None
        self._runs: set[Run] = set()
        self._turn = asyncio.Semaphore(DRAWN_AT_ONCE)
        self._woken = asyncio.Event()
        self._hinted = False
        self._seen: tuple[tuple[int, ...], float] = ((), 0.0)
        self._never = asyncio.Event()
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
            async with asyncio.timeout(BEAT_SECONDS):
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

    # ------------------------------------------------------------------------------------------ a lease

    async def _serve(self, run: Run) -> None:
        """Whatever goes wrong stays in the sandbox; a lease that nobody ends is reaped."""
        try:
            await self._perform(run)
        except Exception:
            log.exception("sandbox.failed", job_id=run.fence.job_id, attempt=run.fence.attempt)
        finally:
            self._runs.discard(run)
            self._hear()

    async def _perform(self, run: Run) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(self._keep(run))
                await self._carry_out(run)
                keeper.cancel()
        except* (_Over, LeaseLost):
            pass
        except* _Canceled:
            await self._release(run)
        except* _Lost:
            await queue.heartbeat(self._database, [_report(run)], 0.0)

    async def _keep(self, run: Run) -> None:
        """Renews the lease and tells how far it is. Raises `_Over`, `_Canceled`."""
        while True:
            await self._beat(run)
            await asyncio.sleep(BEAT_SECONDS)

    async def _beat(self, run: Run) -> None:
        fence, phase = run.fence, _phase(run)
        progress = Progress(value=run.progress) if run.progress is not None else None
        lease = LeaseReport(
            job_id=fence.job_id,
            attempt=fence.attempt,
            token=fence.token,
            phase="started" if phase == "started" else "held",
            progress=progress,
        )
        answer = await self._dispatcher.heartbeat(fence.worker_id, HeartbeatRequest(leases=[lease]), self._never)
        if fence.job_id in answer.revoke:
            raise _Over
        if fence.job_id in answer.cancel:
            raise _Canceled

    async def _carry_out(self, run: Run) -> None:
        outcome = await self._database.one(OUTCOME, {"job_id": run.fence.job_id})
        cause = simulate.CAUSES.get(outcome or "")
        if outcome == "expired":
            await asyncio.sleep(simulate.EXPIRED_SECONDS)
            await self._release(run)
            return
        async with self._turn:
            await self._start(run)
            if outcome == "lost" and run.fence.attempt == 1:
                await asyncio.sleep(LOST_AFTER_SECONDS)
                raise _Lost
            if cause is not None:
                await self._fail(run, cause, "Simulated, as the order asked for.")
                return
            await self._draw(run)

    async def _start(self, run: Run) -> None:
        run.started = True
        run.reached(0.0)
        await self._beat(run)

    async def _draw(self, run: Run) -> None:
        with tempfile.TemporaryDirectory(prefix="tessera-sandbox-") as folder:
            try:
                if run.spec.input_image is not None:
                    await inputs.lay(self._database, self._store, run.fence, run.spec.input_image, Path(folder))
                files = await draw(run.spec, Path(folder), run.reached)
            except (NotFound, Gone) as error:
                await self._fail(run, "invalid_input", error.detail)
                return
            except CannotDraw as error:
                await self._fail(run, error.cause, error.message)
                return
            for index, file in enumerate(files):
                await self._upload(run, index, file.path)
            if made := [file.made for file in files if file.made is not None]:
                seeds = [seed for each in made for seed in each.seeds]
                await self._provenance.note(run.fence, msgspec.structs.replace(made[0], seeds=seeds))
            state = await self._dispatcher.complete(run.fence, len(files))
            metrics.sandbox_jobs.labels(state).inc()

    async def _upload(self, run: Run, index: int, path: Path) -> None:
        data = await asyncio.to_thread(path.read_bytes)
        upload = Upload(
            **msgspec.structs.asdict(run.fence), index=index, bytes=len(data), sha256=hashlib.sha256(data).digest()
        )
        await self._uploads.receive(upload, _chunks(data))

    async def _fail(self, run: Run, cause: FailCause, message: str) -> None:
        """At once and for good, and nobody is to blame."""
        parameters = {
            **msgspec.structs.asdict(run.fence),
            "cause": cause,
            "message": message,
            "final": True,
            "failures_max": 1,
            "backoff_first": 0.0,
            "backoff_max": 0.0,
            "quarantine_after": 0,
        }
        await self._database.one(queue.FAIL, parameters)
        self._dispatcher.feed.touch()
        metrics.sandbox_jobs.labels("failed").inc()

    async def _release(self, run: Run) -> None:
        await queue.release(self._database, run.fence, "canceled")
        self._dispatcher.feed.touch()


def _phase(run: Run) -> Phase:
    return "started" if run.started else "held"


def _report(run: Run) -> Report:
    return Report(**msgspec.structs.asdict(run.fence), phase=_phase(run))


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
