"""The hashes of the model files, where they lie on this machine: a name says little about what is in a file.

A checkpoint has many gigabytes, so files are read once in the life of an engine, one after the other, by a thread
beside everything else. Until a file has been read whole its hash is not known, and nobody waits for it; nor is that of
a file which was changed since.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from control_plane.wire.provenance import MODEL_FILES_MAX, ModelFile
from control_plane.wire.workflow import Workflow

CHUNK_BYTES = 4 * 1024 * 1024
STOP_SECONDS = 2.0

Stamp = tuple[Path, int, int]
"""A file as it is now: its path, size and time of change."""

log = structlog.get_logger()


class Weights:
    """`folders`: what ComfyUI calls its folders → where they lie."""

    def __init__(self, folders: Mapping[str, Sequence[str]], workflows: Sequence[Workflow]) -> None:
        self._folders = folders
        self._known: dict[Stamp, str] = {}
        self._ending = threading.Event()
        wanted = {(file.folder, file.name) for workflow in workflows for file in workflow.manifest.files}
        self._reader = threading.Thread(target=self._read, args=(sorted(wanted),), name="weights", daemon=True)

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        self._ending.set()
        if self._reader.is_alive():
            self._reader.join(STOP_SECONDS)

    def of(self, workflow: Workflow) -> list[ModelFile]:
        """The model files of a workflow, with the hashes that are known by now."""
        files = workflow.manifest.files[:MODEL_FILES_MAX]
        return [ModelFile(name=file.name, sha256=self._hash(file.folder, file.name)) for file in files]

    def _hash(self, folder: str, name: str) -> str | None:
        stamp = self._stamp(folder, name)
        return self._known.get(stamp) if stamp is not None else None

    def _stamp(self, folder: str, name: str) -> Stamp | None:
        """The file as ComfyUI finds it; None when it is not on this machine."""
        for root in self._folders.get(folder, ()):
            path = Path(root) / name
            try:
                found = path.stat()
            except OSError:
                continue
            return path, found.st_size, found.st_mtime_ns
        return None

    def _read(self, wanted: Sequence[tuple[str, str]]) -> None:
        for folder, name in wanted:
            stamp = self._stamp(folder, name)
            if stamp is None or self._ending.is_set():
                continue
            try:
                found = self._hashed(stamp[0])
            except OSError as error:
                log.warning("weights.unreadable", file=name, problem=str(error))
                continue
            if found is not None and self._stamp(folder, name) == stamp:
                self._known[stamp] = found

    def _hashed(self, path: Path) -> str | None:
        """None when there is no time to read it to the end."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                if self._ending.is_set():
                    return None
                digest.update(chunk)
        return digest.hexdigest()
