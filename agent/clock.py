"""The agent's only clock: seconds that go on counting while the machine sleeps.

The wall clock of a GPU machine is wrong often enough (WSL2 was seen hours off) that nothing here reads it. The
monotonic clock stands still while a laptop or a WSL2 guest sleeps, and a lease does not; hence CLOCK_BOOTTIME.
"""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since some fixed moment, sleep included; for differences only."""
    return time.clock_gettime(_CLOCK)
