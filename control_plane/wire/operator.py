"""What an operator sees and does over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.conduct import REASON_LENGTH_MAX
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


class ServiceView(Message, frozen=True, kw_only=True):
    """The whole service at a glance."""

    submits_paused: bool
    reason: str
    workers: dict[Condition, int]
    """How many are how."""
    lanes: list[LaneView]


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
