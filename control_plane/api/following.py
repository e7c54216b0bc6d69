"""A job that is followed by the request that ordered it, until it has ended.

Between two events the request holds neither a transaction nor a connection. Its user may become part of another one
meanwhile; the job is then looked for there, since asking again from the beginning would order twice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID

from control_plane.api import guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call
from control_plane.errors import NotFound
from control_plane.events.feed import Listener
from control_plane.jobs import desk
from control_plane.states import TERMINAL
from control_plane.wire.job import JobView

WATCH_SECONDS = 2.0
"""How often an agent is reminded that its job is watched."""


class Seen(NamedTuple):
    """A job as it is by now, and the last preview of it that has not been seen."""

    job: JobView
    preview: bytes | None


async def followed(
    call: Call[Person, Any, Any], job_id: UUID, listener: Listener, seconds: float, *, previews: bool = False
) -> AsyncIterator[Seen]:
    """The job now, after each event and at least every `WATCH_SECONDS`, until it has ended, the client has gone, the
    process ends or the time is over. Raises `Unavailable`."""
    until, feed = time.monotonic() + seconds, call.context.dispatcher.feed
    await feed.ready()
    with feed.listening(job_id, listener):
        job = await _look(call, job_id)
        yield Seen(job, None)
        while job.status not in TERMINAL and not listener.closed and (left := until - time.monotonic()) > 0:
            listener.watches = previews and job.status == "running"
            if listener.watches:
                call.context.dispatcher.watch(job_id)
            await listener.wait(min(left, WATCH_SECONDS))
            if any(event.job_id == job_id for event in await listener.take()):
                job = await _look(call, job_id)
            report, listener.report = listener.report, None
            yield Seen(job, report.preview if report is not None else None)


async def _look(call: Call[Person, Any, Any], job_id: UUID) -> JobView:
    """The job as it is now, whoever its user has become."""
    try:
        return await desk.view(call.context, call.who.user_id, job_id)
    except NotFound:
        who = await guards.anew(call.request, guards.SUBMIT, call.who)
        if who is None:
            raise
        call.who = who
        return await desk.view(call.context, call.who.user_id, job_id)
