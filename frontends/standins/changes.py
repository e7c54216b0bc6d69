"""Who waits for something to be seen is woken when it may have come, and never sleeps for luck.

Everything that a person could notice (a message, an edit, an answer to a press) is told to `Changes`. Waiting is a
predicate that is asked again after each change, up to a deadline; who says which messages it is about is not woken by
others, so that hundreds may wait at once. Whoever shows a chat (the page) listens to the messages themselves, in the
order of their changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from frontends.standins.person import Message

Found = TypeVar("Found")


class NotSeen(AssertionError):
    """What a person waited for did not come in time; says what there was instead."""


class Changes:
    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, Callable[[Message], bool] | None] = {}
        """Who waits, and for which messages; None for any change."""
        self._listening: list[Callable[[Message], None]] = []

    def tell(self, message: Message | None = None) -> None:
        """Something changed; `message` when it was one."""
        for event, about in self._waiting.items():
            if about is None or (message is not None and about(message)):
                event.set()
        if message is not None:
            for hear in [*self._listening]:
                hear(message)

    @contextmanager
    def listen(self, hear: Callable[[Message], None]) -> Iterator[None]:
        """Be told messages as they change, from now on."""
        self._listening.append(hear)
        try:
            yield
        finally:
            self._listening.remove(hear)

    async def until(
        self,
        look: Callable[[], Found | None],
        within: float,
        describe: Callable[[], str] = lambda: "",
        about: Callable[[Message], bool] | None = None,
    ) -> Found:
        """What `look` returns as soon as it is truthy; it is asked again when a message changed that this is `about`,
        or after any change. Raises `NotSeen` after `within` seconds."""
        event = asyncio.Event()
        self._waiting[event] = about
        try:
            async with asyncio.timeout(within):
                while not (found := look()):
                    event.clear()
                    await event.wait()
                return found
        except TimeoutError:
            raise NotSeen(f"not seen within {within:g} s; {describe()}") from None
        finally:
            del self._waiting[event]
