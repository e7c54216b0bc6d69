"""What people report, what the operator sees of it, and what is done about files and accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request

REPORT_LENGTH_MAX = 1_000
REASON_LENGTH_MAX = 300

_NO_NUL = r"^[^\x00]*$"

ReportCategory = Literal["minors", "sexual", "violence", "hate", "person", "copyright", "other"]
ReportState = Literal["open", "upheld", "dismissed"]


class ReportRequest(Request, frozen=True, kw_only=True):
    """A complaint about a file, or about a job as a whole."""

    job_id: UUID
    index: Annotated[int, Meta(ge=0, le=63)] | None = None
    """Which file of the job; absent: all of it."""
    category: ReportCategory
    text: Annotated[str, Meta(max_length=REPORT_LENGTH_MAX, pattern=_NO_NUL)] = ""
    """What is wrong, in your own words."""


class ReportReceipt(Message, frozen=True, kw_only=True):
    """A complaint that was taken down."""

    id: UUID
    created_at: datetime


class ReportView(Message, frozen=True, kw_only=True):
    """A complaint as the operator sees it."""

    id: UUID
    job_id: UUID
    index: int | None
    """Absent: the job as a whole."""
    reporter_id: UUID
    reporter: str
    category: ReportCategory
    text: str
    state: ReportState
    created_at: datetime
    handled_at: datetime | None
    handled_by: str | None


class ReportList(Message, frozen=True, kw_only=True):
    data: list[ReportView]
    has_more: bool
    next_cursor: str | None


class Decided(Message, frozen=True, kw_only=True):
    """A report that was decided on, and the files that were quarantined by it."""

    id: UUID
    state: ReportState
    quarantined: list[int]


class Reason(Request, frozen=True, kw_only=True):
    """Why; kept in the audit log."""

    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX, pattern=_NO_NUL)] = ""


class Suspension(Message, frozen=True, kw_only=True):
    """An account after it was suspended or restored."""

    id: UUID
    status: Literal["active", "suspended"]
    canceled: int = 0
    """Jobs that had not started; their tokens are back."""
    canceling: int = 0
    """Jobs whose agents have been told to stop."""
