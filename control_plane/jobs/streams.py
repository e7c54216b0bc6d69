"""What a stream says, frame by frame: the story of one job, or of all jobs of a caller.

A stream is a place in the log of events and a look at the jobs that it tells of; nothing about it is stored, so any
process can go on with it from the id of the last frame that arrived. Progress and previews are last values without an
id. Between frames a stream holds neither a transaction nor a connection. It ends when its caller may not read any more,
when the database does not answer, and with the process; whoever reads it comes back by id.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import msgspec
import psycopg

from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import NotFound, Unavailable
from control_plane.events import tail
from control_plane.events.feed import Listener, Report
from control_plane.events.tail import Event, Position
from control_plane.jobs import desk
from control_plane.media.probe import image_type
from control_plane.queue.looks import Look
from control_plane.states import TERMINAL
from control_plane.wire.event import EventView, Opened, Preview
from control_plane.wire.job import JobView, Progress

CHECK_SECONDS = 5.0
"""How often it is asked whether the caller may still read."""
WATCH_SECONDS = 2.0
"""How often an agent is reminded that its job is watched."""
WAIT_SECONDS_MAX = 60
REACH = timedelta(days=1)
"""How far back a stream over all jobs can be resumed; whoever missed more looks at the list of jobs."""
LOST = (NotFound, Unavailable, psycopg.Error)
"""The job went to another user, or the database does not answer: the stream ends, and is resumed by its reader."""

_encode = msgspec.json.Encoder().encode

Check = Callable[[], Awaitable[bool]]
"""Whether the caller is still who they were."""


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream; without a name it only says where the reader is, or that the stream lives."""

    name: str | None = None
    data: bytes = b""
    id: Position | None = None


class Known(msgspec.Struct, frozen=True):
    """A way in which a user is recognised by a service."""

    user_id: UUID
    identity: str


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Whose jobs a stream tells of: a user's, or those of all users that a service may act for."""

    user_id: UUID | None
    providers: Collection[str] = ()
    names: Collection[str] | None = None
    """Of the events that are wanted; None: all."""


KNOWN = Query("events.known", Known)


class _Clock:
    """When a stream has to say or to ask something, should nothing happen."""

    def __init__(self, check: Check, keep_alive_seconds: float) -> None:
        self._check = check
        self._keep_alive_seconds = keep_alive_seconds
        self.said_at = self._checked_at = time.monotonic()

    def said(self) -> None:
        self.said_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self.said_at >= self._keep_alive_seconds

    def left(self, most: float = CHECK_SECONDS) -> float:
        now = time.monotonic()
        return min(most, self._checked_at + CHECK_SECONDS - now, self.said_at + self._keep_alive_seconds - now)

    async def may_go_on(self) -> bool:
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return True
        self._checked_at = time.monotonic()
        return await self._check()


# ---------------------------------------------------------------------------------------------- one job


async def of_job(
    context: Context,
    user_id: UUID,
    job_id: UUID,
    listener: Listener,
    *,
    last: Position | None,
    previews: bool,
    check: Check,
) -> AsyncGenerator[Frame, None]:
    """A snapshot, what was missed since `last`, and what happens from then on until the job is over. No frame at all
    when there is nothing to tell any more. Raises `NotFound` and `TooManyWaiting` before the first frame."""
    feed = context.dispatcher.feed
    with feed.held(user_id):
        await feed.ready()
        with feed.listening(job_id, listener):
            async with context.database.connection() as connection:
                head = await tail.head(connection)
                story = await tail.of_job(connection, job_id)
            job = await desk.view(context, user_id, job_id)
            place, missed = _missed(story, last if last is not None and head.knows(last) else None, head.epoch)
            if last is not None and not missed and story and story[-1].is_last:
                return
            yield Frame("snapshot", _encode(job), place)
            for event in missed:
                place = _place(event, head.epoch)
                yield Frame(event.name, _encode(_told(event, job)), place)
            if story and story[-1].is_last:
                return
            rest = _Tail(context, user_id, job, place, story[-1].attempt if story else 0)
            with suppress(*LOST):
                async for frame in rest.frames(listener, _Clock(check, feed.keep_alive_seconds), previews=previews):
                    yield frame


def _missed(story: list[Event], last: Position | None, epoch: str) -> tuple[Position, list[Event]]:
    """Where the snapshot stands, and what of the story comes after it: what the reader missed, or else the end."""
    if last is not None:
        return last, [event for event in story if _place(event, epoch) > last]
    ended = story[-1:] if story and story[-1].is_last else []
    before = story[: len(story) - len(ended)]
    return _place(before[-1], epoch) if before else Position(epoch, 0, 0), ended


def _place(event: Event, epoch: str) -> Position:
    return Position(epoch, event.xid, event.seq)


def _told(event: Event, job: JobView | None, identities: list[str] | None = None) -> EventView:
    return EventView(
        name=event.name,
        job_id=event.job_id,
        attempt=event.attempt,
        at=event.at,
        job=job,
        identities=identities or [],
    )


