"""What a stand-in keeps of what passed through it: the newest up to a bound, for a demonstration may run for days.

A thing that is given up is handed back, so that its owner can let go of what it holds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Thing = TypeVar("Thing")

MESSAGES_KEPT = 20_000
INTERACTIONS_KEPT = 20_000
FILE_BYTES_KEPT = 512 * 1024**2
UPLOADS_KEPT = 200


class Shelf(OrderedDict[Key, Thing], Generic[Key, Thing]):
    """A mapping that holds at most so much: things by default, or what each of them weighs."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._weights: dict[Key, int] = {}
        self._weight = 0

    def keep(self, key: Key, thing: Thing, weight: int = 1) -> list[Thing]:
        """Put it there; what had to go for it. The newest stays whatever it weighs."""
        self.take(key)
        self[key] = thing
        self._weights[key] = weight
        self._weight += weight
        gone: list[Thing] = []
        while self._weight > self._room and len(self) > 1:
            oldest, old = self.popitem(last=False)
            self._weight -= self._weights.pop(oldest)
            gone.append(old)
        return gone

    def take(self, key: Key) -> Thing | None:
        """Take it away, if it is there."""
        if key not in self:
            return None
        self._weight -= self._weights.pop(key)
        return self.pop(key)
