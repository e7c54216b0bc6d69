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
TOLD = {"p50": 0.5, "p95": 0.95}

GAUGES = {
    "leases": "Leases in hand.",
    "accepting": "Whether it takes work.",
    "silent_seconds": "Since the control plane last answered a heartbeat.",
    "resident_bytes": "Memory of the process.",
    "slots": "Places for engines.",
    "slots_ready": "Of these, those whose engine has started.",
}
COUNTED = {
    "claims": "Claims that were sent.",
    "heartbeats": "Heartbeats that were answered.",
    "uploaded_bytes": "Bytes of files that have arrived.",
}


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

    def gauges(self) -> dict[str, float]:
        """What the control plane is told: median and ninety-fifth hundredth, once there is something to tell."""
        if not self._last:
            return {}
        return {f"idle_gap_{name}_seconds": self.quantile(share) or 0.0 for name, share in TOLD.items()}

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
            yield f"# HELP tessera_agent_{name} {GAUGES.get(name, name)}"
            yield f"# TYPE tessera_agent_{name} gauge"
            yield f"tessera_agent_{name} {value:g}"
        yield "# HELP tessera_agent_jobs_total Leases that are over, by what became of them."
        yield "# TYPE tessera_agent_jobs_total counter"
        for outcome, number in sorted(self.jobs.items()):
            yield f'tessera_agent_jobs_total{{outcome="{outcome}"}} {number}'
        for name, meaning in COUNTED.items():
            yield f"# HELP tessera_agent_{name}_total {meaning}"
            yield f"# TYPE tessera_agent_{name}_total counter"
            yield f"tessera_agent_{name}_total {getattr(self, name)}"
        yield "# HELP tessera_agent_idle_gap_seconds How long an engine stood still between two runs with more to do."
        yield "# TYPE tessera_agent_idle_gap_seconds histogram"
        total = 0
        for bound, number in zip((*self.idle_gap.bounds, "+Inf"), self.idle_gap.counts, strict=True):
            total += number
            yield f'tessera_agent_idle_gap_seconds_bucket{{le="{bound}"}} {total}'
        yield f"tessera_agent_idle_gap_seconds_sum {self.idle_gap.sum:.6f}"
        yield f"tessera_agent_idle_gap_seconds_count {total}"
