"""The one file of a backup: a tar, whose first member says what it is.

manifest.json · pictures.jsonl · database.dump · settings.toml · data/… · also/…
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from control_plane.backup import BackupError

FORMAT = 1
MANIFEST, PICTURES, DUMP, SETTINGS, DATA, ALSO = (
    *("manifest.json", "pictures.jsonl", "database.dump", "settings.toml", "data", "also"),
)


class Table(msgspec.Struct, frozen=True):
    """What a table held: how many rows, and the sum of the hashes of their contents."""

    rows: int
    contents: str


class Picture(msgspec.Struct, frozen=True):
    """A file that a row names. Its contents are known by their hash."""

    key: str
    sha256: str
    bytes: int
    mime_type: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What must be the same after a restore, and what it takes to make one."""

    format: int
    taken_at: datetime
    tessera: str
    """Version of the program."""
    server: str
    """Version of PostgreSQL."""
    major: int
    """Of the `pg_dump` that made the dump: an older server may not understand it."""
    migrations: list[str]
    tables: dict[str, Table]
    grants: list[str]
    violations: int
    """Disagreements of the books: none, or they were there before."""
    pictures: int
    pictures_kept: bool
    """False for a bucket: then there is only the list of its files."""


class Member(msgspec.Struct, frozen=True):
    """Something to be packed: a file, or what is in hand."""

    name: str
    source: Path | bytes
    mode: int = 0o600


def pack(target: Path, members: Iterable[Member]) -> None:
    with tarfile.open(target, "w") as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mode = member.mode & 0o700
            if isinstance(member.source, bytes):
                info.size = len(member.source)
                tar.addfile(info, io.BytesIO(member.source))
                continue
            with member.source.open("rb") as file:
                info.size = member.source.stat().st_size
                tar.addfile(info, file)


def unpack(source: Path, folder: Path) -> Manifest:
    """Everything below the folder. Raises `BackupError` for what is no backup of ours."""
    try:
        with tarfile.open(source, "r:") as tar:  # ours is not compressed; a small file that unpacks without end is
            for info in tar:
                _extract(tar, info, folder)
        return _manifest(folder)
    except (tarfile.TarError, OSError, msgspec.DecodeError) as error:
        raise BackupError(f"{source.name} cannot be read as a backup: {error}.") from error


def pictures(folder: Path) -> list[Picture]:
    """Raises `BackupError`."""
    try:
        return msgspec.json.Decoder(Picture).decode_lines((folder / PICTURES).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise BackupError(f"The list of pictures in this backup cannot be read: {error}.") from error


def _extract(tar: tarfile.TarFile, info: tarfile.TarInfo, folder: Path) -> None:
    """Plain files only, and none outside: an archive may come from anywhere."""
    parts = PurePosixPath(info.name).parts
    content = tar.extractfile(info) if info.isreg() and not info.issparse() else None
    if content is None or ".." in parts or info.name.startswith("/"):
        raise BackupError(f"The archive holds {info.name!r}, which no backup does. It is not used.")
    target = folder.joinpath(*parts)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with target.open("xb") as out:
        while part := content.read(1024**2):
            out.write(part)
    target.chmod(info.mode & 0o700)


def _manifest(folder: Path) -> Manifest:
    found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    if found.format != FORMAT:
        raise BackupError(
            f"This backup is of format {found.format}, which this Tessera does not know."
            f" Install Tessera {found.tessera} or newer."
        )
    return found
