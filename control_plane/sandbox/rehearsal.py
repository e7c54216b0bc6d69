"""A rehearsal: what becomes of one order of a test key once it is leased, by the statements of every other job.

It is kept, drawn, uploaded and completed as an agent would do it, unless the order wants something else to happen
(`simulate`): then it fails, or its worker is lost, or nobody starts it in time.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from control_plane import metrics
from control_plane.database import Query
from control_plane.errors import Gone, LeaseLost, NotFound
from control_plane.files import inputs
from control_plane.files.artifacts import Upload, Uploads
from control_plane.files.provenance import Notes
from control_plane.queue import statements
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.statements import Fence, Report
from control_plane.sandbox import simulate
from control_plane.sandbox.drawing import CannotDraw, draw
from control_plane.store import Store
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import FailCause, HeartbeatRequest, LeaseReport, Phase

DRAWN_AT_ONCE = 1
"""By one process."""
BEAT_SECONDS = 1.0
LOST_AFTER_SECONDS = 0.5
CHUNK_BYTES = 256 * 1024

OUTCOME = Query("sandbox.outcome", str)


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


class Rehearsals:
    """Those of one process."""

    def __init__(self, dispatcher: Dispatcher, store: Store, uploads: Uploads, provenance: Notes) -> None:
        self._dispatcher = dispatcher
        self._database = dispatcher.database
        self._store = store
        self._uploads = uploads
        self._provenance = provenance
        self._turn = asyncio.Semaphore(DRAWN_AT_ONCE)
        self._never = asyncio.Event()

    async def perform(self, run: Run) -> None:
        """To its end, or until the lease is somebody else's."""
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
            await statements.heartbeat(self._database, [_report(run)], 0.0)

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
            "live_seconds": 0,
        }
        await self._database.one(statements.FAIL, parameters)
        self._dispatcher.feed.touch()
        metrics.sandbox_jobs.labels("failed").inc()

    async def _release(self, run: Run) -> None:
        await statements.release(self._database, run.fence, "canceled")
        self._dispatcher.feed.touch()


def _phase(run: Run) -> Phase:
    return "started" if run.started else "held"


def _report(run: Run) -> Report:
    return Report(**msgspec.structs.asdict(run.fence), phase=_phase(run))


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
