"""Reports: anybody's complaint about what they can see, and the operator's decision on it.

A report is filed once for each person and thing, by whoever can see the thing; to everybody else it does not exist. To
uphold one quarantines what it is about, in the same transaction; to dismiss one changes nothing else. A decision stays.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from control_plane import audit, metrics
from control_plane.audit import Actor
from control_plane.conduct import quarantine
from control_plane.database import Database, Query
from control_plane.errors import AlreadyHandled, NotFound, TooManyReports
from control_plane.wire.conduct import Decided, ReportCategory, ReportReceipt, ReportState, ReportView

OPEN_MAX = 50
"""Open reports of one person."""
PAGE_MAX = 100

log = structlog.get_logger()


class Added(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID | None
    created_at: datetime | None
    fresh: bool


class About(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    index: int | None


ADD = Query("reports.add", Added)
PAGE = Query("reports.page", ReportView)
HANDLE = Query("reports.handle", About)
STATE = Query("reports.state", str)


async def file(
    database: Database,
    reporter_id: UUID,
    job_id: UUID,
    index: int | None,
    category: ReportCategory,
    text: str,
    providers: Collection[str] = (),
) -> ReportReceipt:
    """Takes a complaint down; the first one of a person about a thing counts. `providers`: of a service that says that
    it has shown the thing to them. Raises `NotFound`, `TooManyReports`."""
    added = await database.one(
        ADD,
        {
            "reporter_id": reporter_id,
            "job_id": job_id,
            "index": index,
            "category": category,
            "text": text,
            "open_max": OPEN_MAX,
            "providers": list(providers),
        },
    )
    if added is None:
        raise NotFound("There is no such job or file that you can see.")
    if added.id is None or added.created_at is None:
        raise TooManyReports(f"You have {OPEN_MAX} open reports. Wait until the operator has looked at them.")
    if added.fresh:
        metrics.reports_filed.labels(category).inc()
        log.info("report.filed", report_id=added.id, job_id=job_id, category=category)
    return ReportReceipt(id=added.id, created_at=added.created_at)


async def page(
    database: Database, *, state: ReportState | None, before: UUID | None, limit: int
) -> tuple[list[ReportView], bool]:
    """Reports in a state (None: all), the newest first, and whether there are more."""
    found = await database.many(PAGE, {"state": state, "before": before, "most": limit + 1})
    return found[:limit], len(found) > limit


async def uphold(database: Database, report_id: UUID, actor: Actor) -> Decided:
    """The complaint is right: what it is about is quarantined. Raises `NotFound`, `AlreadyHandled`."""
    return await _decide(database, report_id, "upheld", "uphold", actor)


async def dismiss(database: Database, report_id: UUID, actor: Actor) -> Decided:
    """Nothing is wrong. Raises `NotFound`, `AlreadyHandled`."""
    return await _decide(database, report_id, "dismissed", "dismiss", actor)


async def _decide(database: Database, report_id: UUID, state: ReportState, verb: str, actor: Actor) -> Decided:
    async with database.transaction() as connection:
        about = await HANDLE.one(connection, {"report_id": report_id, "state": state, "handled_by": str(actor)})
        if about is None:
            was = await STATE.one(connection, {"report_id": report_id})
            raise NotFound("There is no such report.") if was is None else AlreadyHandled(f"This report is {was}.")
        withdrawn = []
        if state == "upheld":
            reason = f"report {report_id}"
            withdrawn = await quarantine.withdraw(connection, about.job_id, about.index, actor, reason)
        await audit.record(connection, actor, verb, ("report", report_id), {"job": about.job_id, "index": about.index})
    log.info("report.handled", report_id=report_id, job_id=about.job_id, state=state)
    return Decided(id=report_id, state=state, quarantined=withdrawn)
