"""SHA-256 of files of many gigabytes, each read once for as long as it stays the same.

What was found is remembered with size and time of change, so whoever asks again has the answer at once, and a file
that was written to since is read again. The memory may be a file that several processes share: each writes it whole
and takes over what others have written before, so at worst two of them read the same file.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

CHUNK_BYTES = 4 * 1024 * 1024
FILES_MAX = 1_000
"""How many files are remembered; of more, those that were asked for last."""


class Stamp(msgspec.Struct, frozen=True):
    """A file as it is now."""

    bytes: int
    mtime_ns: int


class Found(msgspec.Struct, frozen=True):
    stamp: Stamp
    sha256: str


def stamp(path: Path) -> Stamp | None:
    """None: it is not there, or it is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns) if path.is_file() else None


class Hashes:
    """Serves several threads. `memory`: the shared file, or None to forget everything at the end."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._found: dict[str, Found] = _load(memory)

    def known(self, path: Path) -> str | None:
        """The hash, if it can be told without reading the file."""
        found = self._found.get(str(path))
        return found.sha256 if found is not None and found.stamp == stamp(path) else None

    def read(self, path: Path, going_on: Callable[[int], bool] = lambda _: True) -> str | None:
        """Read it from start to end, whatever is known. `going_on` is told the bytes so far and may end it: None, as
        when the file changes meanwhile. Raises `OSError`."""
        before = stamp(path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                if not going_on(file.tell()):
                    return None
        if before is None or stamp(path) != before:
            return None
        return self.learn(path, digest.hexdigest())

    def learn(self, path: Path, sha256: str) -> str:
        """Of somebody who has just read or written all of it."""
        now = stamp(path)
        if now is not None:
            with self._lock:
                others = {**_load(self._memory), **self._found}
                others.pop(str(path), None)
                self._found = dict([*others.items(), (str(path), Found(now, sha256))][-FILES_MAX:])
                _save(self._memory, self._found)
        return sha256


def _load(memory: Path | None) -> dict[str, Found]:
    """What cannot be read is found out again."""
    try:
        return msgspec.json.decode(memory.read_bytes(), type=dict[str, Found]) if memory is not None else {}
    except (OSError, msgspec.DecodeError):
        return {}


def _save(memory: Path | None, found: dict[str, Found]) -> None:
    """Not to be able to remember is no failure."""
    if memory is None:
        return
    fresh = memory.with_name(f"{memory.name}.{os.getpid()}.new")
    try:
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.encode(found))
        fresh.replace(memory)
    except OSError:
        fresh.unlink(missing_ok=True)
