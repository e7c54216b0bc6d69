"""A job that is followed by the request that ordered it, until it has ended.

Between two looks the request holds neither a transaction nor a connection. Its user may become part of another one
meanwhile; the job is then looked for there, since asking again from the beginning would order twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from control_plane import jobs
from control_plane.api import guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call
from control_plane.errors import NotFound
from control_plane.states import TERMINAL
from control_plane.wire.job import JobView

LOOK_FIRST_SECONDS = 0.1
LOOK_MAX_SECONDS = 1.0
LOOK_GROWTH = 1.25


async def followed(
    call: Call[Person, Any, Any], job_id: UUID, gone: asyncio.Event, seconds: float
) -> AsyncIterator[JobView]:
    """The job at every look, until it has ended, the client has gone or the time is over."""
    until, pause = time.monotonic() + seconds, LOOK_FIRST_SECONDS
    while True:
        job = await look(call, job_id)
        yield job
        left = until - time.monotonic()
        if job.status in TERMINAL or gone.is_set() or left <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await gone.wait()
        pause = min(pause * LOOK_GROWTH, LOOK_MAX_SECONDS)


async def look(call: Call[Person, Any, Any], job_id: UUID) -> JobView:
    """The job as it is now, whoever its user has become."""
    try:
        return await jobs.view(call.context, call.who.user_id, job_id)
    except NotFound:
        who = await guards.anew(call.request, guards.SUBMIT, call.who)
        if who is None:
            raise
        call.who = who
        return await jobs.view(call.context, call.who.user_id, job_id)
