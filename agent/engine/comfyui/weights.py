"""The hashes of the model files, where they lie on this machine: a name says little about what is in a file.

A checkpoint has many gigabytes, so files are read once, one after the other, by a thread beside everything else. Until
a file has been read whole its hash is not known, and nobody waits for it; nor is that of a file which was changed
since. What the commands for model files have read or loaded is not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from agent.hashes import Hashes, stamp
from control_plane.wire.provenance import MODEL_FILES_MAX, ModelFile
from control_plane.wire.workflow import Workflow

STOP_SECONDS = 2.0

log = structlog.get_logger()


class Weights:
    """`folders`: what ComfyUI calls its folders → where they lie."""

    def __init__(
        self, folders: Mapping[str, Sequence[str]], workflows: Sequence[Workflow], hashes: Hashes | None = None
    ) -> None:
        self._folders = folders
        self._hashes = hashes or Hashes()
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

    def facts(self, folder: str, name: str) -> tuple[int | None, str | None]:
        """Size and hash of a file, as far as they are known without reading it."""
        path = self._find(folder, name)
        now = stamp(path) if path is not None else None
        return (now.bytes, self._hash(folder, name)) if now is not None else (None, None)

    def _hash(self, folder: str, name: str) -> str | None:
        path = self._find(folder, name)
        return self._hashes.known(path) if path is not None else None

    def _find(self, folder: str, name: str) -> Path | None:
        """The file as ComfyUI finds it; None when it is not on this machine."""
        paths = (Path(root) / name for root in self._folders.get(folder, ()))
        return next((path for path in paths if path.is_file()), None)

    def _read(self, wanted: Sequence[tuple[str, str]]) -> None:
        for folder, name in wanted:
            path = self._find(folder, name)
            if path is None or self._ending.is_set() or self._hashes.known(path) is not None:
                continue
            try:
                self._hashes.read(path, lambda _: not self._ending.is_set())
            except OSError as error:
                log.warning("weights.unreadable", file=name, problem=str(error))
