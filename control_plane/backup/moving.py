"""A database carried to another server, or to a newer PostgreSQL: dump, restore, and both compared to the row.

Nothing is changed where it comes from, so every failure leaves the service as it was. Nobody may write meanwhile: other
programs must be gone, and what was read is read again at the end.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from control_plane import embedded
from control_plane.backup import BackupError, archive, dump
from control_plane.backup.dump import Facts
from control_plane.programs import Programs, ProgramsMissing
from control_plane.programs import of as programs_of
from control_plane.programs import within as programs_within
from control_plane.store.staged import in_thread

TOLD_MAX = 10


class Moved(msgspec.Struct, frozen=True):
    """What is now there, the same as it was here."""

    tables: int
    rows: int
    grants: int


class Upgraded(msgspec.Struct, frozen=True):
    before: int
    after: int
    rows: int
    kept: str
    """The folder of the old cluster."""


async def move(source: str, target: str, data_dir: Path) -> Moved:
    """Carry everything at `source` into the empty database at `target`, by their owners. Raises `BackupError`."""
    spool = data_dir / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    await dump.empty(target, force=False)
    with tempfile.TemporaryDirectory(prefix="move-", dir=spool) as folder:
        found = await _carry(source, target, Path(folder))
    return Moved(len(found.tables), sum(table.rows for table in found.tables.values()), len(found.grants))


async def upgrade(data_dir: Path, old_programs: Path | None = None) -> Upgraded | None:
    """The embedded cluster made anew by the PostgreSQL that we bring along; None when it is of it already.

    The old cluster stays beside the new one. Raises `BackupError`, `EmbeddedError`.
    """
    cluster, fresh = data_dir / "postgres", data_dir / embedded.UPGRADE
    if not cluster.exists() and (fresh / "postgres" / "PG_VERSION").exists():
        await in_thread(_finish, data_dir)
    before = _version(cluster)
    if before == embedded.POSTGRES_MAJOR:
        return None
    programs = _old_programs(before, old_programs)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    old = await in_thread(embedded.start, data_dir, None, programs)
    try:
        new = await in_thread(embedded.start, fresh)
        try:
            found = await _carry(old.url(embedded.OWNER), new.url(embedded.OWNER), fresh)
        finally:
            await in_thread(new.stop)
    finally:
        await in_thread(old.stop)
    kept = _kept(data_dir, before)
    cluster.rename(kept)
    await in_thread(_finish, data_dir)
    rows = sum(table.rows for table in found.tables.values())
    return Upgraded(before, embedded.POSTGRES_MAJOR, rows, str(kept))


async def _carry(source: str, target: str, spool: Path) -> Facts:
    dumped = spool / archive.DUMP
    async with dump.connected(source) as reader:
        await dump.alone(reader)
        async with dump.snapshot(reader) as exported:
            expected = await dump.facts(reader)
            major = await dump.dump(source, exported, dumped)
    await dump.restore(target, dumped, major)
    dumped.unlink()
    for wrong, what in (
        (expected.differences(await dump.facts_of(target)), "What has arrived is not what was sent"),
        (expected.differences(await dump.facts_of(source)), "Somebody has written meanwhile"),
    ):
        if wrong:
            raise BackupError(f"{what}: {'; '.join(wrong[:TOLD_MAX])}. Nothing was changed here.")
    return expected


def _version(cluster: Path) -> int:
    try:
        before = int((cluster / "PG_VERSION").read_text())
    except (OSError, ValueError) as error:
        raise BackupError(f"There is no embedded PostgreSQL in {cluster.parent}.") from error
    if before > embedded.POSTGRES_MAJOR:
        raise BackupError(
            f"{cluster} was made by PostgreSQL {before}, and this Tessera brings {embedded.POSTGRES_MAJOR}."
            " There is no way back but a backup: install the newer Tessera, or restore with this one."
        )
    return before


def _old_programs(major: int, folder: Path | None) -> Programs:
    try:
        if folder is not None:
            return programs_within(folder, major)
        return programs_of(major, "postgres", "pg_dump", exactly=True)
    except ProgramsMissing as error:
        raise BackupError(
            f"The database is of PostgreSQL {major}, whose programs are needed once more to read it. {error}"
            " If they lie elsewhere: tessera db upgrade --old-programs FOLDER."
        ) from error


def _finish(data_dir: Path) -> None:
    """The last step, which is all that is left to do when it was cut down before."""
    fresh = data_dir / embedded.UPGRADE
    (fresh / "postgres").rename(data_dir / "postgres")
    shutil.rmtree(fresh)


def _kept(data_dir: Path, major: int) -> Path:
    """Where the old cluster goes; one that is there already stays."""
    for number in range(1, 100):
        candidate = data_dir / f"postgres-{major}{f'.{number}' if number > 1 else ''}"
        if not candidate.exists():
            return candidate
    raise BackupError(f"There are too many old clusters in {data_dir}; remove some.")
