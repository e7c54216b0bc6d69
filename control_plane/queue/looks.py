"""Looks at jobs, for whoever shows them: what is asked at the same moment is looked at by one statement.

When a job changes, every stream that tells of it looks; what the feed gave out together is looked at together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.queue.coalesce import Coalescer
from control_plane.states import State
from control_plane.wire.worker import Phase


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is, with what was ordered and what came of it."""

    id: UUID
    test: bool
    lane_id: int
    state: State
    phase: Phase | None
    cancel_requested: bool
    tag: float | None
    cost: int
    charged: int | None
    """Of the settlement, once the job is over."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    spec: str
    metadata: str
    progress: float | None
    progress_step: int | None
    progress_steps: int | None
    capped: bool
    """In line, while its user has as many running as the plan allows."""
    artifacts: str | None
    provenance: str | None


class Look(NamedTuple):
    user_id: UUID
    job_id: UUID


SHOWN = Query("jobs.shown", JobRow)


class Looks:
    """One per process."""

    def __init__(self, database: Database, tasks: asyncio.TaskGroup) -> None:
        self._database = database
        self._together: Coalescer[Look, JobRow | None] = Coalescer(self._batch, tasks)

    async def one(self, user_id: UUID, job_id: UUID) -> JobRow | None:
        """This job, if it is the user's."""
        return await self._together(Look(user_id, job_id))

    async def several(self, looks: Sequence[Look]) -> list[JobRow | None]:
        """These jobs, each if it is its user's."""
        asked = [self._together.ask(look) for look in looks]
        if asked:
            await asyncio.wait(asked)
        return [answer.result() for answer in asked]

    async def many(self, user_id: UUID, job_ids: Sequence[UUID]) -> list[JobRow]:
        """These jobs of the user, in this order; what is not there or not theirs is left out."""
        rows = await self._batch([Look(user_id, job_id) for job_id in job_ids])
        return [row for row in rows if row is not None]

    async def _batch(self, looks: Sequence[Look]) -> list[JobRow | None]:
        if not looks:
            return []
        asked = {"user_id": [look.user_id for look in looks], "job_id": [look.job_id for look in looks]}
        found = {row.id: row for row in await self._database.many(SHOWN, asked)}
        return [found.get(look.job_id) for look in looks]
