"""The folder store: where the bytes of artifacts lie.

A key is made by us (`jobs/<job>/<attempt>/<index>-<random>`), says where a file lies, and is never taken from a
client. Every component is opened relative to the folder above it and never through a symbolic link, so nothing
outside the root can be reached, whatever stands in the tree. A file is written under a temporary name beside its
place, hashed on the way, and renamed once it is on disk, then its folder is; hence a file that has its real name is
whole. Deleting what is not there is no error: a sweep that was interrupted is simply run again.

`stage`, `open`, `delete` and `files` are all that the rest of the program uses; an object store would offer the same.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import UUID

import msgspec

from control_plane.errors import DiskLow, Internal

Answer = TypeVar("Answer")

BUFFER_BYTES = 512 * 1024
"""Written or read at once: large enough that going to a thread costs nothing beside it."""
FOLDER_MODE, FILE_MODE = 0o700, 0o600
TEMPORARY_SUFFIX = ".part"
RACES_MAX = 10
"""How often a folder may be swept away, being empty, between the making of it and of a file in it."""

_KEY = re.compile(r"jobs/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/[1-9][0-9]{0,9}/[0-9]{1,2}-[0-9a-f]{16}", re.ASCII)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(msgspec.Struct, frozen=True):
    """A file that lies in the store."""

    key: str
    age_seconds: float
    """By the clock of the machine that holds the folder, which also stamped the file."""
    temporary: bool


def new_key(job_id: UUID, attempt: int, index: int) -> str:
    return f"jobs/{job_id}/{attempt}/{index}-{secrets.token_hex(8)}"


class Staged:
    """A file on its way in: written, looked at, then kept; or dropped by leaving `stage` without `keep`."""

    def __init__(self, file: BinaryIO, keep: Callable[[], None]) -> None:
        self._file = file
        self._keep = keep
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self.bytes = 0

    async def write(self, data: bytes) -> None:
        self._buffer += data
        self.bytes += len(data)
        if len(self._buffer) >= BUFFER_BYTES:
            await self._flush()

    async def sha256(self) -> bytes:
        """Of everything written so far."""
        await self._flush()
        return self._digest.digest()

    async def inspect(self, look: Callable[[BinaryIO, int], Answer]) -> Answer:
        """What `look(file, bytes)` makes of what was written, off the event loop."""
        await self._flush()
        return await _in_thread(look, self._file, self.bytes)

    async def keep(self) -> None:
        """Under its key and on disk, all or nothing. Raises `DiskLow`."""
        await self._flush()
        with _disk_errors():
            await _in_thread(self._keep)

    async def _flush(self) -> None:
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            with _disk_errors():
                await _in_thread(self._append, data)

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


class Opened:
    """A file on its way out. It can be read to its end even when it is deleted meanwhile."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.bytes = os.fstat(file).st_size

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`."""
        while start < end:
            data = await _in_thread(os.pread, self._file, min(BUFFER_BYTES, end - start), start)
            if not data:
                raise Internal("A stored file is shorter than it was.")
            start += len(data)
            yield data

    def close(self) -> None:
        os.close(self._file)


class FolderStore:
    """Files below one folder, which is made when it is needed and belongs to this service alone."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @asynccontextmanager
    async def stage(self, key: str) -> AsyncIterator[Staged]:
        """Room for a new file; whatever happens inside, nothing stays unless it was kept."""
        folder, name = _split(key)
        with _disk_errors():
            where, file = self._create(folder, name)
        try:
            with os.fdopen(file, "w+b", buffering=0) as raw:
                yield Staged(raw, lambda: self._settle(raw.fileno(), where, key))
        finally:
            with suppress(FileNotFoundError):  # kept: its name is another now
                os.unlink(name + TEMPORARY_SUFFIX, dir_fd=where)
            os.close(where)

    async def open(self, key: str) -> Opened | None:
        """The file, to be closed by the caller; None when it is not there."""
        return self._open(key)

    async def delete(self, *keys: str) -> None:
        """Afterwards none of the files is there, nor a folder that they leave empty."""
        await _in_thread(self._delete, keys)

    def files(self) -> Iterator[Found]:
        """Everything here that has a name of our making; blocking, so not for the event loop."""
        if not self.root.exists():  # nothing was ever stored
            return
        now = time.time()
        for path, _, names, folder in os.fwalk(self.root, follow_symlinks=False):
            for name in names:
                key = str(Path(path, name.removesuffix(TEMPORARY_SUFFIX)).relative_to(self.root))
                if _KEY.fullmatch(key):
                    with suppress(FileNotFoundError):
                        age_seconds = now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                        yield Found(key, age_seconds, temporary=name.endswith(TEMPORARY_SUFFIX))

    async def delete_temporary(self, *keys: str) -> None:
        """What uploads that were cut down left behind."""
        await _in_thread(self._delete, keys, TEMPORARY_SUFFIX)

    def _create(self, folder: tuple[str, ...], name: str) -> tuple[int, int]:
        """The folder and the temporary file in it, both open."""
        self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for _ in range(RACES_MAX):
            with suppress(FileNotFoundError):
                where = self._folder(folder, create=True)
                try:
                    return where, os.open(name + TEMPORARY_SUFFIX, _WRITE, FILE_MODE, dir_fd=where)
                except BaseException:
                    os.close(where)
                    raise
        raise Internal("The folder of an upload cannot be made.")

    def _folder(self, parts: tuple[str, ...], *, create: bool = False) -> int:
        """Descend one component at a time; none may be a symbolic link."""
        where = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)  # the operator may well have linked the root
        for part in parts:
            try:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, FOLDER_MODE, dir_fd=where)
                below = os.open(part, _FOLDER, dir_fd=where)
            finally:
                os.close(where)
            where = below
        return where

    def _settle(self, file: int, where: int, key: str) -> None:
        """The file first, then its name, then the folders that lead to it."""
        folder, name = _split(key)
        os.fsync(file)
        os.rename(name + TEMPORARY_SUFFIX, name, src_dir_fd=where, dst_dir_fd=where)
        for depth in range(len(folder), -1, -1):
            above = self._folder(folder[:depth])
            try:
                os.fsync(above)
            finally:
                os.close(above)

    def _open(self, key: str) -> Opened | None:
        folder, name = _split(key)
        try:
            where = self._folder(folder)
        except FileNotFoundError:
            return None
        try:
            return Opened(os.open(name, _READ, dir_fd=where))
        except FileNotFoundError:
            return None
        finally:
            os.close(where)

    def _delete(self, keys: tuple[str, ...], suffix: str = "") -> None:
        for key in keys:
            folder, name = _split(key)
            with suppress(FileNotFoundError):
                where = self._folder(folder)
                try:
                    os.unlink(name + suffix, dir_fd=where)
                finally:
                    os.close(where)
            self._prune(folder)

    def _prune(self, folder: tuple[str, ...]) -> None:
        """Take away the folders of the attempt and of the job, if they are empty."""
        for depth in (3, 2):
            try:
                where = self._folder(folder[: depth - 1])
            except FileNotFoundError:
                continue
            try:
                os.rmdir(folder[depth - 1], dir_fd=where)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return
            finally:
                os.close(where)


def _split(key: str) -> tuple[tuple[str, ...], str]:
    """(folders, name) of a key; anything that we did not make is refused."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key of this store: {key!r}")
    *folder, name = key.split("/")
    return tuple(folder), name


async def _in_thread(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Off the event loop. Whoever is cancelled still waits for the end of it, because it uses files that he closes."""
    call = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        raise


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskLow("The disk of this service is full. Try again later.", retry_after=60) from error
        raise
