"""The end of the log of events, as it is followed in one process: one reader, any number of listeners.

While somebody listens, one loop reads what is new and hands every event to those it is meant for. It looks when
something was committed, which this process knows by itself (`touch`) and hears of from the others by hints, and once
a second all the same; when something is committed but not settled yet it looks again in a few milliseconds. Processes
where somebody listens say so now and then, and nobody sends hints while nobody does.

A listener keeps a place in the log and a bounded line of events. When the line is full it is dropped, and the listener
reads on from its place by itself: the log is the buffer, so whoever is slow is slow alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
import structlog

from control_plane.connection import Connection
from control_plane.database import Database, Query
from control_plane.errors import TooManyWaiting, Unavailable
from control_plane.events import tail
from control_plane.events.tail import Event, Page, Position
from control_plane.notify import RESYNC, Bus

POLL_SECONDS = 1.0
PAUSE_SECONDS = 0.008
"""Between two looks: what is committed meanwhile comes with one statement."""
UNSETTLED_FIRST_SECONDS = 0.002
UNSETTLED_MAX_SECONDS = 0.05
PAGE = 500
"""Events read by one statement."""
LINE_MAX = 256
"""Events that wait for one listener."""
HELD_MAX = 32
"""Requests of one caller that this process holds open at once: streams and long polls."""
CATCHING_UP_MAX = 2
"""Listeners of this process that read the log by themselves at the same time."""
EPOCH_SECONDS = 5.0
"""How often it is asked whether another server has taken over, unless the broken connections say so."""
FOLLOW_SECONDS = 5.0
"""How often a process where somebody listens says so to the others, who remember it three times as long."""
KEEP_ALIVE_SECONDS = 15.0
"""After which a stream that has nothing to say shows that it lives."""
SEND_SECONDS = 10.0
"""Within which a reader must take what it is sent."""
PROGRESS_SECONDS = 0.5
"""How often the progress of jobs that are watched is looked at, and told."""

log = structlog.get_logger()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The last progress and preview of a job that runs."""

    job_id: UUID
    attempt: int
    value: float
    step: int
    steps: int
    preview: bytes | None
    reported_at: datetime


PROGRESS = Query("events.progress", Report)


class Listener:
    """One who hears of a job, of a user's jobs or of all, within `Feed.listening`."""

    def __init__(self, feed: Feed) -> None:
        self.position = feed.position
        """Everything before it has been given out, or does not concern this listener."""
        self.behind = False
        """Whether there may be events between `position` and those that come in."""
        self.watches = False
        """Whether progress of the job listened to is wanted."""
        self.report: Report | None = None
        """The last value of it, until it is taken."""
        self._feed = feed
        self._left = False
        self._line: deque[Event] = deque()
        self._news = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Nobody listens any more, or the process is ending."""
        return self._left or self._feed.closed

    def leave(self) -> None:
        """The client has gone."""
        self._left = True
        self._news.set()

    def put(self, event: Event) -> None:
        if len(self._line) < LINE_MAX:
            self._line.append(event)
        else:
            self._line.clear()
            self.behind = True
        self._news.set()

    def tell(self, report: Report) -> None:
        self.report = report
        self._news.set()

    def nudge(self) -> None:
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to `take`, or somebody nudged, for at most so long."""
        if self._line or self.behind:
            return
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def take(self) -> list[Event]:
        """What has come in since, in the order of the log. Whoever is behind gets a page of all events instead, of
        which some may concern others. Raises `Unavailable`."""
        if self.behind:
            return await self._catch_up()
        taken = [event for event in self._line if self._is_new(event)]
        self._line.clear()
        if taken:
            self._move(taken[-1])
        elif self._feed.position.epoch == self.position.epoch:
            self.position = max(self.position, self._feed.position)
        return taken

    async def _catch_up(self) -> list[Event]:
        """What is settled but not in the page comes in from now on, so a page that is not full is the last."""
        self._line.clear()
        page = await self._feed.read(self.position)
        self.behind = page.more
        self.position = page.position
        return page.events

    def _is_new(self, event: Event) -> bool:
        return (event.xid, event.seq) > (self.position.xid, self.position.seq)

    def _move(self, event: Event) -> None:
        self.position = Position(self.position.epoch, event.xid, event.seq)


