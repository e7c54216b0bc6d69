"""Operations that go on: the events of one job, and of all jobs of a caller, as Server-Sent Events."""

from __future__ import annotations

from typing import Any

from litestar.types import ASGIApp

from control_plane.api import answers, decoding, guards, sse
from control_plane.api.guards import Follower, Guard, Person
from control_plane.api.operation import Call, Header, Nothing, count_read, operation
from control_plane.errors import NotFound, TesseraError, TooManyWaiting
from control_plane.events import tail
from control_plane.events.feed import Listener
from control_plane.events.tail import Position
from control_plane.jobs import desk, streams
from control_plane.jobs.streams import Audience, Check
from control_plane.wire import Request
from control_plane.wire.event import EventNames, Timeline, TimelineEvent

LAST_EVENT_ID = Header(
    name="Last-Event-ID",
    description="The `id` of the last frame that arrived: the stream goes on behind it, in whichever process.",
    schema={"type": "string", "pattern": "^[0-9a-f]{8}-[0-9]{1,19}-[0-9]{1,19}$"},
)


class JobEventsQuery(Request, frozen=True, kw_only=True):
    previews: bool = True
    """Also send previews of the picture while it is made (`preview`, the bytes in base64)."""


class EventsQuery(Request, frozen=True, kw_only=True):
    names: EventNames | None = None
    """Only these events, with commas between them: `job.succeeded,job.failed`. Absent: all."""


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/events",
    guard=guards.READ,
    answers={200: sse.MEDIA_TYPE, 204: None},
    problems=(NotFound, TooManyWaiting),
    headers=(LAST_EVENT_ID,),
    tag="Events",
)
async def follow_job(call: Call[Person, Nothing, JobEventsQuery]) -> ASGIApp:
    """Follow a job until it is over.

    Server-Sent Events. The first frame is a `snapshot`: the job as it is now; while it waits, another one comes when
    its place in line has changed. Then every event by its name (`job.started`, `job.succeeded`, …) with the job as it
    is by then, and in between `progress` and `preview`, at most twice a second and only the last value. The stream ends
    after the event that ends the job; asked for again with its id it answers 204, which tells a browser not to come
    back. After any other end, connect again with `Last-Event-ID`: what happened meanwhile follows the snapshot.
    """
    listener = Listener(call.context.dispatcher.feed)
    frames = streams.of_job(
        call.context,
        call.who.user_id,
        call.path("job_id"),
        listener,
        last=_last_event_id(call),
        previews=call.query.previews,
        check=_still(call, guards.READ, call.who.user_id),
    )
    first = await sse.begun(frames)
    if first is None:
        return answers.nothing()
    return sse.Stream(call.context, listener, first, frames)


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/timeline",
    guard=guards.READ,
    answers={200: Timeline},
    problems=(NotFound,),
    tag="Events",
)
async def get_timeline(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """What has happened to a job so far, the oldest first."""
    job = await desk.view(call.context, call.who.user_id, call.path("job_id"))
    async with call.context.database.connection() as connection:
        story = await tail.of_job(connection, job.id)
    return answers.json(
        Timeline(data=[TimelineEvent(name=event.name, attempt=event.attempt, at=event.at) for event in story])
    )


@operation(
    "GET",
    "/api/v1/events",
    guard=guards.FOLLOWER,
    answers={200: sse.MEDIA_TYPE},
    problems=(TooManyWaiting,),
    headers=(LAST_EVENT_ID,),
    tag="Events",
)
async def follow_jobs(call: Call[Follower, Nothing, EventsQuery]) -> ASGIApp:
    """Follow all your jobs in one stream.

    Server-Sent Events, each with the job as it is by then. A service that names nobody hears of the jobs of all users
    it may act for, with their identities. The first frame, `opened`, says whether the stream goes on where
    `Last-Event-ID` stands, which may be a day ago; then every event arrives exactly once, however often the stream is
    cut. Without that header it begins now.
    """
    who, feed = call.who, call.context.dispatcher.feed
    if who.person is not None:
        count_read(call.request.scope, call.context, who.person)
    user_id = who.person.user_id if who.person is not None else None
    names = call.query.names.split(",") if call.query.names is not None else None
    listener = Listener(feed)
    frames = streams.of_all(
        call.context,
        Audience(user_id=user_id, providers=who.key.providers, names=names),
        user_id or who.key.id,
        listener,
        last=_last_event_id(call),
        check=_still(call, guards.FOLLOWER, user_id),
    )
    first = await sse.begun(frames)
    assert first is not None, "it says that it is open"
    return sse.Stream(call.context, listener, first, frames)


def _last_event_id(call: Call[Any, Any, Any]) -> Position | None:
    raw = guards.header(call.request.scope, b"last-event-id")
    if raw is None:
        return None
    found = Position.parse(raw.decode("latin-1"))
    if found is None:
        raise decoding.parameter("Last-Event-ID", "bad_format", "Send the id of a frame as it came, or nothing.")
    return found


def _still(call: Call[Any, Any, Any], guard: Guard[Any], user_id: object) -> Check:
    """Whether the caller may still read, as the same user."""

    async def check() -> bool:
        try:
            who = await guard.check(call.request)
        except TesseraError:
            return False
        person = who.person if isinstance(who, Follower) else who
        return (person.user_id if person is not None else None) == user_id

    return check
