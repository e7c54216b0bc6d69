"""What this agent counts, and its text form for Prometheus.

A dozen numbers need no library. The idle gap is the time a slot's engine stood still between two runs although
there was more to do; besides the histogram its last values are kept, so that p50 and p95 can be told exactly.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from math import ceil

GAP_BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GAPS_KEPT = 2_000


class Histogram:
    """Counts of values below rising bounds, and the last values themselves."""

    def __init__(self, bounds: tuple[float, ...] = GAP_BOUNDS_SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._last: deque[float] = deque(maxlen=GAPS_KEPT)

    def add(self, value: float) -> None:
        place = next((at for at, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[place] += 1
        self.sum += value
        self._last.append(value)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Of the last values, by nearest rank; None when there are none."""
        if not self._last:
            return None
        return sorted(self._last)[max(0, ceil(share * len(self._last)) - 1)]


class Metrics:
    def __init__(self) -> None:
        self.idle_gap = Histogram()
        self.jobs: Counter[str] = Counter()
        """By outcome: succeeded, failed, canceled, released, lost."""
        self.claims = 0
        self.heartbeats = 0
        self.uploaded_bytes = 0

    def text(self, gauges: dict[str, float]) -> str:
        """The exposition format, version 0.0.4."""
        return "".join(f"{line}\n" for line in self._lines(gauges))

    def _lines(self, gauges: dict[str, float]) -> Iterator[str]:
        for name, value in gauges.items():
            yield f"# TYPE tessera_agent_{name} gauge"
            yield f"tessera_agent_{name} {value:g}"
        yield "# TYPE tessera_agent_jobs_total counter"
        for outcome, number in sorted(self.jobs.items()):
            yield f'tessera_agent_jobs_total{{outcome="{outcome}"}} {number}'
        for name in ("claims", "heartbeats", "uploaded_bytes"):
            yield f"# TYPE tessera_agent_{name}_total counter"
            yield f"tessera_agent_{name}_total {getattr(self, name)}"
        yield "# TYPE tessera_agent_idle_gap_seconds histogram"
        total = 0
        for bound, number in zip((*self.idle_gap.bounds, "+Inf"), self.idle_gap.counts, strict=True):
            total += number
            yield f'tessera_agent_idle_gap_seconds_bucket{{le="{bound}"}} {total}'
        yield f"tessera_agent_idle_gap_seconds_sum {self.idle_gap.sum:.6f}"
        yield f"tessera_agent_idle_gap_seconds_count {total}"
