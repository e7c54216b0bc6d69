"""Jobs that conversations wait for, followed to their end: each by one stream, whatever the network does.

A job is followed for as long as somebody wants to hear of it. When nobody answers it is tried on, ever more slowly; a
job that its person may not see any more is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from control_plane.wire.job import JobView
from frontends.bots.errands import Errands
from frontends.client import full_jitter
from frontends.problems import ClientError, Refused

PAUSE_SECONDS_MIN = 1.0
"""After a stream that broke off, at least."""

Tell = Callable[[JobView], Awaitable[None]]

log = structlog.get_logger()


class Followers:
    """One for all bots. Everything runs in `tasks`."""

    def __init__(self, errands: Errands, tasks: asyncio.TaskGroup) -> None:
        self._errands = errands
        self._tasks = tasks
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def follow(self, conversation: str, job_id: str, identity: str, tell: Tell) -> None:
        """From now on tell how a job goes; following it twice is following it once."""
        key = conversation, job_id
        if key not in self._running:
            task = self._tasks.create_task(self._follow(UUID(job_id), identity, tell))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))

    def unfollow(self, conversation: str, job_id: str) -> None:
        task = self._running.pop((conversation, job_id), None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def leave(self, conversation: str) -> None:
        """Nobody is there any more to be told."""
        for of, job_id in [*self._running]:
            if of == conversation:
                self.unfollow(of, job_id)

    def stop(self) -> None:
        for task in [*self._running.values()]:
            task.cancel()

    @property
    def count(self) -> int:
        return len(self._running)

    async def _follow(self, job_id: UUID, identity: str, tell: Tell) -> None:
        attempt = 0
        while True:
            try:
                job = await self._errands.look(job_id, identity)
                async for fresh in self._errands.follow(job, identity):
                    attempt = 0
                    await tell(fresh)
                return
            except Refused as error:
                if error.status in (403, 404, 410):
                    log.info("job.let_go", job_id=str(job_id), status=error.status)
                    return
            except ClientError:
                pass
            attempt += 1
            await asyncio.sleep(PAUSE_SECONDS_MIN + full_jitter(attempt))
