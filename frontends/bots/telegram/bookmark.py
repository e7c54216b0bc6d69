"""How far the story of an account or a channel was heard, though its pieces are heard beside each other.

Every piece has the number (pts) that stands after it. What may be kept for the next start is the number of the last
piece before which nothing is still being heard; whatever comes after it will be told again, and is known by its id.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(eq=False)
class Mark:
    """One piece; `pts` is None when it says nothing about how far the story goes."""

    pts: int | None
    heard: bool = False


class Bookmark:
    """Of one story, from `pts` on."""

    def __init__(self, pts: int) -> None:
        self.told = pts
        """The furthest that was told."""
        self.heard = pts
        """Up to where everything was heard."""
        self._marks: deque[Mark] = deque()

    def open(self, pts: int | None) -> Mark:
        """A piece that is told."""
        mark = Mark(pts)
        self._marks.append(mark)
        self.told = max(self.told, pts or 0)
        return mark

    def close(self, mark: Mark) -> bool:
        """It was heard; whether the bookmark moved."""
        mark.heard = True
        before = self.heard
        while self._marks and self._marks[0].heard:
            self.heard = max(self.heard, self._marks.popleft().pts or 0)
        return self.heard != before
