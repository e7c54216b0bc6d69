"""A stretch of a task that others may cut short, and only that stretch.

    async with scope:        # raises Interrupted once anybody calls scope.interrupt()
        ...

Built on `asyncio.timeout`, so there is no second task and cancellation of the whole program still means what it
means. The body gets one `CancelledError` to tidy up by; when it is still busy after `patience_seconds` it gets
another, and `forced` says so.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType


class Interrupted(Exception):
    """Somebody ended this stretch of work on purpose."""


class Scope:
    def __init__(self, patience_seconds: float | None = None) -> None:
        self._patience_seconds = patience_seconds
        self._interrupted = False
        self._timeouts: list[asyncio.Timeout] = []
        self._stack = AsyncExitStack()
        self.forced = False

    def interrupt(self) -> None:
        """End the stretch that is being run, or the moment it begins. Calling it again changes nothing."""
        if self._interrupted:
            return
        self._interrupted = True
        if self._timeouts:
            hard, soft = self._timeouts
            now = asyncio.get_running_loop().time()
            if self._patience_seconds is not None:
                hard.reschedule(now + self._patience_seconds)
            soft.reschedule(now)

    async def __aenter__(self) -> Scope:
        if self._interrupted:
            raise Interrupted
        self._timeouts = [await self._stack.enter_async_context(asyncio.timeout(None)) for _ in "hs"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        hard, soft = self._timeouts
        self._timeouts = []
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except TimeoutError:
            if not (hard.expired() or soft.expired()):
                raise
            self.forced = hard.expired()
            raise Interrupted from None
