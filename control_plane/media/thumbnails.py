"""Small pictures of artifacts, made when the first person asks and kept beside the file.

They are not made when a job completes: that would cost every job a decoder, and most pictures are never looked at in a
list. Decoding is done by a process of its own with limits (`thumbnailing.py`), a few at a time; what it cannot do for
a file it never can, which is noted by an empty file in its place, so that a broken one costs its decoder once. A small
picture lies under the key of its file with an ending, and goes when that goes.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import structlog

from control_plane.errors import NotFound, TesseraError, TooManyWaiting, Unavailable
from control_plane.media.thumbnailing import UNFIT
from control_plane.store import Label, Opened, Store, thumbnail_key
from control_plane.store.staged import disk_errors, in_thread

AT_ONCE = 2
WAITING_MAX = 64
MAKING_SECONDS = 20.0
BYTES_MAX = 512 * 1024
MIME_TYPE = "image/webp"
PROGRAM = Path(__file__).with_name("thumbnailing.py")
FATAL_SIGNALS = frozenset({signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE})
"""Of which a decoder dies by the file it decodes, not by what goes on around it."""
RETRY_AFTER_SECONDS = 5

_PICTURES = {"image/png", "image/jpeg", "image/webp"} if find_spec("PIL") else set()
_FILMS = {"video/mp4", "video/webm"} if _PICTURES and find_spec("av") else set()
POSSIBLE = frozenset(_PICTURES | _FILMS)
"""Kinds of files of which this installation can make one; films need the extra `video`."""

log = structlog.get_logger()

Check = Callable[[], Awaitable[object]]


class Thumbnails:
    """Those of one process: at most `AT_ONCE` are made at a time."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def get(self, key: str, mime_type: str, still_there: Check) -> bytes:
        """The small picture of the file under `key`; `still_there` raises when that may be seen no more.

        Raises `NotFound` when none can be made, `TooManyWaiting`, `Unavailable`.
        """
        made = await self._kept(key) if mime_type in POSSIBLE else b""
        if made is None:
            with self._place():
                async with self._room:
                    made = await self._kept(key)
                    if made is None:
                        made = await self._make(key, mime_type, still_there)
        if not made:
            raise NotFound("There is no small picture of this file.")
        return made

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._waiting >= WAITING_MAX:
            raise TooManyWaiting("Too many small pictures are being made. Try again.", retry_after=1)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _kept(self, key: str) -> bytes | None:
        opened = await self._store.open(thumbnail_key(key))
        if opened is None:
            return None
        try:
            return b"".join([data async for data in opened.read(0, min(opened.bytes, BYTES_MAX))])
        finally:
            opened.close()

    async def _make(self, key: str, mime_type: str, still_there: Check) -> bytes:
        opened = await self._store.open(key)
        if opened is None:
            raise NotFound("The file is not there any more.")
        started = time.monotonic()
        try:
            made = await self._decoded(opened, mime_type)
        finally:
            opened.close()
        await self._keep(key, made)
        log.info("thumbnail.made", bytes=len(made), duration_seconds=round(time.monotonic() - started, 3))
        try:
            await still_there()
        except TesseraError:  # withdrawn or erased while it was made
            await self._store.delete(thumbnail_key(key))
            raise
        return made

    async def _decoded(self, opened: Opened, mime_type: str) -> bytes:
        """Straight from the store's folder, else from a copy without a name."""
        if opened.local is not None:
            return await _run(opened.local, mime_type)
        with disk_errors(), await in_thread(self._unnamed) as copy:
            async for data in opened.read(0, opened.bytes):
                await in_thread(copy.write, data)
            copy.seek(0)
            return await _run(copy.fileno(), mime_type)

    def _unnamed(self) -> BinaryIO:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile("w+b", buffering=0, dir=self._scratch)

    async def _keep(self, key: str, made: bytes) -> None:
        with suppress(FileExistsError):  # somebody else has made the same one and is about to keep it
            async with self._store.stage(thumbnail_key(key)) as staged:
                await staged.write(made)
                await staged.keep(Label(mime_type=MIME_TYPE, disposition="inline"))


async def _run(file: int, mime_type: str) -> bytes:
    """What the program makes of the open file; nothing, when it can make nothing of it. Raises `Unavailable`."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-W", "ignore", str(PROGRAM), mime_type),
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    assert child.stdout is not None
    made = b""
    try:
        async with asyncio.timeout(MAKING_SECONDS):
            while len(made) <= BYTES_MAX and (data := await child.stdout.read(BYTES_MAX)):
                made += data
            code = await child.wait()
    except TimeoutError:
        raise _too_busy("took too long") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if code == 0 and 0 < len(made) <= BYTES_MAX:
        return made
    if code in (0, UNFIT) or -code in FATAL_SIGNALS:
        log.warning("thumbnail.unfit", mime_type=mime_type, exit_code=code)
        return b""
    raise _too_busy(f"ended with {code}")


def _too_busy(why: str) -> Unavailable:
    log.warning("thumbnail.failed", why=why)
    return Unavailable("The small picture could not be made now. Try again later.", retry_after=RETRY_AFTER_SECONDS)
