"""Where backups lie: a folder on another disk or machine, or a bucket. A file comes whole and safe, or not at all.

A folder must be there already. One that is made on the way would, with the disk not mounted, fill the disk under the
mount point, and every backup would lie on the machine that it is to survive.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from control_plane.backup import BackupError
from control_plane.store.places import bucket_of, folder_of, options_of
from control_plane.store.staged import in_thread

if TYPE_CHECKING:
    from control_plane.store.objects import Bucket

VARIABLE = "TESSERA_BACKUP_URL"
TEMPORARY_SUFFIX = ".part"
CALL_SECONDS = 60.0
BYTES_PER_SECOND_MIN = 100_000
"""A bucket slower than this is given up."""
DELETED_AT_ONCE = 1_000
COPY_BYTES = 1024**2


class Place(Protocol):
    """Raises `BackupError`."""

    where: str
    """For the operator, and for the record; holds no secret."""

    async def names(self, prefix: str = "") -> list[str]:
        """Everything that lies here whole; below the prefix, a folder with its slash, or on top."""

    async def put(self, name: str, file: Path) -> None: ...

    async def get(self, name: str, file: Path) -> None: ...

    async def delete(self, names: Iterable[str]) -> None:
        """What is not there is no error."""


def open_place(address: str) -> Place:
    """Nothing is connected to yet. Raises `ConfigurationError`, `BackupError`."""
    url = urlsplit(address)
    options = options_of(url, VARIABLE)
    if url.scheme == "file":
        return FolderPlace(folder_of(url, VARIABLE))
    try:
        import obstore  # noqa: F401 - to say what is missing
    except ImportError as error:
        raise BackupError(
            f"{VARIABLE} names a bucket. That needs the package obstore: pip install 'tessera[object-store]'."
        ) from error
    return BucketPlace(bucket_of(url, options, VARIABLE), f"{url.scheme}://{url.netloc}{url.path}")


class FolderPlace:
    """One folder, whichever disk it is on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = f"file://{root}"

    async def names(self, prefix: str = "") -> list[str]:
        with self._told():
            return await in_thread(self._names, prefix)

    async def put(self, name: str, file: Path) -> None:
        with self._told():
            await in_thread(self._put, name, file)

    async def get(self, name: str, file: Path) -> None:
        with self._told():
            await in_thread(shutil.copyfile, self.root / name, file)

    async def delete(self, names: Iterable[str]) -> None:
        with self._told():
            for name in names:
                await in_thread(self._delete, name)

    def _names(self, prefix: str) -> list[str]:
        if not self.root.is_dir():
            raise BackupError(f"The folder {self.root} is not there. Is its disk mounted? If it is new, make it first.")
        top = self.root / prefix
        found = top.rglob("*") if prefix else top.glob("*")
        return [
            str(path.relative_to(self.root)) for path in found if path.is_file() and path.suffix != TEMPORARY_SUFFIX
        ]

    def _put(self, name: str, file: Path) -> None:
        target = self.root / name
        fresh = target.with_name(target.name + TEMPORARY_SUFFIX)
        if target.parent != self.root:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        try:
            made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(made, "wb") as out, file.open("rb") as source:
                shutil.copyfileobj(source, out, COPY_BYTES)
                out.flush()
                os.fsync(out.fileno())
            fresh.rename(target)
        finally:
            fresh.unlink(missing_ok=True)
        _sync(target.parent)

    def _delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        if (self.root / name).parent != self.root:
            with suppress(OSError):  # others are in it
                (self.root / name).parent.rmdir()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackupError(f"{self.root} cannot be used: {error.strerror} ({error.filename}).") from error


class BucketPlace:
    """Below a prefix of a bucket; what is put there appears whole."""

    def __init__(self, bucket: Bucket, where: str) -> None:
        self._bucket = bucket
        self.where = where

    async def names(self, prefix: str = "") -> list[str]:
        import obstore

        with self._told():
            async with asyncio.timeout(CALL_SECONDS):
                if not prefix:
                    found = (await obstore.list_with_delimiter_async(self._bucket))["objects"]
                    return [meta["path"] for meta in found]
            found_below: list[str] = []
            listed = aiter(obstore.list(self._bucket, prefix=prefix.rstrip("/"), chunk_size=1_000))
            while True:
                async with asyncio.timeout(CALL_SECONDS):
                    batch = await anext(listed, None)
                if batch is None:
                    return found_below
                found_below += [meta["path"] for meta in batch]

    async def put(self, name: str, file: Path) -> None:
        import obstore

        with self._told():
            size_bytes = (await in_thread(file.stat)).st_size
            async with asyncio.timeout(_patience(size_bytes)):
                await obstore.put_async(self._bucket, name, file)

    async def get(self, name: str, file: Path) -> None:
        import obstore

        with self._told():
            async with asyncio.timeout(CALL_SECONDS):
                found = await obstore.get_async(self._bucket, name)
            async with asyncio.timeout(_patience(found.meta["size"])):
                with file.open("wb") as out:
                    async for part in found.stream(min_chunk_size=COPY_BYTES):
                        await in_thread(out.write, bytes(part))

    async def delete(self, names: Iterable[str]) -> None:
        import obstore

        ordered = list(names)
        with self._told():
            for start in range(0, len(ordered), DELETED_AT_ONCE):
                async with asyncio.timeout(CALL_SECONDS):
                    with suppress(FileNotFoundError):
                        await obstore.delete_async(self._bucket, ordered[start : start + DELETED_AT_ONCE])

    @contextmanager
    def _told(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise BackupError(f"{self.where} does not have what was looked for, or there is no such bucket.") from error
        except (BaseError, TimeoutError) as error:
            raise BackupError(f"{self.where} does not answer as it should ({type(error).__name__}).") from error


def _patience(size_bytes: int) -> float:
    return CALL_SECONDS + size_bytes / BYTES_PER_SECOND_MIN


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
