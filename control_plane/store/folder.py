"""The store that is a folder.

Every component of a key is opened relative to the folder above it and never through a symbolic link, so nothing
outside the root can be reached, whatever stands in the tree. A file is written under a temporary name beside its
place, hashed on the way, and renamed once it is on disk, then its folder is; hence a file that has its real name is
whole.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from control_plane.errors import Internal
from control_plane.store.contract import Address, Found
from control_plane.store.keys import checked, is_key
from control_plane.store.staged import BUFFER_BYTES, Staged, disk_errors, in_thread

FOLDER_MODE, FILE_MODE = 0o700, 0o600
TEMPORARY_SUFFIX = ".part"
RACES_MAX = 10
"""How often a folder may be swept away, being empty, between the making of it and of a file in it."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenedFile:
    """It can be read to its end even when it is deleted meanwhile."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.local: int | None = file
        self.bytes = os.fstat(file).st_size

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`."""
        while start < end:
            data = await in_thread(os.pread, self._file, min(BUFFER_BYTES, end - start), start)
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
        self.where = f"the folder {root}"

    @asynccontextmanager
    async def stage(self, key: str) -> AsyncIterator[Staged]:
        """Room for a new file; whatever happens inside, nothing stays unless it was kept."""
        folder, name = _split(key)
        with disk_errors():
            where, file = self._create(folder, name)
        try:
            with os.fdopen(file, "w+b", buffering=0) as raw:
                yield Staged(raw, lambda label: in_thread(self._settle, raw.fileno(), where, key))
        finally:
            with suppress(FileNotFoundError):  # kept: its name is another now
                os.unlink(name + TEMPORARY_SUFFIX, dir_fd=where)
            os.close(where)

    async def open(self, key: str) -> OpenedFile | None:
        """The file, to be closed by the caller; None when it is not there."""
        return self._open(key)

    async def delete(self, *keys: str) -> None:
        """Afterwards none of the files is there, nor a folder that they leave empty."""
        await in_thread(self._delete, keys)

    async def files(self) -> AsyncIterator[Found]:
        """Everything here that has a name of our making, the temporary ones too."""
        for found in await in_thread(self._survey):
            yield found

    async def delete_temporary(self, *keys: str) -> None:
        """What uploads that were cut down left behind."""
        await in_thread(self._delete, keys, TEMPORARY_SUFFIX)

    async def address(self, key: str) -> Address | None:
        """Nobody reaches this folder but through us."""
        return None

    async def staging_address(self, key: str) -> Address | None:
        """Nobody reaches this folder but through us."""
        return None

    async def indirect(self) -> str | None:
        return "it is a folder of this machine"

    def _survey(self) -> list[Found]:
        found: list[Found] = []
        if not self.root.exists():  # nothing was ever stored
            return found
        now = time.time()
        for path, _, names, folder in os.fwalk(self.root, follow_symlinks=False):
            for name in names:
                key = str(Path(path, name.removesuffix(TEMPORARY_SUFFIX)).relative_to(self.root))
                if is_key(key):
                    with suppress(FileNotFoundError):
                        age_seconds = now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                        found.append(Found(key, age_seconds, temporary=name.endswith(TEMPORARY_SUFFIX)))
        return found

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

    def _open(self, key: str) -> OpenedFile | None:
        folder, name = _split(key)
        try:
            where = self._folder(folder)
        except FileNotFoundError:
            return None
        try:
            return OpenedFile(os.open(name, _READ, dir_fd=where))
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
        """Take away the folders that led here, if they are empty, but not the first one."""
        for depth in range(len(folder), 1, -1):
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
    *folder, name = checked(key).split("/")
    return tuple(folder), name
