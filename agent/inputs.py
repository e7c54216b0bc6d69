"""Pictures that orders start from: fetched under the fence of a lease, kept for a while by their hash.

A file appears under its hash only when it is whole and right. What arrived of one that broke off stays beside it as
`.part`, and the next try asks for the rest. The folder is kept below its bound by dropping what was not used for
longest; a run that uses a file has a link of its own to it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from agent import transfer
from agent.client import Client, NoAnswer, Problem
from agent.engine import EngineError, input_path
from agent.retry import Verdict, persist, verdict
from control_plane.wire.input import Picture
from control_plane.wire.worker import Lease

TRIES_MAX = 3
"""For a file that arrives other than announced."""
PART_SUFFIX = ".part"

log = structlog.get_logger()


class Inputs:
    """The inputs of this machine; `bytes_max` bounds what is kept of them."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of files that are being fetched or handed over, by hash."""

    async def bring(self, client: Client, lease: Lease, folder: Path) -> None:
        """Puts the input of this lease into the folder of its run, if it has one.

        Raises `EngineError` when there is no such input (any more), and `Problem` when the lease is lost.
        """
        picture, target = lease.spec.input_image, input_path(lease.spec, folder)
        if picture is None or target is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self._folder / picture.sha256
        lock = self._locks.setdefault(picture.sha256, asyncio.Lock())
        async with lock:
            if not kept.exists():
                await self._fetch(client, lease, picture, kept)
            await asyncio.to_thread(_hand_over, kept, target)
        del lock
        await asyncio.to_thread(self._make_room, frozenset(self._locks))

    async def _fetch(self, client: Client, lease: Lease, picture: Picture, kept: Path) -> None:
        part = kept.with_name(kept.name + PART_SUFFIX)
        for _ in range(TRIES_MAX):
            try:
                await persist(partial(_go_on, client, lease, picture, part), "input")
            except Problem as problem:
                if verdict(problem) is not Verdict.REJECTED:
                    raise
                part.unlink(missing_ok=True)
                raise EngineError("invalid_input", f"The input image is not to be had: {problem}") from problem
            except OSError as error:
                raise EngineError("engine_crash", f"The input cannot be written: {error.strerror}.") from error
            measure = await transfer.measure(part)
            if (measure.bytes, measure.sha256) == (picture.bytes, picture.sha256):
                part.replace(kept)
                log.info("input.fetched", job_id=str(lease.job_id), bytes=picture.bytes)
                return
            part.unlink()
        raise EngineError("invalid_input", "The input image arrives damaged.")

    def _make_room(self, busy: frozenset[str]) -> None:
        """Drops what was used longest ago; somebody else may drop the same."""
        found = [(entry.stat(), Path(entry.path)) for entry in os.scandir(self._folder) if entry.is_file()]
        total = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            if total <= self._bytes_max:
                return
            if path.stem not in busy:
                path.unlink(missing_ok=True)
                total -= stat.st_size


async def _go_on(client: Client, lease: Lease, picture: Picture, part: Path) -> None:
    """One go at what is still missing."""
    have = _size(part)
    if have >= picture.bytes:
        return
    async with client.input(lease, 0, have) as (resumed, chunks):
        with part.open("ab" if resumed else "wb") as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                if file.tell() > picture.bytes:
                    return
    if _size(part) < picture.bytes:
        raise NoAnswer("the download broke off")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _hand_over(kept: Path, target: Path) -> None:
    """A link costs nothing; a copy does where there are none."""
    with suppress(FileNotFoundError):
        os.utime(kept)
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)
