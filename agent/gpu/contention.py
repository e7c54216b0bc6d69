"""Does somebody else want the card? A pure fold: `watch = follow(watch, seen)`, one step for each look at it.

Where single processes cannot be told apart (WSL2), two things speak for somebody else: the card is at work although our
engine is not, or more of its memory is taken than our engine explains and than was usual so far. `usual_mib` is the
least unexplained memory of the last minutes: the desktop, a browser. One look proves nothing, since memory is measured
a moment apart from what the engine says of itself; `LOOKS` in a row do.

When the card was given up it is taken back after `quiet_seconds` in which nothing spoke for somebody else. Memory that
stays taken while the card rests counts for `HOARD_FACTOR` times as long: a game that was put aside is likely to go on.
What cannot be seen speaks for nobody: a GPU that is never seen again is taken back, too.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

LOOKS = 2
USED_PERCENT_MIN = 25.0
"""Of the card, while our engine rests: more than a desktop with a film takes."""
QUIET_PERCENT_MAX = 10.0
USUAL_SECONDS = 600.0
HOARD_FACTOR = 4.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look. Unknown is None."""

    at: float
    """The agent's clock, in seconds."""
    utilisation_percent: float | None
    memory_used_mib: int | None
    ours_mib: int | None
    """What our engine says it holds."""
    engine_works: bool
    """Our engine was at work at any time since the last look: the card's use is ours."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    memory_mib: float
    """More than this above the usual is somebody else's."""
    quiet_seconds: float


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What has been seen so far, and what follows: `busy` with somebody else, and since when not any more."""

    busy: bool = False
    suspicious: int = 0
    """Looks in a row that spoke for somebody else."""
    last_use_at: float = 0.0
    """While it is busy: when the card was last seen at work for somebody else, or could have been."""
    last_hoard_at: float = 0.0
    usual: tuple[tuple[float, float], ...] = ()
    """Unexplained memory, (at, MiB): falling minima of the last `USUAL_SECONDS`, the oldest first."""

    @property
    def usual_mib(self) -> float | None:
        return min(mib for _, mib in self.usual) if self.usual else None


def follow(watch: Watch, seen: Seen, limits: Limits) -> Watch:
    """The next state of the watch."""
    used, hoards = _is_used(watch, seen), _is_hoarded(watch, seen, limits)
    if watch.busy:
        return _while_given_up(watch, seen, limits, used=used, hoards=hoards)
    if used or hoards:
        suspicious = watch.suspicious + 1
        if suspicious < LOOKS:
            return replace(watch, suspicious=suspicious)
        return replace(watch, busy=True, suspicious=0, last_use_at=seen.at, last_hoard_at=seen.at)
    if _is_blind(seen):
        return watch
    return replace(watch, suspicious=0, usual=_with(watch.usual, seen))


def _while_given_up(watch: Watch, seen: Seen, limits: Limits, *, used: bool, hoards: bool) -> Watch:
    last_use_at = seen.at if used or seen.engine_works else watch.last_use_at
    last_hoard_at = seen.at if hoards else watch.last_hoard_at
    rests, least = seen.at - last_use_at, limits.quiet_seconds
    if rests >= least and (seen.at - last_hoard_at >= least or rests >= HOARD_FACTOR * least):
        return Watch(usual=_with((), seen))
    return replace(watch, last_use_at=last_use_at, last_hoard_at=last_hoard_at)


def _is_used(watch: Watch, seen: Seen) -> bool:
    if seen.engine_works or seen.utilisation_percent is None:
        return False
    return seen.utilisation_percent > (QUIET_PERCENT_MAX if watch.busy else USED_PERCENT_MIN)


def _is_hoarded(watch: Watch, seen: Seen, limits: Limits) -> bool:
    unexplained, usual = _unexplained(seen), watch.usual_mib
    if unexplained is None or usual is None:
        return False
    return unexplained - usual > (limits.memory_mib / 2 if watch.busy else limits.memory_mib)


def _unexplained(seen: Seen) -> float | None:
    if seen.memory_used_mib is None or seen.ours_mib is None:
        return None
    return max(0.0, float(seen.memory_used_mib - seen.ours_mib))


def _is_blind(seen: Seen) -> bool:
    return seen.utilisation_percent is None and _unexplained(seen) is None


def _with(usual: tuple[tuple[float, float], ...], seen: Seen) -> tuple[tuple[float, float], ...]:
    """The window of minima after one more look."""
    unexplained = _unexplained(seen)
    kept = tuple(each for each in usual if seen.at - each[0] <= USUAL_SECONDS)
    if unexplained is None:
        return kept
    return (*(each for each in kept if each[1] < unexplained), (seen.at, unexplained))
