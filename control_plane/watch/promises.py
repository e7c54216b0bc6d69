"""Jobs that have waited longer than their bound.

The wait bound holds from every moment on: a job starts within what `queue.bound` says now. So the oldest job of each
lane is given a date when it is first seen there, and is overdue when that has passed, with some slack for what the
bound has to guess (the seconds of a run). Kept in the memory of the process; a new one gives new dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from control_plane.database import Database
from control_plane.operator import why
from control_plane.operator.tables import JOB
from control_plane.watch.facts import Line, Overdue

SLACK = 2.0
SLACK_SECONDS = 120.0
FRESH_SECONDS = 60.0
"""Who has waited less is not looked at."""
LANES_MAX = 16


class Promises:
    def __init__(self) -> None:
        self._dates: dict[UUID, datetime] = {}

    async def look(
        self, database: Database, lines: Sequence[Line], now: datetime, live_seconds: float
    ) -> list[Overdue]:
        """The oldest job of each lane that somebody serves, if it should have started."""
        served = [line for line in lines if line.live_slots and line.oldest_seconds >= FRESH_SECONDS][:LANES_MAX]
        self._dates = {line.oldest_id: self._dates[line.oldest_id] for line in served if line.oldest_id in self._dates}
        for line in served:
            if line.oldest_id not in self._dates:
                bound_seconds = await _bound_seconds(database, line.oldest_id, live_seconds)
                if bound_seconds is not None:
                    self.give(line.oldest_id, now, bound_seconds)
        return self.overdue(served, now)

    def give(self, job_id: UUID, now: datetime, bound_seconds: float) -> None:
        self._dates[job_id] = now + timedelta(seconds=bound_seconds * SLACK + SLACK_SECONDS)

    def overdue(self, served: Sequence[Line], now: datetime) -> list[Overdue]:
        return [
            Overdue(job_id=line.oldest_id, lane=f"{line.kind}/{line.model}", waited_seconds=line.oldest_seconds)
            for line in served
            if (date := self._dates.get(line.oldest_id)) is not None and date < now
        ]


async def _bound_seconds(database: Database, job_id: UUID, live_seconds: float) -> float | None:
    """From now on; None when there is none, or the job is not in line any more."""
    job = await database.one(JOB, {"job_id": job_id})
    if job is None or job.state != "queued":
        return None
    return (await why.answer(database, job, live_seconds)).bound_seconds
