"""What this agent has in hand, on disk, so that a killed agent's successor goes on where it stopped.

A file per lease, for its user alone: the lease with its fence, and the files of the run once there are any. The fence
belongs to the credential, not to the process, so the successor's heartbeats keep a lease that is still alive. Claims
need no note: what was offered and not acknowledged goes back by itself and counts for nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from agent.engine import Output
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import Lease


class File(msgspec.Struct, frozen=True):
    """An `Output`, by its name in the folder of the attempt."""

    index: int
    name: str
    mime_type: str
    made: Provenance | None


class Entry(msgspec.Struct, frozen=True):
    lease: Lease
    files: list[File] = []
    """Of a run that is over; what is left to do is to send them."""


class Journal:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, lease: Lease) -> None:
        self._write(Entry(lease))

    def made(self, lease: Lease, outputs: list[Output]) -> None:
        files = [File(output.index, output.path.name, output.mime_type, output.made) for output in outputs]
        self._write(Entry(lease, files))

    def drop(self, lease: Lease) -> None:
        (self._folder / _name(lease)).unlink(missing_ok=True)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """What the last agent left; what cannot be read is deleted."""
        entries = []
        for path in sorted(self._folder.glob("*")):
            try:
                entries.append(msgspec.json.decode(path.read_bytes(), type=Entry))
            except (OSError, msgspec.DecodeError):
                path.unlink(missing_ok=True)
        return entries

    def _write(self, entry: Entry) -> None:
        """Whole or not at all; it has to outlive this process, not the machine."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / _name(entry.lease)
        draft = path.with_suffix(".part")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(entry))
        draft.replace(path)


def work_name(lease: Lease) -> str:
    """Of the folder of this attempt."""
    return f"{lease.job_id}-{lease.attempt}-{lease.token.hex[:8]}"


def outputs(entry: Entry, folder: Path) -> list[Output]:
    """The files of a run that is over, if they are all there."""
    found = [Output(file.index, folder / file.name, file.mime_type, file.made) for file in entry.files]
    return found if all(output.path.is_file() for output in found) else []


def _name(lease: Lease) -> str:
    return f"{work_name(lease)}.json"
