"""From a backup to a service: database, pictures, keys and settings, on a machine that has nothing.

The archive is opened and read before anything is changed. The database comes whole or not at all, is compared with what
the manifest says, and then brought up to the schema of this code. What lay in the data folder is laid there again;
settings and what came from elsewhere go to `restored/`, for this machine may differ from the old one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from control_plane import migrate
from control_plane.backup import BackupError, archive, dump, names, pictures, proving
from control_plane.backup.archive import Manifest
from control_plane.backup.belongings import is_left
from control_plane.backup.places import FolderPlace, Place, open_place
from control_plane.backup.sealing import Opener
from control_plane.settings import Settings
from control_plane.store import open_store
from control_plane.store.staged import in_thread

RESTORED = "restored"
OURS = ("admin_key", "artifacts", "bots", "agent")
"""In a data folder: what shows that somebody lives there."""
TOLD_MAX = 10


class Restored(msgspec.Struct, kw_only=True):
    """What has come back."""

    name: str
    tessera: str
    taken_at: str
    rows: int
    files: int
    files_missing: list[str]
    belongings: int
    migrated: list[str]


class Chosen(msgspec.Struct, frozen=True):
    """A backup, and where it lies."""

    place: Place
    name: str


def address_of(source: str) -> str:
    """A folder may be named by its path."""
    return source if "://" in source else Path(source).expanduser().absolute().as_uri()


async def choose(address: str) -> Chosen:
    """The backup whose name the address ends with, else the newest one there."""
    body, _, options = address.partition("?")
    folder, _, last = body.rpartition("/")
    if names.is_archive(last):
        place = _place(folder, options)
        if last not in await place.names():
            raise BackupError(f"There is no {last} in {place.where}.")
        return Chosen(place, last)
    place = _place(body, options)
    found = names.newest_first(await place.names())
    if not found:
        raise BackupError(f"There is no backup in {place.where}.")
    return Chosen(place, found[0])


async def opened(chosen: Chosen, opener: Opener, spool: Path) -> Manifest:
    """Fetched, opened and unpacked into `spool`. Raises `BackupError` for what cannot be used here."""
    await chosen.place.get(chosen.name, spool / "sealed")
    closed = names.is_sealed(chosen.name)
    await in_thread(lambda: opener.open(spool / "sealed", spool / "archive.tar", closed=closed))
    (spool / "sealed").unlink()
    manifest = await in_thread(archive.unpack, spool / "archive.tar", spool / "content")
    (spool / "archive.tar").unlink()
    check_belongings(spool / "content")
    known = [f"{one.number:04d}_{one.name}" for one in migrate.migrations()]
    if newer := [name for name in manifest.migrations if name not in known]:
        raise BackupError(
            f"This backup was made by Tessera {manifest.tessera}, whose database knows {newer[0]}; this one does not."
            " Install that Tessera, and restore with it."
        )
    return manifest


def check_belongings(content: Path) -> None:
    """Raises `BackupError` for what no backup brings: files of the machine, which would lie under its server."""
    folder = content / archive.DATA
    for entry in folder.iterdir() if folder.exists() else ():
        if is_left(entry.name):
            raise BackupError(f"The archive holds {archive.DATA}/{entry.name}, which no backup does. It is not used.")


def check_folder(data_dir: Path, *, force: bool) -> None:
    """Raises `BackupError` when somebody lives there."""
    there = [name for name in OURS if (data_dir / name).exists()]
    if there and not force:
        raise BackupError(
            f"{data_dir} is in use ({', '.join(there)}); nothing was changed. Choose an empty folder with"
            " TESSERA_DATA_DIR, or say `--force` to write over it."
        )


async def restore(settings: Settings, url: str, chosen: Chosen, opener: Opener, *, force: bool) -> Restored:
    """Everything, into the database at `url`, as its owner. Raises `BackupError`, `MigrationError`."""
    spool = settings.data_dir / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="restore-", dir=spool) as folder:
        content = Path(folder, "content")
        manifest = await opened(chosen, opener, Path(folder))
        await dump.empty(url, force=force)
        await dump.restore(url, content / archive.DUMP, manifest.major)
        await compare(manifest, url)
        migrated = await in_thread(migrate.migrate, url)
        wanted = archive.pictures(content)
        brought, missing = await pictures.bring_back(open_store(settings), chosen.place, opener, wanted, Path(folder))
        laid = lay(content, settings.data_dir)
    return Restored(
        name=chosen.name,
        tessera=manifest.tessera,
        taken_at=manifest.taken_at.isoformat(timespec="seconds"),
        rows=sum(table.rows for table in manifest.tables.values()),
        files=brought,
        files_missing=missing,
        belongings=laid,
        migrated=migrated,
    )


async def compare(manifest: Manifest, url: str) -> None:
    """Raises `BackupError` unless the database is what the manifest says."""
    if wrong := proving.facts_in(manifest).differences(await dump.facts_of(url)):
        raise BackupError(
            f"The restored database is not what was backed up: {'; '.join(wrong[:TOLD_MAX])}. Do not use it;"
            " try another backup."
        )


def lay(content: Path, data_dir: Path) -> int:
    """What is neither database nor picture into the data folder; how many files."""
    laid, aside = 0, data_dir / RESTORED
    plan = [(content / archive.DATA, data_dir), (content / archive.ALSO, aside)]
    for source, target in plan:
        for file in sorted(source.rglob("*")) if source.exists() else []:
            if file.is_file():
                _put(file, target / file.relative_to(source), data_dir)
                laid += 1
    _put(content / archive.SETTINGS, aside / archive.SETTINGS, data_dir)
    return laid


def _put(source: Path, target: Path, data_dir: Path) -> None:
    """In one move, as private as it was, owned by whoever owns the data folder."""
    made = [folder for folder in reversed(target.parents) if not folder.exists()]
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source.replace(target)
    if os.geteuid() == 0:
        owner = data_dir.stat()
        for path in (*made, target):
            os.chown(path, owner.st_uid, owner.st_gid)


def _place(body: str, options: str) -> Place:
    place = open_place(f"{body}?{options}" if options else body)
    if isinstance(place, FolderPlace) and not place.root.exists():
        raise BackupError(f"There is no folder {place.root}. Is its disk mounted?")
    return place
