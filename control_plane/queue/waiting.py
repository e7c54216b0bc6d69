"""Why a job waits, at which place, and for how long: honest, and cheap however many ask.

A *line* is what one lane looks like at a moment: its first thousand jobs in order, and who serves it, by the predicates
of the claim. It is read at most once a second for each lane and shared by everyone who asks. What is told is decided
here by pure functions; the ETA and how it learns is `eta`'s. With the same reads the process looks after the promises
whose time has come, so nothing runs beside.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from uuid import UUID

import msgspec

from control_plane import metrics
from control_plane.database import Database, Query
from control_plane.queue.eta import Ended, Factors, Promise, Promises, Runs, Work, base
from control_plane.wire.job import Eta, Waiting, WaitingReason
from control_plane.wire.worker import Phase

LINE_SECONDS = 1.0
PLACES_MAX = 1_000
"""Places are exact up to here, then `1000+`."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A job in line."""

    id: UUID
    tag: float
    cost: int


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves a lane, and how fast."""

    slots: int
    loaded: int
    """Of these slots: how many have the lane's model loaded, or none."""
    draining: int
    quarantined: int
    running_tokens: int
    running_seconds: float
    """How long the started ones have been running, added up."""
    paused: bool
    run_tokens: list[float]
    run_seconds: list[float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A lane at a moment."""

    service: Service
    places: list[tuple[float, UUID]]
    tokens_before: list[int]
    """At index n: the tokens of the first n jobs."""
    at_once: Factors = Factors()
    later: Factors = Factors()
    """What ETAs of jobs that start at once, and of those that wait for others, have to be multiplied by."""
    read_at: float = float("-inf")
    """By the clock of the lines, before it was asked for."""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has not started, as far as its waiting goes. `tag` is None in backoff."""

    id: UUID
    tag: float | None
    cost: int
    phase: Phase | None = None
    capped: bool = False
    """Its user has as many jobs running as the plan allows, so claims pass it over."""
    test: bool = False
    """Of a test key: what it is told is no promise."""


SERVICE = Query("waiting.service", Service)
PLACES = Query("waiting.places", Place)
ENDED = Query("waiting.ended", Ended)


class Lines:
    """The lines of one process, each read when asked for and at most once a second; and what it has promised."""

    def __init__(self, database: Database, live_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._live_seconds = live_seconds
        self.clock = clock
        self.promises = Promises()
        self._lines: dict[int, Line] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self.reads = 0

    async def line(self, lane_id: int, bound: float) -> Line:
        """`bound` is where the lane's first job stands at the earliest (a hint; see `lanes`)."""
        async with self._locks.setdefault(lane_id, asyncio.Lock()):
            line = self._lines.get(lane_id)
            if line is None or self.clock() - line.read_at > LINE_SECONDS:
                line = self._lines[lane_id] = await self._read(lane_id, bound)
            return line

    async def arrived(self, lane_id: int, bound: float, job: Queued, sent_at: float) -> Waiting:
        """What a new job is told, which was not in line before `sent_at`; its ETA is a promise."""
        line = await self.line(lane_id, bound)
        if job.tag is not None and not job.test and (forecast := foresee(line, job.tag, job.id, job.cost)) is not None:
            eta, least, waits = forecast
            promise = Promise(
                job_id=job.id, lane_id=lane_id, base=least, p50=eta.p50_seconds, p90=eta.p90_seconds, waits=waits
            )
            self.promises.remember(promise, self.clock())
        return arrived(line, job, sent_at)

    async def _read(self, lane_id: int, bound: float) -> Line:
        self.reads, read_at = self.reads + 1, self.clock()
        async with self._database.connection() as connection:
            service = await SERVICE.one(connection, {"lane_id": lane_id, "live_seconds": self._live_seconds})
            places = await PLACES.many(connection, {"lane_id": lane_id, "bound": bound, "most": PLACES_MAX})
        assert service is not None, "a lane is never deleted"
        await self._look_after_promises()
        before = [0]
        for place in places:
            before.append(before[-1] + place.cost)
        return Line(
            service=service,
            places=[(place.tag, place.id) for place in places],
            tokens_before=before,
            at_once=self.promises.factors(lane_id, waits=False),
            later=self.promises.factors(lane_id, waits=True),
            read_at=read_at,
        )

    async def _look_after_promises(self) -> None:
        """Those whose time has come: a look by key at what became of their jobs."""
        now = self.clock()
        due = self.promises.due(now)
        if not due:
            return
        rows = await self._database.many(ENDED, {"job_id": [promise.job_id for _, promise, _ in due]})
        for outcome in self.promises.judge(due, {row.id: row for row in rows}, now):
            metrics.etas_judged.inc()
            metrics.eta_p50_hits.inc(outcome.within_p50)
            metrics.eta_p90_hits.inc(outcome.within_p90)


def arrived(line: Line, job: Queued, sent_at: float) -> Waiting:
    """What a new job is told; a line that was read later and is without it: a worker has it."""
    read_since = line.read_at >= sent_at and len(line.places) < PLACES_MAX
    given_out = read_since and line.service.slots and not _is_in(line, job)
    told = explain(line, job)
    return Waiting(reason="starting", eta=told.eta) if given_out else told


def _is_in(line: Line, job: Queued) -> bool:
    if job.tag is None:
        return False
    place = job.tag, job.id
    index = bisect_left(line.places, place)
    return index < len(line.places) and line.places[index] == place


def explain(line: Line, job: Queued) -> Waiting:
    """What a job that has not started is told."""
    if job.phase is not None:
        return Waiting(reason="starting")
    if job.tag is None:
        return Waiting(reason="retry_backoff")
    index = bisect_left(line.places, (job.tag, job.id))
    position = str(index + 1) if index < PLACES_MAX else f"{PLACES_MAX}+"
    forecast = foresee(line, job.tag, job.id, job.cost)
    why = reason(line.service, index)
    if job.capped and why in ("all_workers_busy", "model_not_loaded", "starting"):
        why = "plan_limit_running"
    return Waiting(reason=why, position=position, eta=forecast[0] if forecast else None)


def reason(service: Service, ahead: int) -> WaitingReason:
    """What holds up a job with so many `ahead` of it: while nothing runs, the first in line are being given out."""
    if service.paused:
        return "lane_paused"
    if not service.slots:
        if service.quarantined and not service.draining:
            return "workers_quarantined"
        return "workers_draining" if service.draining else "no_worker_for_model"
    if not service.running_tokens and ahead < service.slots:
        return "starting"
    return "all_workers_busy" if service.loaded else "model_not_loaded"


def foresee(line: Line, tag: float, job_id: UUID, tokens: int) -> tuple[Eta, float, bool] | None:
    """When a job in line will be done, the base of that, and whether it waits for others."""
    index = bisect_left(line.places, (tag, job_id))
    return None if index >= PLACES_MAX else _forecast(line, index, tokens)


def estimate(line: Line, tokens: int) -> Eta | None:
    """When a job that stood behind everybody would be done."""
    forecast = _forecast(line, len(line.places), tokens)
    return forecast[0] if forecast and len(line.places) < PLACES_MAX else None


def _forecast(line: Line, index: int, tokens: int) -> tuple[Eta, float, bool] | None:
    service = line.service
    runs = Runs(tokens=service.run_tokens, seconds=service.run_seconds)
    waits = bool(index or service.running_tokens)
    work = Work(
        ahead=line.tokens_before[index],
        tokens=tokens,
        running=service.running_tokens,
        running_seconds=service.running_seconds,
        slots=service.slots,
    )
    least = base(work, runs)
    if least is None or service.paused:
        return None
    factors = line.later if waits else line.at_once
    p50 = round(least * factors.p50, 1)
    return Eta(p50_seconds=p50, p90_seconds=max(p50, round(least * factors.p90, 1))), least, waits
