"""Every minute on its way: a base backup of the embedded server now and then, and its log (WAL) as it is written.

PostgreSQL's own programs do it: `pg_basebackup` copies the cluster, `pg_receivewal` follows its log through a slot, so
that nothing is recycled before it was received. Once in SHIP_SECONDS the segment is ended, packed, closed, and put to
the place.

    base-20261123T033000Z-000000010000000000000004-74….tar.gz.age    time, first segment that it needs, cluster
    wal/7400000000000000000/000000010000000000000004.gz.age          by cluster: another one has the same names

Kept are the last BASES bases and all segments since the older one. A server that nobody follows keeps its log for that
slot, at most `max_slot_wal_keep_size`; then the stream has a gap, which is told, and begins anew with a base.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from psycopg import AsyncConnection

from control_plane.backup import BackupError, dump, making, names
from control_plane.backup.places import Place
from control_plane.backup.sealing import Seal
from control_plane.database import Query
from control_plane.store.staged import in_thread

SHIP_SECONDS = 60.0
"""What a fire may cost."""
BASE_AGE = timedelta(days=7)
BASES = 2
END_SECONDS = 20.0
GZIP_LEVEL = 1
"""Most of a segment that was closed early is nothing; more effort gains little."""
WAL = "wal/"

BASE_NAME = re.compile(r"base-(\d{8}T\d{6}Z)-([0-9A-F]{24})-(\d+)\.tar\.gz(\.age)?")
SEGMENT = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
_START = re.compile(rb"START WAL LOCATION: .* \(file ([0-9A-F]{24})\)")
_STAMP = "%Y%m%dT%H%M%SZ"

log = structlog.get_logger()


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Which one, of which version, and its clock."""

    system_identifier: str
    major: int
    now: datetime
    slot_lost: bool


class Base(msgspec.Struct, frozen=True):
    """A base as its name says."""

    name: str
    at: datetime
    segment: str
    cluster: str


CLUSTER = Query("backups.cluster", Cluster)
SLOT = Query("backups.slot", str)
DROP_SLOT = Query("backups.drop_slot", str)
SWITCH = Query("backups.switch", str)


async def stream(url: str, place: Place, seal: Seal, data_dir: Path) -> None:
    """Until it is cancelled; `url` is the superuser's. Raises `BackupError`."""
    folder = data_dir / "spool" / "stream"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with dump.connected(url) as connection:
        cluster = await _cluster(connection, folder)
        if (newest := _newest(await place.names(), cluster)) is None or cluster.now - newest.at > BASE_AGE:
            await _base(url, connection, place, seal, cluster, folder)
            await _thin_out(place)
        async with _receiving(url, cluster, folder) as received:
            sent: set[str] = set()
            while received.returncode is None:
                await asyncio.sleep(SHIP_SECONDS)
                await SWITCH.one(connection)
                sent = await ship(place, seal, cluster.system_identifier, folder, sent)
    raise BackupError("The log of the database cannot be followed any more (pg_receivewal has ended).")


async def ship(place: Place, seal: Seal, system_identifier: str, folder: Path, sent: set[str]) -> set[str]:
    """Put what was received whole to the place, oldest first; what of it lies here still, and need not go again."""
    whole = sorted(path for path in await in_thread(lambda: list(folder.iterdir())) if SEGMENT.fullmatch(path.name))
    for segment in (path for path in whole if path.name not in sent):
        await in_thread(_zip, segment, folder / "zipped")
        await in_thread(seal.close, folder / "zipped", folder / "closed")
        await place.put(segment_name(system_identifier, segment.name, sealed=seal.closed), folder / "closed")
    for segment in whole[:-1]:  # pg_receivewal goes on from the last one that it finds
        await in_thread(segment.unlink)
    return {segment.name for segment in whole[-1:]}


def segment_name(system_identifier: str, segment: str, *, sealed: bool) -> str:
    return f"{WAL}{system_identifier}/{segment}.gz{names.SEALED_SUFFIX if sealed else ''}"


