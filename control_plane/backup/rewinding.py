"""The embedded server as it was at a minute: the base before it, and the log from there up to it.

The database is of that minute. Pictures are those that a nightly backup has brought to the place; what was drawn since
has its row and is told as missing. Keys and bots are those of the last nightly backup before.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

import msgspec

from control_plane import account, embedded
from control_plane.backup import BackupError, dump, making, names, pictures, restoring, streaming
from control_plane.backup.places import Place
from control_plane.backup.sealing import Opener
from control_plane.backup.streaming import Base
from control_plane.settings import Settings
from control_plane.store import open_store
from control_plane.store.staged import in_thread

LOG = "postgres-log"
"""In the data folder, while the server reads it."""
TRIES = 180
"""Two minutes each: what the log of a week may take to be read."""


class Rewound(msgspec.Struct, frozen=True, kw_only=True):
    until: str
    base: str
    segments: int
    rows: int
    files: int
    files_missing: list[str]
    belongings_of: str | None
    """The backup that keys and bots came from."""


async def rewind(settings: Settings, place: Place, opener: Opener, until: datetime) -> Rewound:
    """Into a data folder without a database. Raises `BackupError`, `EmbeddedError`."""
    data_dir, there = settings.data_dir, await place.names()
    if (data_dir / "postgres").exists():
        raise BackupError(f"There is a database in {data_dir} already; nothing was changed. Choose an empty folder.")
    base = next((base for base in streaming.bases(there) if base.at <= until), None)
    if base is None:
        raise BackupError(f"There is no base backup from before {until.isoformat()} in {place.where}.")
    spool = data_dir / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rewind-", dir=spool) as folder:
        segments = await _fetch(place, opener, base, data_dir, Path(folder))
        await in_thread(_replay, data_dir, until)
        older = [name for name in names.newest_first(there) if names.taken_at(name) <= until]
        if older:
            chosen = restoring.Chosen(place, older[0])
            await restoring.opened(chosen, opener, Path(folder))
            restoring.lay(Path(folder, "content"), data_dir)
        rows, brought, missing = await _pictures(settings, place, opener, Path(folder))
    return Rewound(
        until=until.isoformat(),
        base=base.name,
        segments=segments,
        rows=rows,
        files=brought,
        files_missing=missing,
        belongings_of=older[0] if older else None,
    )


async def _fetch(place: Place, opener: Opener, base: Base, data_dir: Path, spool: Path) -> int:
    """Cluster and log where the server will look for them; how many segments."""
    await _bring(place, opener, base.name, spool, spool / "base.tar")
    await in_thread(_unpack, spool / "base.tar", data_dir / "postgres")
    log = data_dir / LOG
    await in_thread(lambda: shutil.rmtree(log, ignore_errors=True))
    await in_thread(lambda: log.mkdir(mode=0o700))
    count = 0
    for name in sorted(await place.names(f"{streaming.WAL}{base.cluster}/")):
        segment = name.rpartition("/")[2].partition(".gz")[0]
        if streaming.SEGMENT.fullmatch(segment) and ("history" in segment or segment[8:] >= base.segment[8:]):
            await _bring(place, opener, name, spool, log / segment)
            count += 1
    await in_thread(_own, data_dir)
    return count


async def _bring(place: Place, opener: Opener, name: str, spool: Path, target: Path) -> None:
    await place.get(name, spool / "sealed")
    await in_thread(lambda: opener.open(spool / "sealed", spool / "zipped", closed=names.is_sealed(name)))
    await in_thread(_unzip, spool / "zipped", target)


def _replay(data_dir: Path, until: datetime) -> None:
    """Start it with the order to read up to that moment, and stop it when it has."""
    (data_dir / "postgres" / "recovery.signal").touch()
    log = data_dir.resolve() / LOG
    settings = {
        "restore_command": f'cp "{log}/%f" "%p"',
        "recovery_target_time": until.isoformat(),
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
        "hot_standby": "off",
    }
    _own(data_dir)
    for _ in range(TRIES):
        try:
            embedded.start(data_dir, settings).stop()
            break
        except embedded.EmbeddedError as error:
            if "did not answer" in str(error):
                continue
            raise BackupError(
                f"The log does not reach {until.isoformat()}, or begins after it. Try an earlier moment. PostgreSQL"
                f" says: {error}"
            ) from error
    shutil.rmtree(log)


async def _pictures(settings: Settings, place: Place, opener: Opener, spool: Path) -> tuple[int, int, list[str]]:
    server = await in_thread(embedded.start, settings.data_dir)
    try:
        async with dump.connected(server.owner_url) as connection:
            wanted = await making.PICTURES.many(connection)
            rows = sum(table.rows for table in (await dump.facts(connection)).tables.values())
        brought, missing = await pictures.bring_back(open_store(settings), place, opener, wanted, spool)
    finally:
        await in_thread(server.stop)
    return rows, brought, missing


def _unpack(packed: Path, cluster: Path) -> None:
    cluster.mkdir(mode=0o700)
    with tarfile.open(packed) as tar:
        tar.extractall(cluster, filter="data")
    # It names a process of the machine that was copied; here that number may be a stranger's, who would bar the start.
    (cluster / f"{embedded.SOCKET_NAME}.lock").unlink(missing_ok=True)
    cluster.chmod(0o700)


def _own(data_dir: Path) -> None:
    """As root, the cluster belongs to the account that the server runs as."""
    if os.geteuid() != 0:
        return
    uid = account.unprivileged(data_dir / "postgres")
    for top in (data_dir / "postgres", data_dir / LOG):
        for path in (top, *top.rglob("*")):
            account.give(path, uid)


def _unzip(source: Path, target: Path) -> None:
    with gzip.open(source, "rb") as packed, target.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1024**2)
