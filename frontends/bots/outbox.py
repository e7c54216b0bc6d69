"""Everything that one bot sends, each at its time: `Pace` with a clock and hands.

A skin says what it wants to send or edit and how that is done; `send` and `edit` return when it was done. Of edits of
one message only the newest is done, and everybody who waited for an older one hears how the newest fared. How it is
done may raise `Flooded`: then it waits as long as the platform asks, with all else for this chat, and is done again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from frontends.bots.limits import Rates
from frontends.bots.pace import Pace, Turn

Outcome = TypeVar("Outcome")
Act = Callable[[], Awaitable[Outcome]]

log = structlog.get_logger()


class Flooded(Exception):
    """The platform asks for patience."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:g} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Errand:
    """How it is done, and everybody who waits for it."""

    act: Act[Any]
    waiting: list[asyncio.Future[Any]] = field(default_factory=list)


class Outbox:
    """Of one bot. Everything runs in `tasks`; `clock` counts seconds and only ever goes forward."""

    def __init__(self, rates: Rates, tasks: asyncio.TaskGroup, clock: Callable[[], float]) -> None:
        self._pace = Pace(rates)
        self._tasks = tasks
        self._clock = clock
        self._numbers = itertools.count(1)
        self._edits: dict[tuple[str, str], _Errand] = {}
        self._waiters: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.tally: Counter[str] = Counter()
        """What was done: `messages`, `edits`, `edits_skipped` (a newer one came before), `floods` (the platform has
        asked for patience) and `flood_seconds`, for how long."""

    async def send(self, chat: str, act: Act[Outcome], *, group: bool = False, weight: int = 1) -> Outcome:
        """A message that has to arrive, or several at once (`weight`), after those before it in this chat. Raises what
        `act` raises."""
        errand = _Errand(act)
        self._pace.send(self._clock(), chat, f"message {next(self._numbers)}", errand, group=group, weight=weight)
        outcome: Outcome = await self._done(errand)
        return outcome

    async def edit(
        self, chat: str, message: str, act: Act[Outcome], *, group: bool = False, paced: bool = True
    ) -> Outcome:
        """A new face of a message, in place of the one that still waits to be shown; `paced` when it only shows
        progress. Raises what the newest `act` raises, and `CancelledError` when nothing more is to be shown."""
        errand = _Errand(act)
        waiting = self._edits.get((chat, message))
        if waiting is not None:
            errand.waiting = waiting.waiting
            self.tally["edits_skipped"] += 1
        self._edits[chat, message] = errand
        self._pace.edit(self._clock(), chat, message, errand, group=group, paced=paced)
        outcome: Outcome = await self._done(errand)
        return outcome

    def drop(self, chat: str, message: str) -> None:
        """Nothing more is to be shown in a message: it is deleted or ended otherwise."""
        self._pace.drop(chat, message)
        errand = self._edits.pop((chat, message), None)
        for waiter in errand.waiting if errand is not None else ():
            waiter.cancel()

    def stop(self) -> None:
        """Sends nothing more. Whoever still waits gets `ConnectionError`: nobody knows what became of theirs."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionError("the bot is stopped"))

    async def _done(self, errand: _Errand) -> Any:
        if self._stopped:
            raise ConnectionError("the bot is stopped")
        waiter = asyncio.get_running_loop().create_future()
        errand.waiting.append(waiter)
        self._waiters.add(waiter)
        try:
            self._go_on()
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def _go_on(self) -> None:
        """Does what may be done by now, and comes back when there is more."""
        if self._stopped:
            return
        now = self._clock()
        while (turn := self._pace.take(now)) is not None:
            if turn.is_edit and self._edits.get((turn.chat, turn.key)) is turn.content:
                del self._edits[turn.chat, turn.key]  # from here on a newer face is another errand
            self._tasks.create_task(self._carry_out(turn))
        if self._timer is not None:
            self._timer.cancel()
        at = self._pace.wake_at()
        self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._go_on)

    async def _carry_out(self, turn: Turn) -> None:
        errand: _Errand = turn.content
        try:
            if not all(waiter.done() for waiter in errand.waiting):
                _tell(errand, await errand.act())
                self.tally["edits" if turn.is_edit else "messages"] += 1
            self._pace.done(self._clock(), turn)
        except Flooded as flood:
            self._flooded(turn, flood.seconds)
        except Exception as error:
            self._pace.done(self._clock(), turn)
            for waiter in errand.waiting:
                if not waiter.done():
                    waiter.set_exception(error)
        finally:
            self._go_on()

    def _flooded(self, turn: Turn, seconds: float) -> None:
        self.tally["floods"] += 1
        self.tally["flood_seconds"] += round(seconds)
        log.info("chat.flooded", edit=turn.is_edit, seconds=seconds)
        newer = self._edits.get((turn.chat, turn.key)) if turn.is_edit else None
        if newer is not None:
            newer.waiting = [*turn.content.waiting, *newer.waiting]
        elif turn.is_edit:
            self._edits[turn.chat, turn.key] = turn.content
        self._pace.flooded(self._clock(), turn, seconds)


def _tell(errand: _Errand, outcome: object) -> None:
    for waiter in errand.waiting:
        if not waiter.done():
            waiter.set_result(outcome)
