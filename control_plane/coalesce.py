"""Turning many waiting calls of one process into few statements.

Calls of one kind that wait at the same moment go to the database as one batch: at most `WIDTH` members, at most
`FLIGHTS` batches on the way. A call that finds nothing going on leaves at once; batches form by themselves under
load, because calls gather while others are on the way, and a second one departs when it is full enough or somebody
has waited long enough. Only calls with the same key share a batch. An expected refusal is an answer like any other;
when a batch raises, its members are run one by one, so that each call meets its own fate and not its neighbour's. Not
so when the database went away: then nobody knows what was done, and doing it again is for the caller to decide.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from control_plane.errors import Unavailable

Call = TypeVar("Call")
Answer = TypeVar("Answer")

WIDTH = 32
FLIGHTS = 2
GATHER_TURNS = 4
"""Turns of the loop before a batch departs while there is company: enough to take along what has arrived meanwhile and
is still to be read …"""
COMPANY_SECONDS = 0.01
"""… which is to be expected so soon after a batch."""
FULL = WIDTH // 2
"""How many calls that wait let a second batch depart while the first is still on the way …"""
LATE_SECONDS = 0.01
"""… or how long one of them has to wait for that. Two half-empty batches at a time cost more than one."""


def _reject(batch: list[tuple[Call, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


class Coalescer(Generic[Call, Answer]):
    """Runs `run(calls) -> answers` (same length, same order) on behalf of single calls.

    Batches belong to `tasks`, not to a caller: a caller that is cancelled takes nobody else down, and what it
    asked for still happens (as it would for a request whose client went away).
    """

    def __init__(
        self,
        run: Callable[[Sequence[Call]], Awaitable[Sequence[Answer]]],
        tasks: asyncio.TaskGroup,
        *,
        key: Callable[[Call], Hashable] = lambda _: None,
        width: int = WIDTH,
    ) -> None:
        self._run = run
        self._tasks = tasks
        self._key = key
        self._width = width
        self._waiting: dict[Hashable, deque[tuple[Call, asyncio.Future[Answer]]]] = {}
        self._queued = 0
        self._flying = 0
        self._landed_at = -math.inf
        self._late: asyncio.TimerHandle | None = None
        self.calls = 0
        self.batches = 0

    async def __call__(self, call: Call) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(self._key(call), deque()).append((call, future))
        self._queued += 1
        self.calls += 1
        self._go()
        return await future

    def _go(self) -> None:
        """Let a batch depart when it should, and let nobody wait long for that."""
        if not self._waiting or self._flying >= FLIGHTS:
            return
        if self._flying == 0 or self._queued >= FULL:
            self._depart()
        elif self._late is None:
            self._late = asyncio.get_running_loop().call_later(LATE_SECONDS, self._depart_late)

    def _depart_late(self) -> None:
        self._late = None
        if self._waiting and self._flying < FLIGHTS:
            self._depart()

    def _depart(self) -> None:
        flight = self._fly()
        try:
            self._tasks.create_task(flight)
            self._flying += 1
        except RuntimeError:  # the process is ending, and with it the requests that wait here
            flight.close()

    async def _fly(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            if self._queued > 1 or clock() - self._landed_at < COMPANY_SECONDS:
                for _ in range(GATHER_TURNS):
                    await asyncio.sleep(0)
            if self._waiting:
                await self._settle(self._next_batch())
        finally:
            self._flying -= 1
            self._landed_at = clock()
        self._go()

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Answer]]]:
        """The keys take turns, so that a busy one does not hold up the others."""
        key = next(iter(self._waiting))
        line = self._waiting.pop(key)
        batch = [line.popleft() for _ in range(min(self._width, len(line)))]
        if line:
            self._waiting[key] = line
        self._queued -= len(batch)
        return batch

    async def _settle(self, batch: list[tuple[Call, asyncio.Future[Answer]]]) -> None:
        self.batches += 1
        try:
            answers = await self._run([call for call, _ in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} calls got {len(answers)} answers")
        except Exception as error:
            if len(batch) == 1 or isinstance(error, Unavailable):
                _reject(batch, error)
            else:
                for member in batch:
                    await self._settle([member])
            return
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
