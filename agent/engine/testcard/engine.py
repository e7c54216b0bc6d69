"""The engine's side: one painter kept warm for pictures, one hired for every film.

Starting a run on the warm painter is one message. A run that ends early, by whatever cause, leaves the painter idle
or dead and the folder without a file that was not announced; a dead painter is replaced by the next run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from pathlib import Path

from agent.engine import EngineError, Offer, Output, Preview, input_path
from agent.engine.testcard.child import Painter
from agent.engine.testcard.origin import provenance
from agent.engine.testcard.talk import Ended, Glimpse, Made, Paint, Step
from control_plane.wire.job import JobKind, JobSpec, Progress
from control_plane.wire.worker import Capability

MODEL = "testcard"


class Testcard:
    """One per slot. `seconds` is the least time a run takes, so that there is something to watch."""

    __test__ = False
    name = "testcard"

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._warm: Painter | None = None
        """Draws the pictures."""
        self._hired: set[Painter] = set()
        """Every painter that may be alive."""
        self._loaded: Capability | None = None

    async def start(self) -> None:
        if not _installed("PIL"):
            raise EngineError("engine_crash", "The built-in engine needs Pillow. Run: pip install pillow")
        await self._stayer()

    async def offer(self) -> Offer:
        kinds: list[JobKind] = ["image", "video"] if _installed("av") else ["image"]
        return Offer(capabilities=[Capability(kind=kind, model=MODEL) for kind in kinds], vram_gib=0, device="CPU")

    def loaded(self) -> Capability | None:
        return self._loaded

    async def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Output, None]:
        _refuse(spec, folder)
        painter = await (self._hire() if spec.kind == "video" else self._stayer())
        self._loaded = Capability(kind=spec.kind, model=spec.model)
        paint = Paint(spec, str(folder.absolute()), self._seconds)  # noqa: ASYNC240 -- asks no disk
        announced: set[Path] = set()
        idle = False
        try:
            painter.give(paint)
            if await painter.hear() is None and painter is self._warm:  # It died while it was idle.
                painter = await self._stayer()
                painter.give(paint)
            while not idle:
                match await painter.hear():
                    case Step(value, step, steps):
                        yield Progress(value=value, step=step, steps=steps)
                    case Glimpse(image):
                        yield Preview(image)
                    case Made(index, name, mime_type):
                        announced.add(folder / name)
                        yield Output(index, folder / name, mime_type, provenance(spec, spec.seed + index))
                    case Ended(cause, message):
                        idle = True
                        if cause is not None:
                            raise EngineError(cause, message)
                    case None:
                        raise EngineError("engine_crash", "The painter died in the middle of its work.")
        finally:
            if not idle:
                await self._abandon(painter, folder, announced)
            elif painter is not self._warm:
                await self._dismiss(painter)

    def worn(self) -> str | None:
        return None  # a painter that has died is replaced by the next run

    async def stop(self) -> None:
        for painter in list(self._hired):
            await self._dismiss(painter)

    async def _abandon(self, painter: Painter, folder: Path, announced: set[Path]) -> None:
        """Nothing of the run goes on: neither its painter's work nor a file of it."""
        try:
            if painter is not self._warm or not await painter.halt():
                await self._dismiss(painter)
        finally:
            _sweep(folder, announced)

    async def _stayer(self) -> Painter:
        if self._warm is not None and not self._warm.alive:
            await self._dismiss(self._warm)
            self._warm = None
        if self._warm is None:
            self._warm = await self._hire()
        return self._warm

    async def _hire(self) -> Painter:
        painter = await Painter.hire()
        self._hired.add(painter)
        return painter

    async def _dismiss(self, painter: Painter) -> None:
        self._hired.discard(painter)
        await painter.dismiss()


def _installed(module: str) -> bool:
    """Found, not imported: the agent has no need of it."""
    return importlib.util.find_spec(module) is not None


def _refuse(spec: JobSpec, folder: Path) -> None:
    if spec.model != MODEL:
        raise EngineError("missing_model", f"The built-in engine has no model {spec.model}; it draws test cards.")
    if spec.kind == "video" and not _installed("av"):
        raise EngineError("missing_model", "Films need PyAV on this machine. Run: pip install av")
    if min(spec.width, spec.height, spec.count, spec.frames or 1, spec.fps or 1) < 1:
        raise EngineError("invalid_input", "Width, height, count, frames and fps must be at least 1.")
    start = input_path(spec, folder)
    if start is not None and not start.is_file():
        raise EngineError("invalid_input", "The input image is not there.")


def _sweep(folder: Path, announced: set[Path]) -> None:
    for path in folder.glob("*"):
        if path not in announced:
            path.unlink(missing_ok=True)
