"""When a ComfyUI that ended badly may be started again, and when it is worn and had better be.

The first new start is at once, since a crash is mostly an accident. Then pauses double, with full jitter, and after
`STARTS_MAX` in a row only one try in `COOL_SECONDS` is left: what ends again and again needs its owner, not haste.
One that has lasted `STABLE_SECONDS` has proven itself.
"""

from __future__ import annotations

import random

FIRST_SECONDS = 2.0
CAP_SECONDS = 60.0
STARTS_MAX = 6
COOL_SECONDS = 600.0
STABLE_SECONDS = 600.0
WARM_JOBS = 3
"""After so many jobs since a model was new, what it holds is what it needs."""


class Restarts:
    """Of one ComfyUI; times are seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self.in_a_row = 0
        """Starts that ended badly, since one that did not."""
        self._due_at = float("-inf")

    def ended(self, now: float, lived_seconds: float, chance: float | None = None) -> None:
        """It has ended badly; `chance` is 0..1, random by default."""
        self.in_a_row = 1 if lived_seconds >= STABLE_SECONDS else self.in_a_row + 1
        drawn = random.random() if chance is None else chance
        if self.in_a_row > STARTS_MAX:
            self._due_at = now + COOL_SECONDS * (1 + drawn) / 2
        elif self.in_a_row > 1:
            self._due_at = now + min(CAP_SECONDS, FIRST_SECONDS * 2.0 ** (self.in_a_row - 2)) * drawn
        else:
            self._due_at = now

    def wait_seconds(self, now: float) -> float:
        return max(0.0, self._due_at - now)


class Wear:
    """Of one process, by jobs done and by the memory that it holds after each (0: not known)."""

    def __init__(self, jobs_max: int, growth_bytes_max: int) -> None:
        self._jobs_max = jobs_max
        self._growth_bytes_max = growth_bytes_max
        self._jobs = 0
        self._models: set[str] = set()
        self._since_new = 0
        self._warm_bytes = 0
        self._held_bytes = 0

    def add(self, model: str, held_bytes: int) -> None:
        """A job is done. What a model takes when it is new is no wear."""
        self._jobs += 1
        self._held_bytes = held_bytes
        self._since_new = 0 if model not in self._models else self._since_new + 1
        self._models.add(model)
        if self._since_new <= WARM_JOBS:
            self._warm_bytes = held_bytes

    def reason(self) -> str | None:
        """Why it should be started anew; None: it should not."""
        if self._jobs_max and self._jobs >= self._jobs_max:
            return f"it has done {self._jobs} jobs"
        grown = self._held_bytes - self._warm_bytes
        if self._growth_bytes_max and self._warm_bytes and grown > self._growth_bytes_max:
            return f"it holds {grown / 1024**3:.1f} GiB more than when it was warm"
        return None
