"""`Prefer: wait=30` (RFC 7240): an answer that is kept back until the job is over, for at most a minute.

While it is kept back, neither a transaction nor a connection of the database is held.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from litestar.types import Scope

from control_plane.api import guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Header, extend_deadline
from control_plane.api.presence import watched
from control_plane.events.feed import Listener
from control_plane.jobs import streams
from control_plane.jobs.streams import WAIT_SECONDS_MAX
from control_plane.wire.job import JobView

PREFER = Header(
    name="Prefer",
    description=f"`wait=30`: answer when the job is over, or after so many seconds, at most {WAIT_SECONDS_MAX}.",
    schema={"type": "string"},
)
APPLIED = "Preference-Applied"

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=[,;]|$)", re.IGNORECASE)


def wait_seconds(scope: Scope) -> int | None:
    """What the request prefers, as far as it can be granted; None without such a wish, or when it cannot be read."""
    raw = guards.header(scope, b"prefer")
    found = _WAIT.search(raw.decode("latin-1")) if raw is not None else None
    return min(int(found[1]), WAIT_SECONDS_MAX) if found is not None else None


def applied(seconds: int) -> dict[str, str]:
    """The header that says so."""
    return {APPLIED: f"wait={seconds}"}


async def until_over(call: Call[Person, Any, Any], job_id: UUID, seconds: float) -> JobView:
    """The job once it is over, or as it is after so many seconds. Raises `NotFound` and `TooManyWaiting`."""
    extend_deadline(call.request.scope, seconds)
    listener = Listener(call.context.dispatcher.feed)
    with watched(call.context.tasks, call.request.receive, listener.leave):
        return await streams.until_over(call.context, call.who.user_id, job_id, listener, seconds)
