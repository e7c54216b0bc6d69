"""Events of jobs, as streams tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message
from control_plane.wire.job import JobView

EventName = Literal[
    "job.submitted",
    "job.claimed",
    "job.taken_over",
    "job.started",
    "job.retried",
    "job.released",
    "job.reaped",
    "job.cancel_requested",
    "job.succeeded",
    "job.failed",
    "job.canceled",
    "job.expired",
]
"""What can happen to a job. The last four end it."""
EVENT_NAMES: tuple[EventName, ...] = get_args(EventName)
_ONE = "|".join(name.replace(".", "[.]") for name in EVENT_NAMES)
EVENT_NAMES_PATTERN = rf"^({_ONE})(,({_ONE}))*\Z"
EventNames = Annotated[str, Meta(max_length=400, pattern=EVENT_NAMES_PATTERN)]
"""Some of them, with commas in between."""


class EventView(Message, frozen=True, kw_only=True):
    """Something that happened to a job."""

    name: str
    """One of those above; more may be added."""
    job_id: UUID
    attempt: int
    """Which lease of the job it was about; 0 before the first."""
    at: datetime
    job: JobView | None
    """The job as it was when this was sent, which may be later."""
    identities: list[str] = []
    """For a service: how the job's user is known to it, as `provider:id`."""


class TimelineEvent(Message, frozen=True, kw_only=True):
    """Something that has happened to a job, without the job."""

    name: str
    attempt: int
    """Which lease of the job it was about; 0 before the first."""
    at: datetime


class Timeline(Message, frozen=True, kw_only=True):
    data: list[TimelineEvent]
    """The oldest first."""


class Opened(Message, frozen=True, kw_only=True):
    """The first frame of a stream over all jobs."""

    resumed: bool
    """What happened since the `Last-Event-ID` follows. False without one, and when the log does not reach back to it
    (after a restore, or a day): then look at the list of jobs once."""


class Preview(Message, frozen=True, kw_only=True):
    mime_type: str
    data: bytes
    """In base64."""
