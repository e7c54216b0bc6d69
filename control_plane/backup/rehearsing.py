"""A copy of the database to try things on: made of one snapshot, in a server of its own that lives for the trial."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from control_plane import embedded
from control_plane.backup import BackupError, archive, dump, proving
from control_plane.store.staged import in_thread

CONNECTIONS = "60"
"""A control plane will use it."""


class Copy(msgspec.Struct, frozen=True):
    app_url: str
    owner_url: str
    folder: Path
    """Free to be used as a data folder."""


@asynccontextmanager
async def copied(url: str, data_dir: Path) -> AsyncIterator[Copy]:
    """Of the database at `url`, by its owner; gone after the block. Raises `BackupError`."""
    spool = data_dir / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=spool) as name:
        folder, dumped = Path(name), Path(name, archive.DUMP)
        async with dump.connected(url) as reader, dump.snapshot(reader) as exported:
            proving.check_room(folder, exported.bytes)
            major = await dump.dump(url, exported, dumped)
        programs = dump.chosen(major, "pg_restore", "postgres", "initdb")
        settings = {**proving.SETTINGS, "max_connections": CONNECTIONS}
        try:
            server = await in_thread(embedded.start, folder / "server", settings, programs)
        except embedded.EmbeddedError as error:
            raise BackupError(f"The server for the rehearsal does not start: {error}") from error
        try:
            await dump.restore(server.owner_url, dumped, major)
            (folder / "data").mkdir()
            yield Copy(server.app_url, server.owner_url, folder / "data")
        finally:
            await in_thread(server.stop)
            shutil.rmtree(folder / "data", ignore_errors=True)
