"""Suspending an account: it may do nothing, and what it has in hand ends.

A user is one row with all their identities and keys, so all of them are suspended at once. The status is committed
first and counts in the very statement that admits orders, so nothing can be ordered behind it; then every job that
waits is canceled and its tokens return, and every job that runs gets the wish to cancel. Whoever calls announces both:
`user <id>` at once, `worker <id>` for each agent. A process that hears nothing looks again within `CACHE_SECONDS` of
`credentials`. Restoring gives access back; what was canceled stays canceled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import structlog

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import NotFound
from control_plane.queue import statements

BATCH = 500

SUSPEND = Query("suspension.suspend", UUID)
RESTORE = Query("suspension.restore", UUID)
STATUS = Query("suspension.status", str)
IN_HAND = Query("suspension.in_hand", UUID)

log = structlog.get_logger()


async def suspend(database: Database, user_id: UUID, actor: Actor, reason: str = "") -> None:
    """Suspends; `stop` what is in hand afterwards. Idempotent. Raises `NotFound`."""
    if await _changed(database, SUSPEND, user_id, actor, "suspend", {"reason": reason}):
        log.info("user.suspended", user_id=user_id)


async def restore(database: Database, user_id: UUID, actor: Actor) -> None:
    """Takes a suspension back. Idempotent. Raises `NotFound`."""
    if await _changed(database, RESTORE, user_id, actor, "restore", {}):
        log.info("user.restored", user_id=user_id)


async def stop(database: Database, user_id: UUID) -> AsyncIterator[statements.Canceled]:
    """Cancels everything that the user has in hand, what runs first; yields each job that was, as it is canceled."""
    while in_hand := await database.many(IN_HAND, {"user_id": user_id, "most": BATCH}):
        for job_id in in_hand:
            if canceled := await statements.cancel(database, user_id, job_id):
                yield canceled


async def _changed(
    database: Database, change: Query[UUID], user_id: UUID, actor: Actor, verb: str, detail: dict[str, object]
) -> bool:
    """Whether there was anything to change."""
    async with database.transaction() as connection:
        if await change.one(connection, {"user_id": user_id}) is not None:
            await audit.record(connection, actor, verb, ("user", user_id), detail)
            return True
        if await STATUS.one(connection, {"user_id": user_id}) not in ("active", "suspended"):
            raise NotFound("There is no such user.")
        return False
