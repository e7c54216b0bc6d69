"""SIGINT and SIGTERM as something to wait for, so that nothing is torn apart in the middle of starting or stopping."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """Somebody has asked us to stop."""


class Stopping:
    """Set `asked` at the first signal; every signal calls `also`, if there is one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.also: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Raises `Stopped` once it was asked for."""
        if self.asked.is_set():
            raise Stopped

    async def rest(self, seconds: float) -> None:
        """Sleep, but not through a signal. Raises `Stopped`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.asked.wait()
        self.check()

    @contextmanager
    def listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        self.also()
        self.asked.set()
