"""A wall clock that tests may put forward, so that a token of fifteen minutes is old at once, or stop, so that what is
counted by the second does not depend on how fast the machine is."""

from __future__ import annotations

import time


class Clock:
    def __init__(self) -> None:
        self._ahead_seconds = 0.0
        self._stopped_at: float | None = None

    def now(self) -> float:
        """Seconds since 1970."""
        return (time.time() if self._stopped_at is None else self._stopped_at) + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        self._ahead_seconds += seconds

    def stop(self) -> None:
        """From now on only `advance` moves it."""
        self._stopped_at = time.time()
