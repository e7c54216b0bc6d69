"""The beginning of a file that is being loaded: `<name>.part` beside its place, and a note of what is known of it.

The note has *marks*: how far, and the hash up to there. Whoever goes on reads the part once and keeps exactly what a
mark confirms, so a machine that lost its power in the middle of a write loses a little, not the file. Who writes holds
a lock on the part (flock), which dies with its process; the lock and the part become the file when it is finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

CHUNK_BYTES = 4 * 1024 * 1024
MARK_BYTES = 32 * 1024 * 1024
"""At most so much must be loaded again after a crash."""
NOTE_BYTES_MAX = 8 * 1024 * 1024
SUFFIX = ".part"
NOTE_SUFFIX = ".part.json"


class Busy(Exception):
    """Somebody else is loading this file."""


class Mark(msgspec.Struct, frozen=True):
    bytes: Annotated[int, Meta(ge=0)]
    sha256: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    """That the whole file will have."""
    sha256: str | None
    """That it must have."""
    source: str | None = None
    validator: str | None = None
    """What that source calls this version of the file: a strong ETag, or the time of its last change."""
    marks: list[Mark] = []


def part_path(target: Path) -> Path:
    return target.with_name(target.name + SUFFIX)


def note_path(target: Path) -> Path:
    return target.with_name(target.name + NOTE_SUFFIX)


def kept_bytes(target: Path, total: int, sha256: str | None) -> int:
    """How much of a file is here to go on from, without reading it."""
    note = _read_note(note_path(target))
    try:
        size = part_path(target).stat().st_size
    except OSError:
        return 0
    if note is None or (note.bytes, note.sha256) != (total, sha256):
        return 0
    return max((mark.bytes for mark in note.marks if mark.bytes <= size), default=0)


class Part:
    """From `open` to `close` nobody else writes it. Every method may raise `OSError`."""

    def __init__(self, target: Path, total: int, sha256: str | None) -> None:
        self.target = target
        self.bytes = 0
        self._path = part_path(target)
        self._note_path = note_path(target)
        self._note = Note(bytes=total, sha256=sha256)
        self._digest = hashlib.sha256()
        self._marked = 0
        self._fd = -1

    @property
    def source(self) -> str | None:
        return self._note.source

    @property
    def validator(self) -> str | None:
        return self._note.validator

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def open(self, report: Callable[[int], None] = lambda _: None) -> None:
        """Reads what is here, and tells how far. Raises `Busy`."""
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_still_there():
                    break
            except BlockingIOError:
                self._release()
                raise Busy from None
            self._release()  # it was finished or removed between the two calls
        self._recover(report)

    def begin(self, source: str, validator: str | None) -> None:
        """Everything from here on comes from this source; before there was nothing."""
        self.clear()
        self._note = msgspec.structs.replace(self._note, source=source, validator=validator)
        self._write_note()

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.pwrite(self._fd, view, self.bytes + len(chunk) - len(view)) :]
        self._digest.update(chunk)
        self.bytes += len(chunk)
        if self.bytes - self._marked >= MARK_BYTES:
            self.mark()

    def mark(self) -> None:
        """What is here now will be here when somebody goes on."""
        if self.bytes == self._marked:
            return
        os.fdatasync(self._fd)
        marks = [*self._note.marks, Mark(self.bytes, self.sha256)]
        self._note = msgspec.structs.replace(self._note, marks=marks)
        self._marked = self.bytes
        self._write_note()

    def head(self, length: int) -> bytes:
        return os.pread(self._fd, length, 0)

    def clear(self) -> None:
        """Nothing of it is worth keeping."""
        os.ftruncate(self._fd, 0)
        self._digest, self.bytes, self._marked = hashlib.sha256(), 0, 0
        self._note = Note(bytes=self._note.bytes, sha256=self._note.sha256)
        self._note_path.unlink(missing_ok=True)

    def finish(self) -> None:
        """The part becomes the file, in one step."""
        os.fsync(self._fd)
        self._marked = self.bytes
        self._path.replace(self.target)
        self._note_path.unlink(missing_ok=True)
        with suppress(OSError):  # some file systems cannot, and the file is whole either way
            folder = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def close(self) -> None:
        """An empty part is taken away."""
        if self._fd >= 0:
            if self.bytes == 0 and self._is_still_there():
                self._path.unlink(missing_ok=True)
                self._note_path.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def _is_still_there(self) -> bool:
        try:
            there = self._path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._fd), there)

    def _recover(self, report: Callable[[int], None]) -> None:
        """Keep what a mark confirms."""
        note = _read_note(self._note_path)
        wanted = (self._note.bytes, self._note.sha256)
        confirmed = (
            self._confirmed(note.marks, report) if note is not None and (note.bytes, note.sha256) == wanted else []
        )
        if note is None or not confirmed:
            return self.clear()
        self._note = msgspec.structs.replace(note, marks=confirmed)
        self._marked = self.bytes = confirmed[-1].bytes
        os.ftruncate(self._fd, self.bytes)

    def _confirmed(self, marks: list[Mark], report: Callable[[int], None]) -> list[Mark]:
        """The marks that are true, up to the first that is not; the digest ends at the last of them."""
        at, true = 0, []
        for mark in marks:
            digest = self._digest.copy()
            while at < mark.bytes and (chunk := os.pread(self._fd, min(CHUNK_BYTES, mark.bytes - at), at)):
                digest.update(chunk)
                at += len(chunk)
            if at != mark.bytes or digest.hexdigest() != mark.sha256:
                break
            self._digest = digest
            true.append(mark)
            report(at)
        return true

    def _write_note(self) -> None:
        """All of it or nothing; on a full disk over the old one, whose last block has room for a mark or two."""
        raw = msgspec.json.encode(self._note)
        fresh = self._note_path.with_name(self._note_path.name + ".new")
        try:
            fresh.write_bytes(raw)
            fresh.replace(self._note_path)
        except OSError:
            fresh.unlink(missing_ok=True)
            with self._note_path.open("r+b") as file:
                file.write(raw)
                file.truncate()


def _read_note(path: Path) -> Note | None:
    try:
        raw = path.read_bytes()
        return msgspec.json.decode(raw, type=Note) if len(raw) <= NOTE_BYTES_MAX else None
    except (OSError, msgspec.DecodeError):
        return None
