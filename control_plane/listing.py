"""Lists of jobs, page by page."""

from __future__ import annotations

from uuid import UUID

from control_plane import views
from control_plane.context import Context
from control_plane.database import Query
from control_plane.views import JobRow
from control_plane.wire.job import JobList, JobStatus

PAGE_MAX = 100

PAGE = Query("jobs.page", JobRow)


async def page(
    context: Context, user_id: UUID, *, before: UUID | None, status: JobStatus | None, limit: int
) -> JobList:
    """A page of a user's jobs, the newest first."""
    rows = await context.database.many(
        PAGE, {"user_id": user_id, "before": before, "status": status, "most": limit + 1}
    )
    data = [await views.viewed(context, row) for row in rows[:limit]]
    more = len(rows) > limit
    return JobList(data=data, has_more=more, next_cursor=cursor(rows[limit - 1].id) if more else None)


def cursor(job_id: UUID) -> str:
    """Opaque to clients: where the next page begins."""
    return job_id.hex
