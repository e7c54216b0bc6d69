"""The proof of a backup: read back from where it lies, opened, restored into an empty server, and compared.

The server is a PostgreSQL of its own that lives for the proof. In the one of the service, the restore would be a long
transaction, and those delay the events of all jobs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from control_plane import embedded
from control_plane.backup import BackupError, archive, dump
from control_plane.backup.archive import Manifest
from control_plane.backup.dump import Facts
from control_plane.backup.places import Place
from control_plane.backup.sealing import Seal
from control_plane.store.staged import in_thread

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "128MB",
    "max_connections": "10",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""Nothing in it is to last."""
ROOM = 1.5
"""Free space for a proof, in sizes of the database."""


async def prove(place: Place, name: str, seal: Seal, expected: Facts, spool: Path) -> list[str]:
    """How what lies there differs from what was to be backed up, in words; empty when it is the same."""
    folder = spool / "proof"
    folder.mkdir(mode=0o700)
    await place.get(name, folder / "sealed")
    await in_thread(seal.reopen, folder / "sealed", folder / "archive.tar")
    (folder / "sealed").unlink()
    found = await in_thread(archive.unpack, folder / "archive.tar", folder / "content")
    (folder / "archive.tar").unlink()
    told = expected.differences(facts_in(found))
    return told or expected.differences(await _restored(folder, found))


async def _restored(folder: Path, manifest: Manifest) -> Facts:
    programs = dump.chosen(manifest.major, "pg_restore", "postgres", "initdb")
    try:
        server = await in_thread(embedded.start, folder / "server", SETTINGS, programs)
    except embedded.EmbeddedError as error:
        raise BackupError(f"The server for the proof does not start: {error}") from error
    try:
        await dump.restore(server.owner_url, folder / "content" / archive.DUMP, manifest.major)
        return await dump.facts_of(server.owner_url)
    finally:
        await in_thread(server.stop)


def facts_in(manifest: Manifest) -> Facts:
    return Facts(manifest.migrations, manifest.tables, manifest.grants, manifest.violations)


def check_room(spool: Path, database_bytes: int) -> None:
    """Raises `BackupError` when a proof would fill the disk."""
    free, wanted = shutil.disk_usage(spool).free, int(database_bytes * ROOM)
    if free < wanted:
        raise BackupError(
            f"A proof needs {wanted // 1024**2} MiB of room in {spool}, and {free // 1024**2} MiB are free."
            " Free some; `--no-proof` makes a backup that nobody has tried."
        )
