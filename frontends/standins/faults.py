"""Faults by wish: the next calls of a name are refused, not answered, late, cut off, or stand still until told.

`Faults.around(call, bot, act)` is the one place that every call of a bot passes. A wish names calls by prefix
("messages.", "PATCH /webhooks"), may be for one bot alone, and comes true `times` times; `hits` counts that, so that a
test can demand that its fault happened. `act` does what the call asks for; "lost" and "cut afterwards" have done it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Answer = TypeVar("Answer")


class Unanswered(Exception):
    """The call gets no answer, and its connection stays."""


class Cut(Exception):
    """The connection of the call breaks."""


@dataclass(eq=False)
class Fault:
    """One wish. For `hold`: wait for `reached`, then `release()` or `abandon()`."""

    call: str
    kind: Literal["refuse", "lose", "delay", "cut", "hold"]
    bot: object | None
    left: int
    error: Exception | None = None
    seconds: float = 0.0
    done: bool = False
    """Whether what was asked for is done before the fault."""
    hits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _abandoned: bool = False

    def release(self) -> None:
        """The call goes on."""
        self._released.set()

    def abandon(self) -> None:
        """The call ends without an answer; what was not done will not be."""
        self._abandoned = True
        self._released.set()

    async def take(self, act: Callable[[], Awaitable[Answer]]) -> Answer:
        self.hits += 1
        self.left -= 1
        self.reached.set()
        if self.error is not None:
            raise self.error
        if self.kind == "delay":
            await asyncio.sleep(self.seconds)
            return await act()
        answer = await act() if self.done else None
        if self.kind == "lose":
            raise Unanswered
        if self.kind == "cut":
            raise Cut
        await self._released.wait()
        if self._abandoned:
            raise Cut
        return await act() if answer is None else answer


class Faults:
    """The wishes of a platform; `error` makes its refusal from what `refuse` was given."""

    def __init__(self, error: Callable[..., Exception]) -> None:
        self._error = error
        self._wishes: list[Fault] = []

    def refuse(self, call: str, *said: object, times: int = 1, bot: object | None = None) -> Fault:
        """Telegram: `refuse("messages.EditMessage", 420, "FLOOD_WAIT_17")`; Discord: `refuse("POST /", 502)`."""
        return self._wish(Fault(call, "refuse", bot, times, error=self._error(*said)))

    def lose(self, call: str, *, times: int = 1, bot: object | None = None) -> Fault:
        """It is done, and nobody hears of it."""
        return self._wish(Fault(call, "lose", bot, times, done=True))

    def delay(self, call: str, seconds: float, *, times: int = 1, bot: object | None = None) -> Fault:
        return self._wish(Fault(call, "delay", bot, times, seconds=seconds))

    def cut(self, call: str, *, done: bool, times: int = 1, bot: object | None = None) -> Fault:
        """The connection breaks, after it was done or instead."""
        return self._wish(Fault(call, "cut", bot, times, done=done))

    def hold(self, call: str, *, done: bool = False, bot: object | None = None) -> Fault:
        """Stands still, before it is done or (`done`) between that and the answer."""
        return self._wish(Fault(call, "hold", bot, 1, done=done))

    def forget(self) -> None:
        """No further wishes."""
        self._wishes.clear()

    async def around(self, call: str, bot: object | None, act: Callable[[], Awaitable[Answer]]) -> Answer:
        for fault in self._wishes:
            if fault.left > 0 and call.startswith(fault.call) and fault.bot in (None, bot):
                return await fault.take(act)
        return await act()

    def _wish(self, fault: Fault) -> Fault:
        self._wishes.append(fault)
        return fault
