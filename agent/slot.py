"""A place for one engine: what runs on it, what is held for it next, and when to ask for more.

A slot holds at most two leases. The engine's `turn` is a fair lock: the held job starts the moment the running one
lets go, without a look at the network, and uploads come after that. `ask_in` is the whole prefetch policy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import UUID

import structlog

from agent import clock
from agent.distrust import Distrust
from agent.engine import Engine, EngineError, Offer
from agent.gpu.energy import Meter
from agent.interrupt import Scope
from agent.metrics import Histogram
from agent.work import Work
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import (
    LEASES_PER_SLOT_MAX,
    Capability,
    ClaimRequest,
    SlotClaim,
    SlotReport,
    capabilities_sha256,
)

ENGINE_START_SECONDS = 900.0
"""A large model is loaded for the first picture."""
ENGINE_STOP_SECONDS = 12.0
FILES_SECONDS = 60.0
"""For the files of the last run to be brought in, before an engine that is worn is ended."""
TELLING_PROGRESS = 0.05
"""From here on progress says how long the rest will take."""
GUESS_SECONDS = 0.25
"""With nothing to estimate by, the next lease is asked for this long after the last one was taken."""
RECHECK_SECONDS = 2.0
NAMED_FROM = 4
"""So many capabilities are told once and then called by their hash; fewer are shorter than it."""
QUEUED_SECONDS = 0.5
"""A lease that arrives this soon after a run has ended must have been in the queue: the gap counts."""

log = structlog.get_logger()
Lane = tuple[str, str, int]


class Slot:
    def __init__(self, number: int, engine: Engine, idle_gap: Histogram) -> None:
        self.number = number
        self.engine = engine
        self.offer = Offer(capabilities=[], vram_gib=0, device="")
        self.works: list[Work] = []
        """Every lease of this slot whose report is not acknowledged yet, in the order of their arrival."""
        self.turn = asyncio.Lock()
        self.ready = False
        """The engine has been started and has not crashed since."""
        self.trouble: str | None = None
        """Why the engine is not ready, for people."""
        self.distrust = Distrust()
        self.yielded = False
        """It takes no work, because somebody else uses its GPU."""
        self.contended = asyncio.Event()
        self.uncontended = asyncio.Event()
        """Whether somebody else uses its GPU, and the contrary, to wait for."""
        self.gauges: dict[str, float] = {}
        """What its GPU says of itself."""
        self.asking: Scope | None = None
        """A claim for this slot is in flight."""
        self.asking_ahead = False
        self.changed = asyncio.Event()
        self._idle_gap = idle_gap
        self.claimed_capabilities: str | None = None
        """What the capabilities of the last claim are called by."""
        self.known_capabilities: str | None = None
        """What the control plane knows of them."""
        self._started = False
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._run_ended: float | None = None
        self._run_ended_at = 0.0
        self._usual_seconds: dict[Lane, float] = {}

    async def ready_engine(self) -> None:
        """Start the engine, or start it again after a crash or when it is worn; raises `EngineError`."""
        if self.ready:
            if (why := self.engine.worn()) is None:
                return
            log.info("engine.worn", slot=self.number, reason=why)
            await self._files_brought_in()
        if self._started:
            await self.stop_engine()
        self._started = True
        try:
            async with asyncio.timeout(ENGINE_START_SECONDS):
                await self.engine.start()
                self.offer = await self.engine.offer()
        except TimeoutError:
            self.trouble = f"The engine did not start in {ENGINE_START_SECONDS:g} s."
            raise EngineError("engine_crash", self.trouble) from None
        except EngineError as error:
            self.trouble = error.message
            raise
        self.ready, self.trouble = True, None

    async def prove_engine(self) -> None:
        """Start the engine anew, which it does with a picture; raises `EngineError`."""
        self.ready = False
        await self.ready_engine()
        self.distrust.proven()
        log.info("slot.proven", slot=self.number)

    @contextmanager
    def using_engine(self) -> Iterator[None]:
        """For as long as a run may still want something of the engine, be it only its files."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def _files_brought_in(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FILES_SECONDS):
                await self._unused.wait()

    async def stop_engine(self) -> None:
        """Ends what the engine has started; a failure is only logged, since nothing better can be done about it."""
        self.ready = False
        try:
            async with asyncio.timeout(ENGINE_STOP_SECONDS):
                await self.engine.stop()
        except (EngineError, TimeoutError, OSError) as error:
            log.warning("engine.stop_failed", slot=self.number, problem=str(error))

    def add(self, work: Work) -> None:
        self.works.append(work)
        self.changed.set()

    def drop(self, work: Work) -> None:
        self.works.remove(work)
        self.changed.set()

    def begin(self, work: Work) -> None:
        """The engine is about to run `work`."""
        gap_began, self._run_ended = self._run_ended, None
        if gap_began is not None and work.taken_at - self._run_ended_at <= QUEUED_SECONDS:
            self._idle_gap.add(time.perf_counter() - gap_began)
        work.stage = "running"
        work.started_at = clock.now()
        work.meter = Meter(work.started_at)
        self.changed.set()

    def end(self, work: Work, *, finished: bool) -> None:
        """The engine has let go of `work`."""
        self._run_ended, self._run_ended_at = time.perf_counter(), clock.now()
        work.ended_at = self._run_ended_at
        if finished:
            self.distrust.forget()
        if finished and work.started_at is not None:
            self._usual_seconds[_lane(work.lease.spec)] = self._run_ended_at - work.started_at
        self.changed.set()

    def fall_idle(self) -> None:
        """A prefetch that found nothing is asked again as a claim for an idle engine, which are served first."""
        if self.asking is not None and self.asking_ahead and not self.busy():
            self.asking.interrupt()

    def contend(self, busy: bool) -> None:
        """Somebody else uses its GPU, or does not any more."""
        if busy:
            self.uncontended.clear()
            self.contended.set()
        else:
            self.contended.clear()
            self.uncontended.set()

    def worked_since(self, at: float) -> bool:
        """The engine is at work, or was at any time since then; one that starts or has crashed may be."""
        return self.turn.locked() or not self.ready or self._run_ended_at > at

    def busy(self) -> bool:
        """The engine has something to run, so that a claim is a prefetch."""
        return any(work.stage in ("waiting", "running") for work in self.works)

    def ask_in(self, prefetch_seconds: float, apart_from: Work | None = None) -> float | None:
        """Seconds until it makes sense to ask for the next lease; None: not before something changes."""
        held = [work for work in self.works if work is not apart_from]
        if self.asking is not None or len(held) >= LEASES_PER_SLOT_MAX:
            return None
        busy = [work for work in held if work.stage in ("waiting", "running")]
        if not busy:
            return 0.0
        work, now = busy[0], clock.now()
        elapsed = 0.0 if work.started_at is None else now - work.started_at
        left = seconds_left(work.progress, elapsed, self._usual_seconds.get(_lane(work.lease.spec)))
        if left is None:
            return max(0.0, work.taken_at + GUESS_SECONDS - now)
        return min(RECHECK_SECONDS, max(0.0, left - prefetch_seconds))

    @contextmanager
    def ask(self) -> Iterator[Scope]:
        """While a claim of this slot is in flight there is no other."""
        self.asking, self.asking_ahead = Scope(), self.busy()
        try:
            yield self.asking
        finally:
            self.asking = None
            self.changed.set()

    def claim(self, claim_id: UUID, protocol: int, wait: float) -> ClaimRequest:
        able = self.offer.capabilities
        called = capabilities_sha256(able) if len(able) >= NAMED_FROM else None
        known = called is not None and called == self.known_capabilities
        self.claimed_capabilities = called
        place = SlotClaim(
            slot=self.number,
            capabilities=[] if known else able,
            capabilities_sha256=called,
            vram_gib=self.offer.vram_gib,
            loaded=self.loaded(),
            ahead=self.busy(),
        )
        return ClaimRequest(claim_id=claim_id, protocol=protocol, slots=[place], wait=wait)

    def answered(self, skipped: Mapping[str, int]) -> bool:
        """A claim was answered. False: by somebody who does not know what we can do, so it must be told again."""
        unknown = "capabilities_unknown" in skipped or "lane_unknown" in skipped
        was_named = self.known_capabilities is not None
        self.known_capabilities = None if unknown else self.claimed_capabilities
        return not (unknown and was_named)

    def report(self) -> SlotReport:
        gauges = self.gauges | self._idle_gap.gauges() | ({"yielded": 1.0} if self.yielded else {})
        return SlotReport(
            slot=self.number, healthy=self.ready, loaded=self.loaded(), gpu=gauges, proven=self.distrust.is_proven
        )

    def loaded(self) -> Capability | None:
        return self.engine.loaded() if self.ready else None


def seconds_left(progress: Progress | None, elapsed: float, usual_seconds: float | None) -> float | None:
    """How long a run will go on: by its own progress, else by the last run like it, else unknown (None)."""
    if progress is not None and progress.value >= TELLING_PROGRESS:
        return elapsed * (1.0 - min(1.0, progress.value)) / progress.value
    return None if usual_seconds is None else max(0.0, usual_seconds - elapsed)


def _lane(spec: JobSpec) -> Lane:
    """Runs of one lane take about as long as each other when they draw about as many pixels."""
    pixels = spec.width * spec.height * spec.count * (spec.frames or 1)
    return spec.kind, spec.model, pixels.bit_length()
