"""Quarantine: a file that nobody may see.

Every address and every list looks at the row of the file when it is asked, in whatever process, so a quarantined file
is gone from all of them the moment this commits, signed addresses that were handed out before included; a download
that is under way looks again every few seconds. What the file was before (private, shared, published) is remembered
and comes back with `restore`. The file itself stays in the store for as long as any other.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import NotFound

QUARANTINE = Query("quarantine.quarantine", int)
RESTORE = Query("quarantine.restore", int)
VISIBILITY = Query("quarantine.visibility", str)

log = structlog.get_logger()


async def quarantine(database: Database, job_id: UUID, index: int, actor: Actor, reason: str = "") -> None:
    """Withdraws a file. Idempotent. Raises `NotFound`."""
    async with database.transaction() as connection:
        if not await withdraw(connection, job_id, index, actor, reason):
            await _known(connection, job_id, index)


async def restore(database: Database, job_id: UUID, index: int, actor: Actor) -> None:
    """Takes a quarantine back. Idempotent. Raises `NotFound`."""
    async with database.transaction() as connection:
        for restored in await RESTORE.many(connection, {"job_id": job_id, "index": index}):
            await audit.record(connection, actor, "restore", ("artifact", f"{job_id}/{restored}"))
            log.info("artifact.restored", job_id=job_id, index=restored)
        await _known(connection, job_id, index)


async def withdraw(
    connection: AsyncConnection[Any], job_id: UUID, index: int | None, actor: Actor, reason: str
) -> list[int]:
    """The same within a transaction, for one file or (None) all of a job; which ones were not quarantined before."""
    found = sorted(await QUARANTINE.many(connection, {"job_id": job_id, "index": index}))
    for withdrawn in found:
        await audit.record(connection, actor, "quarantine", ("artifact", f"{job_id}/{withdrawn}"), {"reason": reason})
        log.info("artifact.quarantined", job_id=job_id, index=withdrawn)
    return found


async def _known(connection: AsyncConnection[Any], job_id: UUID, index: int) -> None:
    if await VISIBILITY.one(connection, {"job_id": job_id, "index": index}) is None:
        raise NotFound("There is no such file, or its job has not succeeded.")
