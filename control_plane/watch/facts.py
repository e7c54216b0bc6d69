"""What is known of the service at one moment: rows of `watch.sql`, the disk, the bots, the certificate.

`Facts` says None for what could not be looked at; nothing is concluded from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.database import Query

LINE_MAX = 10_000
"""Jobs of a line that are counted."""
RUNNING_MAX = 1_000


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What there is only once; ages by the database's clock."""

    now: datetime
    age_seconds: float
    ledger_checked_at: datetime | None
    ledger_violations: int | None
    reports_open: int
    report_seconds: float | None
    payments_unmatched: int
    backup_at: datetime | None
    """When the last one began."""
    backup_ended_at: datetime | None
    backup_error: str | None
    backup_bytes: int | None
    backup_good_seconds: float | None
    """Age of the last one that succeeded."""
    backup_verified_at: datetime | None
    """When that was restored on trial."""
    watched_at: datetime | None
    webhooks_due: int
    webhook_seconds: float | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A lane in which somebody waits."""

    id: int
    kind: str
    model: str
    queued: int
    oldest_seconds: float
    oldest_id: UUID
    live_slots: int
    unserved_seconds: float | None
    """Since a slot of it was heard of; None: there never was one."""


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    cause: str
    runs: int
    jobs: int


class Running(msgspec.Struct, frozen=True, kw_only=True):
    worker_id: UUID
    slot: int
    job_id: UUID
    model: str
    phase: str
    seconds: float | None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The fuller of the file systems that hold data and files."""

    free_bytes: int
    bytes: int
    reserve_bytes: int

    @property
    def share(self) -> float:
        return self.free_bytes / self.bytes if self.bytes else 1.0


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    ready: bool
    why: str = ""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    days: float | None
    """Until it ends; None: there is no connection by TLS that can be trusted."""
    fault: str = ""


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """A job that should have started by now."""

    job_id: UUID
    lane: str
    waited_seconds: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    house: House
    lines: Sequence[Line]
    overdue: Sequence[Overdue] | None = None
    room: Room | None = None
    bots: Sequence[Bot] | None = None
    certificate: Certificate | None = None


HOUSE = Query("watch.house", House)
LINES = Query("watch.lines", Line)
FAILURES = Query("watch.failures", Failures)
RUNNING = Query("watch.running", Running)
