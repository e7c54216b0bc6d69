"""What is written down of backups, for those who watch: the command line, metrics, the operator's notices."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.database import Database, Query


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """One that was begun. Without an end it was cut down, or goes on."""

    id: UUID
    kind: str
    place: str
    name: str
    sealed: bool
    started_at: datetime
    ended_at: datetime | None
    verified_at: datetime | None
    bytes: int | None
    files: int | None
    files_missing: int | None
    error: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The last one, and the last that was proven; ages by the database's clock."""

    last_started_at: datetime | None
    last_ended_at: datetime | None
    last_error: str | None
    last_bytes: int | None
    last_age_seconds: float | None
    verified_at: datetime | None
    verified_age_seconds: float | None


RECENT = Query("backups.recent", Backup)
STANDING = Query("backups.standing", Standing)
DUE = Query("backups.due", bool)


async def recent(database: Database, most: int) -> list[Backup]:
    """The newest first."""
    return await database.many(RECENT, {"most": most})


async def standing(database: Database) -> Standing:
    """How the backups stand; all None when there was never one."""
    found = await database.one(STANDING)
    assert found is not None
    return found


async def due(database: Database, at: str) -> bool:
    """Whether the backup of `at` (a time of day in UTC) is still to be made."""
    return await database.one(DUE, {"at": at}) is True
