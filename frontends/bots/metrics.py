"""What the bots' program counts, and its text form for Prometheus: per bot, and how late the event loop is.

A loop that is late answers everybody late, so its lag is measured all the time: how much longer a short sleep takes
than it should. Besides the histogram the last values are kept, so that p50 and p99 can be told exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Protocol

LAG_BEAT_SECONDS = 0.05
LAG_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
LAGS_KEPT = 1_200
"""A minute of them."""
SHARES = {"p50": 0.5, "p99": 0.99}
PAGE_BYTES = 4_096


class Lag:
    """How late the event loop has been."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LAG_BOUNDS_SECONDS) + 1)
        self.sum = 0.0
        self._last: deque[float] = deque(maxlen=LAGS_KEPT)

    async def measure(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(LAG_BEAT_SECONDS)
            self.add(max(0.0, loop.time() - began - LAG_BEAT_SECONDS))

    def add(self, seconds: float) -> None:
        place = next((at for at, bound in enumerate(LAG_BOUNDS_SECONDS) if seconds <= bound), len(LAG_BOUNDS_SECONDS))
        self.counts[place] += 1
        self.sum += seconds
        self._last.append(seconds)

    def quantile(self, share: float) -> float:
        """Of the last minute, by nearest rank; 0 when nothing was measured yet."""
        if not self._last:
            return 0.0
        return sorted(self._last)[max(0, ceil(share * len(self._last)) - 1)]


class Counts(Protocol):
    """What a bot has to tell."""

    @property
    def name(self) -> str: ...
    @property
    def platform(self) -> str: ...
    @property
    def is_up(self) -> bool: ...
    @property
    def tally(self) -> Counter[str]: ...
    @property
    def starts(self) -> int: ...
    @property
    def events(self) -> int: ...
    @property
    def deliveries(self) -> Counter[str]: ...


def text(bots: Sequence[Counts], lag: Lag) -> str:
    """The exposition format, version 0.0.4."""
    return "".join(f"{line}\n" for line in (*_of_bots(bots), *_of_loop(lag)))


def _of_bots(bots: Sequence[Counts]) -> Iterator[str]:
    yield "# HELP tessera_bots_up Whether the bot is connected to its platform."
    yield "# TYPE tessera_bots_up gauge"
    yield from (f"tessera_bots_up{_of(bot)} {int(bot.is_up)}" for bot in bots)
    for name, meaning in COUNTED.items():
        yield f"# HELP tessera_bots_{name}_total {meaning}"
        yield f"# TYPE tessera_bots_{name}_total counter"
        yield from (f"tessera_bots_{name}_total{_of(bot)} {getattr(bot, name)}" for bot in bots)
    for name, meaning in TALLIED.items():
        yield f"# HELP tessera_bots_{name}_total {meaning}"
        yield f"# TYPE tessera_bots_{name}_total counter"
        yield from (f"tessera_bots_{name}_total{_of(bot)} {bot.tally[name]}" for bot in bots)
    yield "# HELP tessera_bots_deliveries_total Messages and edits with an outcome."
    yield "# TYPE tessera_bots_deliveries_total counter"
    for bot in bots:
        for outcome, number in sorted(bot.deliveries.items()):
            yield f'tessera_bots_deliveries_total{{bot="{bot.name}",outcome="{outcome}"}} {number}'


COUNTED = {
    "events": "What people did, as the platform told it.",
    "starts": "How often the bot was started.",
}
TALLIED = {
    "messages": "Messages that the platform has taken.",
    "edits": "Changes of messages that the platform has taken.",
    "edits_skipped": "Changes that were never sent because a newer one came before.",
    "floods": "How often the platform has asked for patience.",
    "flood_seconds": "For how long, all of them together.",
}


def _of(bot: Counts) -> str:
    return f'{{bot="{bot.name}",platform="{bot.platform}"}}'


def _of_loop(lag: Lag) -> Iterator[str]:
    yield "# HELP tessera_bots_loop_lag_seconds How late the event loop is."
    yield "# TYPE tessera_bots_loop_lag_seconds histogram"
    total = 0
    for bound, number in zip((*LAG_BOUNDS_SECONDS, "+Inf"), lag.counts, strict=True):
        total += number
        yield f'tessera_bots_loop_lag_seconds_bucket{{le="{bound}"}} {total}'
    yield f"tessera_bots_loop_lag_seconds_sum {lag.sum:.6f}"
    yield f"tessera_bots_loop_lag_seconds_count {total}"
    for name, share in SHARES.items():
        yield f"# HELP tessera_bots_loop_lag_{name}_seconds The same, of the last minute."
        yield f"# TYPE tessera_bots_loop_lag_{name}_seconds gauge"
        yield f"tessera_bots_loop_lag_{name}_seconds {lag.quantile(share):.6f}"
    yield "# HELP tessera_bots_resident_bytes Memory of the process."
    yield "# TYPE tessera_bots_resident_bytes gauge"
    yield f"tessera_bots_resident_bytes {resident_bytes()}"


def resident_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
