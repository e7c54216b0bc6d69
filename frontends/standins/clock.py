"""A wall clock that tests may put forward, so that a token of fifteen minutes is old at once."""

from __future__ import annotations

import time


class Clock:
    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead_seconds

    def advance(self, seconds: float) -> None:
        self.ahead_seconds += seconds
