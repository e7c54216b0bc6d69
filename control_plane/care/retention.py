"""Retention: the details of jobs that are over go when they are older than their owner's plan keeps them.

Files with their small pictures, links, prompts and metadata, what results were made with, and the events go; the job
itself with its sizes and its cost stays, and so do settlements, ledger and usage. Each user's jobs are walked once, in
the order of their ids; how far is written down (`retirements`), so that neither a mark nor an index on jobs is needed
and a pass with nothing to do costs one look per user. What had to be passed over is looked at again (`withheld`).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.files import discards
from control_plane.store import Store

BATCH = 200
"""Jobs whose details go in one transaction; a customer who wants one of them waits so long at most."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A user with jobs from before an instant that are to be retired."""

    user_id: UUID
    before: datetime


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs looked at, and the files of those that were retired."""

    seen: int
    keys: list[str]


DUE = Query("care.due", Due)
RETIRE = Query("care.retire", Retired)
RETIRE_WITHHELD = Query("care.retire_withheld", Retired)


async def sweep(database: Database, store: Store, ahead_seconds: float = 0.0) -> int:
    """Retires whatever is due; how many jobs were looked at. `ahead_seconds`: as it will be then, for rehearsals.

    Raises `Unavailable`, `OSError`: files that could not be deleted are noted as discards."""
    seen = await withheld(database, store, ahead_seconds)
    for due in await database.many(DUE, {"ahead_seconds": ahead_seconds}):
        seen += await walk(database, store, due.user_id, due.before)
    return seen


async def walk(database: Database, store: Store, user_id: UUID, before: datetime) -> int:
    """Retires the jobs of one user from before an instant; how many were looked at."""
    seen, last = 0, BATCH
    while last == BATCH:
        found = await database.one(RETIRE, {"user_id": user_id, "before": before, "most": BATCH})
        last = await _carried_out(database, store, found)
        seen += last
    return seen


async def withheld(database: Database, store: Store, ahead_seconds: float = 0.0) -> int:
    """Retires jobs that were passed over and need not be kept any more; how many."""
    seen, last = 0, BATCH
    while last == BATCH:
        found = await database.one(RETIRE_WITHHELD, {"ahead_seconds": ahead_seconds, "most": BATCH})
        last = await _carried_out(database, store, found)
        seen += last
    return seen


async def _carried_out(database: Database, store: Store, found: Retired | None) -> int:
    assert found is not None, "a function returns"
    await discards.carry_out(database, store, found.keys)
    return found.seen
