"""Turning many waiting calls of one process into few statements.

Calls of one kind that wait at the same moment go to the database as one batch of at most `WIDTH` members. A call that
finds nothing going on leaves at once; batches form by themselves under load, because calls gather while others are on
the way. When a batch comes back the next one departs before the answers are handed out, so that the database works
while this process writes to its clients. A second batch departs beside the first only when somebody has waited long,
as with a database that is far away: where it is near, two at a time wait for each other's locks and come back at the
same moment, and then both sides have nothing to do in turn (that cost a third). Only calls with the same key share a
batch. An expected refusal is an answer like any other; when a batch raises, its members are run one by one, so that
each call meets its own fate and not its neighbour's. Not so when the database went away: then nobody knows what was
done, and doing it again is for the caller to decide.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

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
LATE_SECONDS = 0.01
"""How long somebody waits until a second batch departs while the first is still on the way."""


class Failure(NamedTuple):
    """What a call gets instead of an answer."""

    error: Exception


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
        return await self.ask(call)

    def ask(self, call: Call) -> asyncio.Future[Answer]:
        """What will be the answer; must be awaited."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(self._key(call), deque()).append((call, future))
        self._queued += 1
        self.calls += 1
        self._go()
        return future

    def _go(self) -> None:
        """Let a batch depart when it should, and let nobody wait long for that."""
        if not self._waiting or self._flying >= FLIGHTS:
            return
        if self._flying == 0:
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
        batch: list[tuple[Call, asyncio.Future[Answer]]] = []
        outcomes: Sequence[Answer | Failure] = []
        try:
            await self._gather()
            if self._waiting:
                batch = self._next_batch()
                outcomes = await self._outcomes([call for call, _ in batch])
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        finally:
            self._flying -= 1
            self._landed_at = asyncio.get_running_loop().time()
        self._go()
        await asyncio.sleep(0)  # the next batch departs
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Failure):
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome)

    async def _gather(self) -> None:
        """While there is company, what has arrived meanwhile and is still to be read comes along."""
        company = self._queued > 1 or asyncio.get_running_loop().time() - self._landed_at < COMPANY_SECONDS
        for _ in range(GATHER_TURNS if company else 0):
            if self._queued >= self._width // 2:
                return
            await asyncio.sleep(0)

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Answer]]]:
        """The keys take turns, so that a busy one does not hold up the others."""
        key = next(iter(self._waiting))
        line = self._waiting.pop(key)
        batch = [line.popleft() for _ in range(min(self._width, len(line)))]
        if line:
            self._waiting[key] = line
        self._queued -= len(batch)
        return batch

    async def _outcomes(self, calls: list[Call]) -> Sequence[Answer | Failure]:
        self.batches += 1
        try:
            answers = await self._run(calls)
            if len(answers) != len(calls):
                raise RuntimeError(f"{len(calls)} calls got {len(answers)} answers")
            return answers
        except Exception as error:
            if len(calls) == 1 or isinstance(error, Unavailable):
                return [Failure(error)] * len(calls)
            return [(await self._outcomes([call]))[0] for call in calls]
