"""One job on this machine's engine without a control plane, for diagnosis. Its files stay until newer ones come."""

from __future__ import annotations

import shutil
import time
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import msgspec

from agent import transfer
from agent.engine import Engine, EngineError, Output
from control_plane.wire.job import JobSpec

TRIALS_KEPT = 5


class TrialFile(msgspec.Struct, kw_only=True):
    index: int
    path: str
    mime_type: str
    bytes: int
    sha256: str


class Trial(msgspec.Struct, kw_only=True):
    seconds: float
    files: list[TrialFile]


async def try_job(engine: Engine, spec: JobSpec, trials_folder: Path) -> Trial:
    """Raises `EngineError`. The engine must be started and idle."""
    _make_room(trials_folder)
    folder = trials_folder / f"{time.time_ns():020d}-{uuid4().hex[:8]}"
    folder.mkdir(mode=0o700, parents=True)
    began = time.monotonic()
    files: list[TrialFile] = []
    async with aclosing(engine.run(spec, folder)) as events:
        async for event in events:
            if isinstance(event, Output):
                files.append(await _describe(event))
    if not files:
        raise EngineError("engine_crash", "The engine ended without a file.")
    return Trial(seconds=round(time.monotonic() - began, 3), files=files)


async def _describe(output: Output) -> TrialFile:
    measure = await transfer.measure(output.path)
    return TrialFile(
        index=output.index,
        path=str(output.path),
        mime_type=output.mime_type,
        bytes=measure.bytes,
        sha256=measure.sha256,
    )


def _make_room(folder: Path) -> None:
    kept = sorted(folder.iterdir())[-(TRIALS_KEPT - 1) :] if folder.exists() else []
    for old in folder.iterdir() if folder.exists() else []:
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)
