"""A painter process, from its hiring to its dismissal, as the engine holds it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from agent.engine import EngineError
from agent.engine.testcard import talk
from agent.engine.testcard.talk import Ended, News, Order, Ready, Stop

HIRE_SECONDS = 20.0
"""How long a painter may take to get ready; a busy machine needs a second or two."""
OBEY_SECONDS = 1.0
"""How long a painter has to stop when it is asked to; then it is killed."""
ROOT = Path(__file__).parents[3]
"""Where the painter finds the package it belongs to."""


class Painter:
    """Orders go in, news comes out, one run at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._orders, self._news = process, process.stdin, process.stdout
        self._expected: int | None = None

    @classmethod
    async def hire(cls) -> Painter:
        """A painter that is ready to draw; raises `EngineError` when there is none to be had."""
        painter = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent.engine.testcard.painter", str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=talk.UNHEARD_BYTES_MAX,
                cwd=ROOT,
            )
        )
        try:
            async with asyncio.timeout(HIRE_SECONDS):
                if not isinstance(await painter.hear(), Ready):
                    raise EngineError("engine_crash", "The painter of the built-in engine does not start.")
        except TimeoutError:
            await painter.dismiss()
            raise EngineError("engine_crash", "The painter of the built-in engine does not get ready.") from None
        except BaseException:
            await painter.dismiss()
            raise
        return painter

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._news.at_eof()

    def give(self, order: Order) -> None:
        self._orders.write(talk.frame(order))

    async def hear(self) -> News | None:
        """The next news, None when the painter has died. May be cancelled at any point and called again."""
        try:
            if self._expected is None:
                (self._expected,) = talk.LENGTH.unpack(await self._news.readexactly(talk.LENGTH.size))
            body = await self._news.readexactly(self._expected)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self._expected = None
        news: News = talk.decode_news(body)
        return news

    async def halt(self) -> bool:
        """Ask it to stop and wait until it is idle; False when it does not obey and should be dismissed."""
        self.give(Stop())
        try:
            async with asyncio.timeout(OBEY_SECONDS):
                while (news := await self.hear()) is not None:
                    if isinstance(news, Ended):
                        return True
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            await self.dismiss()
            raise
        return False

    async def dismiss(self) -> None:
        """Nothing of it is left."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
