"""Making a backup, from the snapshot to the proof, and writing down what became of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import structlog
from psycopg import AsyncConnection

from control_plane.backup import BackupError, archive, dump, names, pictures, proving
from control_plane.backup.archive import Manifest, Member, Picture
from control_plane.backup.belongings import Belongings
from control_plane.backup.dump import Exported, Facts
from control_plane.backup.places import FolderPlace, Place
from control_plane.backup.sealing import Seal
from control_plane.database import Query
from control_plane.errors import TesseraError
from control_plane.log import redact
from control_plane.settings import Settings
from control_plane.store import open_store
from control_plane.store.staged import in_thread

ERROR_LENGTH_MAX = 2_000
TOLD_MAX = 10
LOCK_SECONDS, LOCK_BEAT_SECONDS = 5.0, 0.1
SPOOL_PREFIX = "backup-"

LOCK = Query("backups.lock", bool)
PICTURES = Query("backups.pictures", Picture)
BEGIN = Query("backups.begin", UUID)
FINISH: Query[None] = Query("backups.finish")
KNOWN_PLACE = Query("backups.known_place", bool)

log = structlog.get_logger()


class Made(msgspec.Struct, kw_only=True):
    """A backup as it is told."""

    name: str
    place: str
    sealed: bool
    taken_at: datetime
    bytes: int = 0
    tables: int = 0
    rows: int = 0
    files: int = 0
    files_new: int = 0
    files_kept: bool = True
    files_missing: list[str] = []
    left_out: list[str] = []
    verified: bool = False
    dropped: list[str] = []


async def make(
    settings: Settings, url: str, place: Place, tessera: str, *, proof: bool = True, first: bool = False
) -> Made:
    """One backup of the database at `url`, by its owner. Raises `BackupError`; what is written down says so, too.

    `first` allows a place without any earlier backup where there should be some.
    """
    seal = Seal(settings.backup_recipient)
    spool = settings.data_dir / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with dump.connected(url) as record, dump.connected(url) as reader:
        await _lock(record)
        await _check_place(record, place, first=first)
        for left in spool.glob(f"{SPOOL_PREFIX}*"):  # of one that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=SPOOL_PREFIX, dir=spool) as folder:
            run = _Run(settings, url, place, seal, Path(folder), tessera)
            async with AsyncExitStack() as held:
                exported = await held.enter_async_context(dump.snapshot(reader))
                async with run.recorded(record, exported) as made:
                    if proof:
                        proving.check_room(spool, exported.bytes)
                    manifest = await run.read(reader, exported, made)
                    await held.aclose()  # an old snapshot costs everybody; the rest needs it no more
                    await run.write(manifest, made)
                    wrong = await run.prove(proving.facts_in(manifest), made) if proof else []
                    run.judge(manifest, made, wrong)
                    made.verified = proof
                    made.dropped = await thin_out(place)
    return made


class _Run:
    """What all steps of one backup share."""

    def __init__(self, settings: Settings, url: str, place: Place, seal: Seal, spool: Path, tessera: str) -> None:
        self._settings, self._url, self._place, self._seal = settings, url, place, seal
        self._spool, self._tessera = spool, tessera
        self._wanted: list[Picture] = []
        self._copied = pictures.Copied(missing=[], damaged=[])

    @asynccontextmanager
    async def recorded(self, record: AsyncConnection[Any], exported: Exported) -> AsyncIterator[Made]:
        """It begins, and ends well or with what went wrong."""
        name = names.archive(names.stem(exported.taken_at), sealed=self._seal.closed)
        made = Made(name=name, place=self._place.where, sealed=self._seal.closed, taken_at=exported.taken_at)
        fields = {"kind": "dump", "place": made.place, "name": name, "sealed": made.sealed}
        known = await BEGIN.one(record, fields)
        try:
            yield made
        except (BackupError, TesseraError, OSError) as error:
            told = redact(str(error))[:ERROR_LENGTH_MAX] or type(error).__name__
            await self._finish(record, known, made, told)
            log.error("backup.failed", name=name, error=told)
            raise error if isinstance(error, BackupError) else BackupError(told) from error
        except asyncio.CancelledError:
            await self._finish(record, known, made, "It was stopped before its end.")
            raise
        await self._finish(record, known, made, None)
        log.info("backup.finished", name=name, bytes=made.bytes, verified=made.verified)

    async def _finish(self, record: AsyncConnection[Any], known: UUID | None, made: Made, error: str | None) -> None:
        told = {"id": known, "verified": made.verified, "bytes": made.bytes, "files": made.files, "error": error}
        await FINISH.run(record, {**told, "files_missing": len(made.files_missing)})

    async def read(self, reader: AsyncConnection[Any], exported: Exported, made: Made) -> Manifest:
        """Everything that is read in the snapshot."""
        expected = await dump.facts(reader)
        major = await dump.dump(self._url, exported, self._spool / archive.DUMP)
        self._wanted = await PICTURES.many(reader)
        made.tables, made.rows = len(expected.tables), sum(table.rows for table in expected.tables.values())
        made.files, made.files_kept = len(self._wanted), not _in_a_bucket(self._settings)
        return self._manifest(exported, expected, major, made)

    async def write(self, manifest: Manifest, made: Made) -> None:
        """Pictures, their list, the archive: the archive is the last to appear."""
        if made.files_kept:
            await self._bring_pictures(made)
        await self._close(manifest, self._spool / archive.DUMP, made)

    async def _bring_pictures(self, made: Made) -> None:
        store = open_store(self._settings)
        self._copied = await pictures.copy(store, self._place, self._seal, self._wanted, self._spool)
        made.files_new, made.files_missing = self._copied.new, self._copied.missing
        listed = self._spool / "listed"
        listed.write_text("".join(f"{sha256}\n" for sha256 in sorted({picture.sha256 for picture in self._wanted})))
        await self._place.put(names.listing(names.stem(made.taken_at)), listed)

    async def _close(self, manifest: Manifest, dumped: Path, made: Made) -> None:
        keep_out = (self._place.root,) if isinstance(self._place, FolderPlace) else ()
        belongings = Belongings(self._settings, keep_out)
        packed, closed = self._spool / "archive.tar", self._spool / "closed"
        await in_thread(archive.pack, packed, self._members(manifest, dumped, belongings))
        await in_thread(self._seal.close, packed, closed)
        made.left_out, made.bytes = belongings.left_out, closed.stat().st_size
        await self._place.put(made.name, closed)
        for spent in (packed, closed, dumped):
            spent.unlink()

    def _members(self, manifest: Manifest, dumped: Path, belongings: Belongings) -> Iterator[Member]:
        yield Member(archive.MANIFEST, msgspec.json.encode(manifest))
        yield Member(archive.PICTURES, msgspec.json.Encoder().encode_lines(self._wanted))
        yield Member(archive.DUMP, dumped)
        yield from belongings.members()

    def _manifest(self, exported: Exported, expected: Facts, major: int, made: Made) -> Manifest:
        return Manifest(
            format=archive.FORMAT,
            taken_at=exported.taken_at,
            tessera=self._tessera,
            server=exported.server,
            major=major,
            migrations=expected.migrations,
            tables=expected.tables,
            grants=expected.grants,
            violations=expected.violations,
            pictures=made.files,
            pictures_kept=made.files_kept,
        )

    async def prove(self, expected: Facts, made: Made) -> list[str]:
        """How what lies there differs from the service as it was, in words."""
        wrong = await proving.prove(self._place, made.name, self._seal, expected, self._spool)
        if made.files_kept:
            wrong += await pictures.prove(self._place, self._seal, self._wanted, self._copied, self._spool)
        return wrong

    def judge(self, manifest: Manifest, made: Made, wrong: list[str]) -> None:
        """Raises `BackupError` also for what was wrong here already: a copy of it is better than none, and no rest."""
        wrong = [*wrong, *(f"the picture {key} is damaged here" for key in self._copied.damaged)]
        if manifest.violations:
            wrong.append(f"the books disagree in {manifest.violations} places (tessera ledger check)")
        if wrong:
            raise BackupError(f"The backup {made.name} is not good: {'; '.join(wrong[:TOLD_MAX])}.")


async def thin_out(place: Place) -> list[str]:
    """Take away what is not kept any more: backups, then pictures that only they had, then their lists."""
    there = await place.names()
    kept = names.kept(there)
    stems = {names.stem_of(name) for name in kept}
    dropped = [name for name in there if names.is_archive(name) and name not in kept]
    lists = [name for name in there if name.endswith(".files") and names.stem_of(name) is not None]
    gone = [name for name in lists if names.stem_of(name) not in stems]
    if not dropped and not gone:
        return []
    mourned = await _listed(place, gone) - await _listed(place, [name for name in lists if name not in gone])
    await place.delete(dropped)
    await place.delete(names.picture(sha256, sealed=sealed) for sha256 in mourned for sealed in (True, False))
    await place.delete(gone)
    return dropped


async def _listed(place: Place, lists: list[str]) -> set[str]:
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for name in lists:
            await place.get(name, file := Path(folder, "list"))
            found.update((await in_thread(file.read_text)).split())
    return found


async def _lock(record: AsyncConnection[Any]) -> None:
    """One at a time; one that is just about to end is waited for."""
    for _ in range(int(LOCK_SECONDS / LOCK_BEAT_SECONDS)):
        if await LOCK.one(record):
            return
        await asyncio.sleep(LOCK_BEAT_SECONDS)
    raise BackupError("Another backup is being made just now.")


async def _check_place(record: AsyncConnection[Any], place: Place, *, first: bool) -> None:
    """A place that has lost all its backups is more likely a disk that is not mounted."""
    there = await place.names()
    if not first and not any(map(names.is_archive, there)) and await KNOWN_PLACE.one(record, {"place": place.where}):
        raise BackupError(
            f"{place.where} holds none of the backups that were made there. Is its disk mounted? If it is new and"
            " empty, say `tessera backup --first`."
        )


def _in_a_bucket(settings: Settings) -> bool:
    return settings.artifacts_url is not None and not settings.artifacts_url.startswith("file:")
