"""The built-in engine: draws test cards on the CPU, so that everything can be tried without a GPU.

Pictures are drawn by a child process that stays (`painter.py`), films by one that lives for one film, so the agent's
own process imports no picture library and its loop never waits for a drawing. Starting a run on the warm painter is
one message. A run that is closed early asks the painter to stop; one that does not obey is killed and replaced.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from agent.engine import EngineError, Offer, Output, Preview
from agent.engine.testcard import talk
from agent.engine.testcard.talk import Ended, Glimpse, Made, News, Paint, Step, Stop
from control_plane.wire.job import JobKind, JobSpec, Progress
from control_plane.wire.worker import Capability

MODEL = "testcard"
OBEY_SECONDS = 1.0
"""How long a painter has to stop when it is asked to; then it is killed."""


class Testcard:
    """One per slot. `seconds` is the least time a run takes, so that there is something to watch."""

    __test__ = False
    name = "testcard"

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._painter: asyncio.subprocess.Process | None = None
        self._loaded: Capability | None = None

    async def start(self) -> None:
        if importlib.util.find_spec("PIL") is None:
            raise EngineError("engine_crash", "The built-in engine needs Pillow. Run: pip install pillow")
        await self._warm()

    async def offer(self) -> Offer:
        kinds: list[JobKind] = ["image", "video"] if importlib.util.find_spec("av") else ["image"]
        return Offer(capabilities=[Capability(kind=kind, model=MODEL) for kind in kinds], vram_gib=0, device="CPU")

    def loaded(self) -> Capability | None:
        return self._loaded

    async def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Output, None]:
        if spec.model != MODEL:
            raise EngineError("missing_model", f"The built-in engine has no model {spec.model}; it draws test cards.")
        self._loaded = Capability(kind=spec.kind, model=spec.model)
        painter = await self._warm()
        ended = False
        try:
            _send(painter, Paint(spec, str(folder), self._seconds))
            async for news in _heard(painter):
                if isinstance(news, Ended):
                    ended = True
                    if news.cause is not None:
                        raise EngineError(news.cause, news.message)
                    return
                yield _event(news)
            raise EngineError("engine_crash", "The painter died in the middle of the picture.")
        finally:
            if not ended:
                await self._interrupt(painter, folder)

    async def _interrupt(self, painter: asyncio.subprocess.Process, folder: Path) -> None:
        """Ask the painter to stop and wait until it is idle; kill it when it does not obey."""
        try:
            _send(painter, Stop())
            async with asyncio.timeout(OBEY_SECONDS):
                async for news in _heard(painter):
                    if isinstance(news, Ended):
                        break
        except (TimeoutError, ConnectionError):
            await self.stop()
        for left in folder.glob("*"):
            left.unlink(missing_ok=True)

    async def _warm(self) -> asyncio.subprocess.Process:
        if self._painter is None or self._painter.returncode is not None:
            self._painter = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "agent.engine.testcard.painter",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[3],
            )
        return self._painter

    async def stop(self) -> None:
        if self._painter is not None and self._painter.returncode is None:
            self._painter.kill()
            await self._painter.wait()
        self._painter = None


def _event(news: News) -> Progress | Preview | Output:
    match news:
        case Step():
            return Progress(value=news.value, step=news.step, steps=news.steps)
        case Glimpse():
            return Preview(news.image)
        case Made():
            return Output(news.index, Path(news.path), news.mime_type)
        case Ended():
            raise AssertionError("the end is no event")


def _send(painter: asyncio.subprocess.Process, order: talk.Order) -> None:
    assert painter.stdin is not None
    painter.stdin.write(talk.frame(order))


async def _heard(painter: asyncio.subprocess.Process) -> AsyncIterator[News]:
    """What the painter tells, until it dies."""
    assert painter.stdout is not None
    try:
        while True:
            head = await painter.stdout.readexactly(talk.LENGTH.size)
            yield talk.decode_news(await painter.stdout.readexactly(talk.LENGTH.unpack(head)[0]))
    except asyncio.IncompleteReadError:
        await painter.wait()
