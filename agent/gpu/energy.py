"""How much energy a run took: the watts of its card, integrated over the time on the engine (trapezoid rule).

Samples come once a second or so. Between two of them that are more than `GAP_SECONDS` apart nothing is known. A run is
measured when at least `SAMPLES_MIN` samples fell into it and they cover `COVERED_MIN` of it; the little that is missing
is taken to be like the rest. Otherwise its energy is unknown: None, which is not 0.
"""

from __future__ import annotations

GAP_SECONDS = 5.0
COVERED_MIN = 0.9
SAMPLES_MIN = 2


class Meter:
    """Of one run. Times are those of the agent's clock, in seconds."""

    def __init__(self, began: float) -> None:
        self.began = began
        self._joules = 0.0
        self._covered_seconds = 0.0
        self._samples = 0
        self._last: tuple[float, float] | None = None

    def add(self, at: float, watts: float | None) -> None:
        """A sample of the run's share of its card's power; None when the card did not say."""
        if watts is None or at < self.began:
            return
        if self._last is None:
            self._add_stretch(at - self.began, watts)
        else:
            last_at, last_watts = self._last
            self._add_stretch(at - last_at, (last_watts + watts) / 2)
        self._last = at, watts
        self._samples += 1

    def joules(self, ended: float) -> float | None:
        """Of the whole run; None when too little of it was seen."""
        if self._last is None or self._samples < SAMPLES_MIN or ended <= self.began:
            return None
        last_at, last_watts = self._last
        rest = max(0.0, ended - last_at)
        rest_seen = rest if rest <= GAP_SECONDS else 0.0
        covered, lasted = self._covered_seconds + rest_seen, ended - self.began
        if covered < COVERED_MIN * lasted:
            return None
        return (self._joules + rest_seen * last_watts) * lasted / covered

    def _add_stretch(self, seconds: float, watts: float) -> None:
        if 0 <= seconds <= GAP_SECONDS:
            self._covered_seconds += seconds
            self._joules += seconds * watts
