"""The statements of an operator (`sql/queries/operator.sql`) with their rows; everything else belongs to its module."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.database import Query
from control_plane.wire.worker import Phase


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    user: str
    kind: str
    model: str
    state: str
    phase: Phase | None
    canceling: bool
    worker: str | None
    progress: float | None
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None


class JobDetail(JobRow, frozen=True, kw_only=True):
    user_id: UUID
    lane_id: int
    tag: float | None
    cost: int
    failures: int
    losses: int
    due_at: datetime | None
    start_by: datetime | None
    lease_expires_at: datetime | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    worker: str
    slot: int
    offered_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    cause: str | None
    message: str | None
    joules: float | None


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str


class LaneRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    kind: str
    model: str
    task: str
    """Empty: all tasks of the model."""
    vram_gib: int
    paused: bool
    model_paused: bool
    queued: int
    oldest_seconds: float | None
    backoff: int
    leased: int
    live_slots: int


class SubmitsRow(msgspec.Struct, frozen=True, kw_only=True):
    paused_at: datetime | None
    reason: str


class DurabilityRow(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    version_number: int
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    waits_for_standby: bool
    standbys: int


class WorkflowRow(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest` and `licences` are JSON."""

    name: str
    manifest: str
    version: str
    licences: str
    published_at: datetime
    withdrawn_at: datetime | None
    paused: bool
    able_slots: int
    """That could run it when they were last heard."""
    live_slots: int
    queued: int


JOBS = Query("operator.jobs", JobRow)
JOB = Query("operator.job", JobDetail)
ATTEMPTS = Query("operator.attempts", AttemptRow)
FILES = Query("operator.files", FileRow)
LANES = Query("operator.lanes", LaneRow)
SUBMITS = Query("operator.submits", SubmitsRow)
PAUSE_SUBMITS = Query("operator.pause_submits", SubmitsRow)
RESUME_SUBMITS = Query("operator.resume_submits", SubmitsRow)
PAUSE_MODEL = Query("operator.pause_model", str)
PAUSE_LANE = Query("operator.pause_lane", int)
WORKFLOWS = Query("workflows.listed", WorkflowRow)
NOW = Query("operator.now", datetime)
DURABILITY = Query("operator.durability", DurabilityRow)
