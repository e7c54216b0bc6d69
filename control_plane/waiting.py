"""Why a job waits, at which place, and for how long: honest, and cheap however many ask.

A *line* is what one lane looks like at a moment: its first thousand jobs in order, who serves it, and how long
recent runs took for each token. It is read at most once a second for each lane and shared by everyone who asks.
What is told is decided here by pure functions. An ETA takes the work ahead, spread over the live slots, at the
median and at the slow tenth of recent runs; while nothing has finished or nobody works, there is none.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.wire.job import Eta, Waiting, WaitingReason
from control_plane.wire.worker import Phase

LINE_SECONDS = 1.0
PLACES_MAX = 1_000
"""Places are exact up to here, then `1000+`."""
RUNNING_LEFT = 0.5
"""Of the work that is running: how much of it is still to do, on average."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A job in line."""

    id: UUID
    tag: float
    cost: int


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves a lane, and how fast."""

    slots: int
    draining: int
    running_tokens: int
    paused: bool
    seconds_per_token: list[float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A lane at a moment."""

    service: Service
    places: list[tuple[float, UUID]]
    tokens_before: list[int]
    """At index n: the tokens of the first n jobs."""
    read_at: float = float("-inf")
    """By the monotonic clock, before it was asked for."""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has not started, as far as its waiting goes. `tag` is None in backoff."""

    id: UUID
    tag: float | None
    cost: int
    phase: Phase | None


SERVICE = Query("waiting.service", Service)
PLACES = Query("waiting.places", Place)


class Lines:
    """The lines of one process, each read when asked for and at most once a second."""

    def __init__(self, database: Database, live_seconds: float) -> None:
        self._database = database
        self._live_seconds = live_seconds
        self._lines: dict[int, tuple[float, Line]] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self.reads = 0

    async def line(self, lane_id: int, bound: float) -> Line:
        """`bound` is where the lane's first job stands at the earliest (a hint; see `lanes`)."""
        async with self._locks.setdefault(lane_id, asyncio.Lock()):
            read_at, line = self._lines.get(lane_id, (float("-inf"), None))
            if line is None or time.monotonic() - read_at > LINE_SECONDS:
                line = await self._read(lane_id, bound)
                self._lines[lane_id] = (time.monotonic(), line)
            return line

    async def _read(self, lane_id: int, bound: float) -> Line:
        self.reads, read_at = self.reads + 1, time.monotonic()
        async with self._database.connection() as connection:
            service = await SERVICE.one(connection, {"lane_id": lane_id, "live_seconds": self._live_seconds})
            places = await PLACES.many(connection, {"lane_id": lane_id, "bound": bound, "most": PLACES_MAX})
        assert service is not None, "a lane is never deleted"
        before = [0]
        for place in places:
            before.append(before[-1] + place.cost)
        return Line(
            service=service, places=[(place.tag, place.id) for place in places], tokens_before=before, read_at=read_at
        )


def arrived(line: Line, job_id: UUID, sent_at: float) -> Waiting:
    """What a new job is told, which was not in line before `sent_at`; a later line without it: a worker has it."""
    if line.read_at < sent_at or len(line.places) == PLACES_MAX:
        return Waiting(reason=reason(line.service, len(line.places)))
    ids = [found for _, found in line.places]
    if job_id not in ids and line.service.slots:
        return Waiting(reason="starting")
    return Waiting(reason=reason(line.service, ids.index(job_id) if job_id in ids else len(ids)))


def explain(line: Line, job: Queued) -> Waiting:
    """What a job that has not started is told."""
    if job.phase is not None:
        return Waiting(reason="starting")
    if job.tag is None:
        return Waiting(reason="retry_backoff")
    index = bisect_left(line.places, (job.tag, job.id))
    position = str(index + 1) if index < PLACES_MAX else f"{PLACES_MAX}+"
    ahead = line.tokens_before[index] if index < PLACES_MAX else None
    eta = None if ahead is None else estimate(line.service, ahead, job.cost)
    return Waiting(reason=reason(line.service, index), position=position, eta=eta)


def reason(service: Service, ahead: int) -> WaitingReason:
    """What holds up a job with so many `ahead` of it: while nothing runs, the first in line are being given out."""
    if service.paused:
        return "lane_paused"
    if service.slots:
        return "starting" if not service.running_tokens and ahead < service.slots else "all_workers_busy"
    return "workers_draining" if service.draining else "no_worker_for_model"


def estimate(service: Service, tokens_ahead: int, tokens: int) -> Eta | None:
    """Seconds until a job of so many tokens, with so many ahead of it, will have finished."""
    rates = sorted(service.seconds_per_token)
    if not rates or not service.slots or service.paused:
        return None
    work = (tokens_ahead + RUNNING_LEFT * service.running_tokens) / service.slots + tokens
    return Eta(
        p50_seconds=round(work * rates[len(rates) // 2], 1), p90_seconds=round(work * rates[len(rates) * 9 // 10], 1)
    )
