"""Whether the client of a request is still there, for requests that are held open or answered for long.

The server hears of a closed connection only while somebody asks it for the next message. Asking takes a task, which
most requests are too quick to need, so it is made after `WATCH_AFTER_SECONDS`. The body must have been read before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar.types import Receive

WATCH_AFTER_SECONDS = 0.02


@contextmanager
def watched(
    tasks: asyncio.TaskGroup, receive: Receive, leave: Callable[[], None] = lambda: None
) -> Iterator[asyncio.Event]:
    """An event that is set once the client has hung up; `leave` is called then."""
    watch = _Watch(tasks, receive, leave)
    try:
        yield watch.gone
    finally:
        watch.close()


class _Watch:
    def __init__(self, tasks: asyncio.TaskGroup, receive: Receive, leave: Callable[[], None]) -> None:
        self.gone = asyncio.Event()
        self._leave = leave
        self._tasks = tasks
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)

    def close(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        watch = self._until_gone()
        try:
            self._task = self._tasks.create_task(watch)
        except RuntimeError:  # the process is ending, so nobody will be waited for
            watch.close()
            self._go()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._go()

    def _go(self) -> None:
        self.gone.set()
        self._leave()