class Feed:
    """One per process; `run` and `run_progress` belong to its task group."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self.position = Position("", 0, 0)
        """As far as the listeners have been told."""
        self.closed = False
        self.keep_alive_seconds = KEEP_ALIVE_SECONDS
        self.send_seconds = SEND_SECONDS
        self._database = database
        self._bus = bus
        self._listeners: dict[object, dict[Listener, None]] = {}
        self._held: dict[object, int] = {}
        self._reported: dict[UUID, datetime] = {}
        """What was told last of each job that is watched."""
        self._touched = asyncio.Event()
        self._listened = asyncio.Event()
        self._opening = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(CATCHING_UP_MAX)
        self._unsettled_seconds = 0.0
        self._others_until = 0.0
        self._followed_at = 0.0
        self._asked_at = float("-inf")
        """When the epoch was looked at."""
        bus.on("events", lambda _: self._touched.set())
        bus.on(RESYNC, lambda _: self.doubt())
        bus.on("following", lambda _: self._heard_follower())

    # ------------------------------------------------------------------------------------------ what happened

    def touch(self) -> None:
        """Something was written to the log, and committed. Costs nothing while nobody listens anywhere."""
        if self._listeners:
            self._touched.set()
        if self._others_until and self.is_followed:
            self._bus.send_once("events")

    def doubt(self) -> None:
        """A connection broke: who answers now may be another server."""
        self._asked_at = float("-inf")
        self._touched.set()

    @property
    def is_followed(self) -> bool:
        """Whether somebody listens in another process."""
        return time.monotonic() < self._others_until

    def _heard_follower(self) -> None:
        self._others_until = time.monotonic() + 3 * FOLLOW_SECONDS

    # ------------------------------------------------------------------------------------------ listening

    @contextmanager
    def held(self, caller: object) -> Iterator[None]:
        """One more request of this caller is held open meanwhile. Raises `TooManyWaiting`."""
        count = self.holding(caller)
        if count >= HELD_MAX:
            sentence = (
                f"{HELD_MAX} streams and long polls of yours are open here. Close some, or use GET /api/v1/events."
            )
            raise TooManyWaiting(sentence, retry_after=POLL_SECONDS)
        self._held[caller] = count + 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

    def __len__(self) -> int:
        """Requests that are held open here."""
        return sum(self._held.values())

    def holding(self, caller: object) -> int:
        """How many requests of this caller are held open."""
        return self._held.get(caller, 0)

    async def ready(self) -> None:
        """Before listening: the reader knows where the log ends. Raises `Unavailable`."""
        async with self._opening:
            if not self._listeners:
                async with self._database.connection() as connection:
                    head = await tail.head(connection)
                if not self._listeners:
                    self.position = head.position

    @contextmanager
    def listening(self, key: UUID | None, listener: Listener) -> Iterator[None]:
        """It hears of a job (its id), of a user's jobs (theirs) or of all (None) from here on; with no await since
        `ready`."""
        listener.position = self.position
        mine = self._listeners.setdefault(key, {})
        mine[listener] = None
        self._listened.set()
        self._follow()
        try:
            yield
        finally:
            del mine[listener]
            if not mine and self._listeners.get(key) is mine:
                del self._listeners[key]
            if not self._listeners:
                self._listened.clear()

    async def read(self, position: Position) -> Page:
        """A page of the log, for one who is behind."""
        async with self._catching_up, self._database.connection() as connection:
            return await tail.after(connection, position, PAGE)

    def close(self) -> None:
        """Let everybody go; nobody is held any more."""
        self.closed = True
        for mine in self._listeners.values():
            for listener in mine:
                listener.nudge()

    # ------------------------------------------------------------------------------------------ reading

    async def run(self) -> None:
        """For ever: reads what is new while somebody listens."""
        while True:
            await self._listened.wait()
            self._follow()
            try:
                wait_seconds = await self._look()
            except (Unavailable, psycopg.Error) as error:
                log.warning("feed.failed", error=type(error.__cause__ or error).__name__)
                self._asked_at = float("-inf")
                wait_seconds = POLL_SECONDS
            await asyncio.sleep(PAUSE_SECONDS)
            await self._until_touched(wait_seconds)

    async def _until_touched(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._touched.wait()
        except TimeoutError:
            pass

    async def _look(self) -> float:
        """Reads a page and gives it out; how long until the next look, should nobody touch."""
        self._touched.clear()
        async with self._database.connection() as connection:
            if time.monotonic() - self._asked_at >= EPOCH_SECONDS:
                await self._ask_epoch(connection)
            page = await tail.after(connection, self.position, PAGE)
        for event in page.events:
            self._give_out(event)
        self.position = max(self.position, page.position)
        if page.more:
            return 0.0
        if not page.unsettled:
            self._unsettled_seconds = 0.0
            return POLL_SECONDS
        self._unsettled_seconds = min(max(UNSETTLED_FIRST_SECONDS, 2 * self._unsettled_seconds), UNSETTLED_MAX_SECONDS)
        return self._unsettled_seconds

    async def _ask_epoch(self, connection: Connection) -> None:
        """A server that took over counts anew from where it was, so nobody's place means anything there: all readers
        are let go, and come back with places that are told from those of now."""
        head = await tail.head(connection)
        self._asked_at = time.monotonic()
        if head.epoch == self.position.epoch:
            return
        log.warning("feed.epoch_changed", listeners=sum(map(len, self._listeners.values())))
        self.position = head.position
        for mine in self._listeners.values():
            for listener in mine:
                listener.leave()

    def _give_out(self, event: Event) -> None:
        for key in (event.job_id, event.user_id, None):
            for listener in self._listeners.get(key, ()):
                listener.put(event)

    def _follow(self) -> None:
        """Ask the other processes to say when they have committed something."""
        now = time.monotonic()
        if self._followed_at <= now - FOLLOW_SECONDS:
            self._followed_at = now
            self._bus.send("following")

    async def run_progress(self) -> None:
        """For ever: tells listeners of the last progress of their jobs, at most twice a second."""
        while True:
            await self._listened.wait()
            try:
                await self._look_at_progress()
            except (Unavailable, psycopg.Error) as error:
                log.warning("feed.failed", error=type(error.__cause__ or error).__name__)
            await asyncio.sleep(PROGRESS_SECONDS)

    async def _look_at_progress(self) -> None:
        watched = {
            key: [listener for listener in mine if listener.watches]
            for key, mine in self._listeners.items()
            if isinstance(key, UUID) and any(listener.watches for listener in mine)
        }
        self._reported = {job_id: at for job_id, at in self._reported.items() if job_id in watched}
        if not watched:
            return
        seen = [self._reported.get(job_id) for job_id in watched]
        for report in await self._database.many(PROGRESS, {"job_id": list(watched), "seen_at": seen}):
            self._reported[report.job_id] = report.reported_at
            for listener in watched[report.job_id]:
                listener.tell(report)
