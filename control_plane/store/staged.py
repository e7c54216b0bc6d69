"""A file on its way in, on local disk: written, hashed, looked at, and kept or dropped. Disk never blocks the loop."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from control_plane.errors import DiskLow

if TYPE_CHECKING:
    from control_plane.store.contract import Label

Answer = TypeVar("Answer")

BUFFER_BYTES = 512 * 1024
"""Written or read at once: large enough that going to a thread costs nothing beside it."""


class Staged:
    """Written, looked at, then kept; or dropped by leaving `stage` without `keep`."""

    def __init__(self, file: BinaryIO, keep: Callable[[Label | None], Awaitable[None]]) -> None:
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
        return await in_thread(look, self._file, self.bytes)

    async def keep(self, label: Label | None = None) -> None:
        """Under its key and safe, all or nothing. Raises `DiskLow`, `Unavailable`."""
        await self._flush()
        with disk_errors():
            await self._keep(label)

    async def _flush(self) -> None:
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            with disk_errors():
                await in_thread(self._append, data)

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


async def in_thread(function: Callable[..., Answer], *arguments: object) -> Answer:
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
def disk_errors() -> Iterator[None]:
    """A full disk is said to be one."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskLow("The disk of this service is full. Try again later.", retry_after=60) from error
        raise