def bases(there: list[str]) -> list[Base]:
    """The newest first."""
    matched = filter(None, map(BASE_NAME.fullmatch, there))
    found = [Base(one[0], datetime.strptime(one[1], _STAMP).replace(tzinfo=UTC), one[2], one[3]) for one in matched]
    return sorted(found, key=lambda base: base.at, reverse=True)


async def _cluster(connection: AsyncConnection[Any], folder: Path) -> Cluster:
    """With its slot, which is made anew when it has lost what it was to keep."""
    cluster = await CLUSTER.one(connection)
    assert cluster is not None
    if cluster.slot_lost:
        log.warning("stream.broken", cure="a new base is taken; there is a gap before it")
        await DROP_SLOT.one(connection)
        await in_thread(lambda: shutil.rmtree(folder))
        await in_thread(lambda: folder.mkdir(mode=0o700))
    await SLOT.one(connection)
    return cluster


def _newest(there: list[str], cluster: Cluster) -> Base | None:
    mine = [base for base in bases(there) if base.cluster == cluster.system_identifier]
    return mine[0] if mine and not cluster.slot_lost else None


async def _base(
    url: str, connection: AsyncConnection[Any], place: Place, seal: Seal, cluster: Cluster, folder: Path
) -> None:
    """Taken, closed, put to the place, and written down."""
    stamp = cluster.now.astimezone(UTC).strftime(_STAMP)
    fields = {"kind": "base", "place": place.where, "name": f"base-{stamp}", "sealed": seal.closed}
    known = await making.BEGIN.one(connection, fields)
    told: dict[str, Any] = dict.fromkeys(("bytes", "files", "files_missing", "error"))
    told |= {"id": known, "verified": False}
    try:
        with tempfile.TemporaryDirectory(prefix="base-", dir=folder) as room:
            words = ["--format=tar", "--wal-method=none", "--checkpoint=fast", f"--pgdata={room}/base"]
            await dump.run(dump.chosen(cluster.major, "pg_basebackup"), "pg_basebackup", *words, url=url)
            packed = Path(room, "base", "base.tar")
            segment = await in_thread(_start_segment, packed)
            await in_thread(_zip, packed, Path(room, "zipped"))
            await in_thread(seal.close, Path(room, "zipped"), Path(room, "closed"))
            suffix = names.SEALED_SUFFIX if seal.closed else ""
            name = f"base-{stamp}-{segment}-{cluster.system_identifier}.tar.gz{suffix}"
            await place.put(name, Path(room, "closed"))
            told["bytes"] = (await in_thread(Path(room, "closed").stat)).st_size
    except BackupError as error:
        told["error"] = str(error)[: making.ERROR_LENGTH_MAX]
        raise
    finally:
        await making.FINISH.run(connection, told)


@asynccontextmanager
async def _receiving(url: str, cluster: Cluster, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    programs = dump.chosen(cluster.major, "pg_receivewal")
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "pg_receivewal"), f"--directory={folder}", "--slot=tessera_stream", "--synchronous"),
        env=dump.environ(url),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(END_SECONDS):
                await process.wait()


async def _thin_out(place: Place) -> None:
    """What no kept base needs. Segments of another cluster go with its last base."""
    found = bases(await place.names())
    kept = found[:BASES]
    needed: dict[str, str] = {}
    for base in kept:
        needed[base.cluster] = min(base.segment, needed.get(base.cluster, base.segment))
    spent = [base.name for base in found[BASES:]]
    for name in await place.names(WAL):
        _, cluster, segment = name.split("/")
        if "history" not in segment and (cluster not in needed or segment[8:24] < needed[cluster][8:]):
            spent.append(name)
    await place.delete(spent)


def _start_segment(packed: Path) -> str:
    with tarfile.open(packed) as tar, suppress(KeyError):
        label = tar.extractfile("backup_label")
        if label is not None and (found := _START.search(label.read())):
            return found[1].decode()
    raise BackupError("The base backup has no label; it cannot be used.")


def _zip(source: Path, target: Path) -> None:
    with source.open("rb") as plain, gzip.open(target, "wb", compresslevel=GZIP_LEVEL) as packed:
        shutil.copyfileobj(plain, packed, 1024**2)
