"""What an operator sees and does over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.conduct import REASON_LENGTH_MAX
from control_plane.wire.job import Name
from control_plane.wire.user import UserView

_NO_NUL = r"^[^\x00]*$"

Condition = Literal["idle", "busy", "away", "draining", "drained", "quarantined", "revoked"]


class LaneView(Message, frozen=True, kw_only=True):
    """A line of jobs."""

    id: int
    kind: str
    model: str
    vram_gib: int
    paused: bool
    """Itself, or its model."""
    queued: int
    backoff: int
    """Of jobs that failed and wait for their next try."""
    leased: int
    live_slots: int
    oldest_seconds: float | None = None
    """How long ago the oldest that waits was ordered."""


class ServiceView(Message, frozen=True, kw_only=True):
    """The whole service at a glance."""

    submits_paused: bool
    reason: str
    workers: dict[Condition, int]
    """How many are how."""
    lanes: list[LaneView]


class SlotView(Message, frozen=True, kw_only=True):
    """An engine of a machine."""

    slot: int
    loaded: str | None
    """The model that it has loaded."""
    vram_gib: int
    healthy: bool
    quarantined: bool
    gpu: dict[str, float]
    """What its agent measured last, such as `temperature_celsius` and `utilisation_percent`."""
    leases: int
    jobs: list[UUID]
    """What it has in hand: the job that runs, then the one that is held for it next."""


class WorkerView(Message, frozen=True, kw_only=True):
    """A machine that does the work."""

    id: UUID
    name: str
    condition: Condition
    slots: int
    leases: int
    serves: list[str]
    last_seen_at: datetime | None
    agent_version: str
    engines: list[SlotView] = []


class EnrolmentRequest(Request, frozen=True, kw_only=True):
    """A token for one new machine."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_NUL)] | None = None
    """What it will be called; absent: as its agent says."""


class Enrolment(Message, frozen=True, kw_only=True):
    """A one-time token, which is shown only now."""

    token: str
    command: str
    """What to run on that machine."""


class Revocation(Message, frozen=True, kw_only=True):
    """A machine that may do nothing more."""

    id: UUID
    jobs: int
    """How many went back into the line."""


class OperatorJob(Message, frozen=True, kw_only=True):
    """A job of anybody, without what they wrote."""

    id: UUID
    user: str
    kind: str
    model: str
    state: str
    worker: str | None
    attempt: int
    created_at: datetime
    finished_at: datetime | None
    error_code: str | None


class OperatorJobList(Message, frozen=True, kw_only=True):
    data: list[OperatorJob]
    """The newest first."""


class BooksView(Message, frozen=True, kw_only=True):
    """Whether the ledger, the balances and the jobs agree."""

    violations: list[str]
    """Every way in which they do not, as a sentence; empty when no token was lost."""


class WorkerList(Message, frozen=True, kw_only=True):
    data: list[WorkerView]


class SwitchRequest(Request, frozen=True, kw_only=True):
    """Off or on: all submits, a model, or a lane. What runs is not touched."""

    what: Literal["submits", "model", "lane"]
    name: Annotated[str, Meta(max_length=64, pattern=_NO_NUL)] = ""
    """Of the model, or the number of the lane."""
    paused: bool
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX, pattern=_NO_NUL)] = ""


class GrantRequest(Request, frozen=True, kw_only=True):
    """Tokens that do not expire."""

    tokens: Annotated[int, Meta(ge=1, le=10**9)]
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX, pattern=_NO_NUL)]


class PlanChange(Request, frozen=True, kw_only=True):
    """Puts somebody on a plan, at once."""

    plan: Name
    """As in `GET /api/v1/plans`."""
    paid_until: Annotated[datetime, Meta(tz=True)] | None = None
    """Three days after this it lapses to `free`; absent: it does not lapse."""


class GrantView(Message, frozen=True, kw_only=True):
    """What somebody has after a grant."""

    id: UUID
    purchased: int


class WhyView(Message, frozen=True, kw_only=True):
    """What holds a job up, for the operator."""

    job_id: UUID
    state: str
    lines: list[str]
    """Sentences, in English."""


class UserFound(Message, frozen=True, kw_only=True):
    """Somebody by a name, an id or an identity."""

    user: UserView