class _Tail:
    """One job from the snapshot on."""

    def __init__(self, context: Context, user_id: UUID, job: JobView, place: Position, attempt: int) -> None:
        self._context = context
        self._user_id = user_id
        self._job = job
        self._place = place
        self._attempt = attempt
        self._is_told = False
        """The end of the job, that is."""

    async def frames(self, listener: Listener, clock: _Clock, *, previews: bool) -> AsyncGenerator[Frame, None]:
        while not listener.closed and await clock.may_go_on():
            listener.watches = self._job.status in ("running", "canceling")
            if listener.watches:
                self._context.dispatcher.watch(self._job.id)
            await listener.wait(clock.left(WATCH_SECONDS if listener.watches else CHECK_SECONDS))
            for frame in await self._news(listener, previews=previews):
                clock.said()
                yield frame
            if self._is_told:
                return
            if clock.is_silent:
                clock.said()
                yield await self._sign_of_life()

    async def _news(self, listener: Listener, *, previews: bool) -> list[Frame]:
        """What came in: events with the job as it is now, or else how far it has come."""
        fresh = [event for event in await listener.take() if event.job_id == self._job.id and self._is_new(event)]
        report, listener.report = listener.report, None
        if not fresh:
            return list(self._shown(report, previews=previews)) if report is not None else []
        self._job = await desk.view(self._context, self._user_id, self._job.id)
        self._place, self._attempt = _place(fresh[-1], self._place.epoch), fresh[-1].attempt
        self._is_told = fresh[-1].is_last
        return [
            Frame(event.name, _encode(_told(event, self._job)), _place(event, self._place.epoch)) for event in fresh
        ]

    def _is_new(self, event: Event) -> bool:
        return _place(event, self._place.epoch) > self._place

    def _shown(self, report: Report, *, previews: bool) -> Iterator[Frame]:
        if report.attempt != self._attempt or self._job.status in TERMINAL:
            return
        progress = Progress(value=report.value, step=report.step, steps=report.steps)
        yield Frame("progress", _encode(progress))
        if previews and report.preview is not None:
            yield Frame("preview", _encode(Preview(mime_type=image_type(report.preview), data=report.preview)))

    async def _sign_of_life(self) -> Frame:
        """A comment; a new snapshot when the job waits and its place in line has changed."""
        if self._job.status == "queued":
            before, self._job = self._job, await desk.view(self._context, self._user_id, self._job.id)
            if self._job != before:
                return Frame("snapshot", _encode(self._job), self._place)
        return Frame()


# ---------------------------------------------------------------------------------------------- all jobs


async def of_all(
    context: Context, audience: Audience, caller: object, listener: Listener, *, last: Position | None, check: Check
) -> AsyncGenerator[Frame, None]:
    """Everything that happens to the jobs of an audience, since `last` or from now on. Raises `TooManyWaiting` before
    the first frame."""
    feed = context.dispatcher.feed
    with feed.held(caller):
        await feed.ready()
        with feed.listening(audience.user_id, listener):
            if last is not None and await _is_resumable(context, last):
                listener.position, listener.behind = last, True
            yield Frame("opened", _encode(Opened(resumed=listener.behind)), listener.position)
            clock, place = _Clock(check, feed.keep_alive_seconds), listener.position
            with suppress(*LOST):
                while not listener.closed and await clock.may_go_on():
                    await listener.wait(clock.left())
                    for frame in await _wanted(context, audience, await listener.take(), listener.position.epoch):
                        clock.said()
                        yield frame
                    if clock.is_silent:
                        clock.said()
                        moved, place = listener.position != place, listener.position
                        yield Frame(id=place if moved else None)


async def _is_resumable(context: Context, last: Position) -> bool:
    """Whether the log can be read on from there, and is not too long for it."""
    async with context.database.connection() as connection:
        head = await tail.head(connection)
        if not head.knows(last):
            return False
        missed = (await tail.after(connection, last, 1)).events
    return not missed or head.now - missed[0].at < REACH


async def _wanted(context: Context, audience: Audience, found: list[Event], epoch: str) -> list[Frame]:
    """Those events that an audience may and wants to hear of, each with its job as it is now."""
    named = [event for event in found if audience.names is None or event.name in audience.names]
    identities = await _identities(context, audience, named)
    wanted = [event for event in named if event.user_id in identities]
    looks = {event.job_id: Look(event.user_id, event.job_id) for event in wanted}
    seen = dict(zip(looks, await desk.views_of(context, list(looks.values())), strict=True))
    return [
        Frame(event.name, _encode(_told(event, seen[event.job_id], identities[event.user_id])), _place(event, epoch))
        for event in wanted
    ]


async def _identities(context: Context, audience: Audience, found: list[Event]) -> dict[UUID, list[str]]:
    """Whose events an audience may hear of, and how a service knows them."""
    if audience.user_id is not None:
        return {audience.user_id: []}
    if not found:
        return {}
    users = list({event.user_id for event in found})
    known: dict[UUID, list[str]] = {}
    for one in await context.database.many(KNOWN, {"user_id": users, "providers": list(audience.providers)}):
        known.setdefault(one.user_id, []).append(one.identity)
    return known


# ---------------------------------------------------------------------------------------------- waiting


async def until_over(context: Context, user_id: UUID, job_id: UUID, listener: Listener, seconds: float) -> JobView:
    """The job once it is over, or as it is after so many seconds. Raises `NotFound` and `TooManyWaiting`."""
    until = time.monotonic() + seconds
    feed = context.dispatcher.feed
    with feed.held(user_id):
        await feed.ready()
        with feed.listening(job_id, listener):
            job = await desk.view(context, user_id, job_id)
            while job.status not in TERMINAL and not listener.closed and (left := until - time.monotonic()) > 0:
                await listener.wait(left)
                if any(event.is_last for event in await listener.take() if event.job_id == job_id):
                    break
            else:
                if job.status in TERMINAL:
                    return job
    return await desk.view(context, user_id, job_id)
