"""When a job will be done: learnt from runs that ended, and corrected by how earlier promises turned out.

A *base* is reckoned from the line: the work ahead at the lane's seconds per token, spread over its live slots, the rest
of what runs, and the job itself at the rate of runs of its size. What the base cannot know (who will order meanwhile
and go first, models to be loaded, slots shared with other lanes) shows in how earlier jobs of the lane turned out: the
ratios of what they took to their base are kept, and their median and ninetieth hundredth are the factors of the next
promise (split conformal prediction, Vovk et al. 2005; here over a moving window). So p90 is kept nine times in ten
however wrong the base is, as long as the service goes on as it did.

A promise lives in the memory of the process that made it. At the moment of its p90 the process looks whether the job is
done, whichever process heard of that; so nothing is written for it and nothing hot is read.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import msgspec

RATIOS_KEPT = 200
RATIOS_LEAST = 20
"""With fewer outcomes than this the factors are `FACTOR_P50` and `FACTOR_P90`."""
FACTOR_P50, FACTOR_P90 = 1.0, 2.0
SAMPLES_LEAST = 5
"""So many runs of a size make a rate of their own; with fewer, all runs of the lane count."""
SIZE_RATIO = 2.0
"""Runs of a size: from half to twice the tokens."""
REST_LEAST = 0.1
"""Of what a run should take: its rest counts as no less, also when it takes longer than it should."""
PROMISES_MAX = 1_000
"""Open promises of a process; what is promised beyond them is not looked after."""
CHECKED_MAX = 200
"""Promises looked after at a time."""
PATIENCE_FACTOR = 8.0
"""A job that is not done after so many times its promise is no longer waited for."""


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Recent runs of a lane, one entry in each list for each, the newest first."""

    tokens: Sequence[float]
    seconds: Sequence[float]

    def rate(self) -> float | None:
        """Seconds per token of all of them together."""
        return sum(self.seconds) / sum(self.tokens) if self.tokens else None

    def of_size(self, tokens: float) -> list[float]:
        """Seconds per token of runs of about this size, in order; of all where there are too few."""
        pairs = list(zip(self.tokens, self.seconds, strict=True))
        alike = [pair for pair in pairs if tokens / SIZE_RATIO <= pair[0] <= tokens * SIZE_RATIO]
        return sorted(seconds / size for size, seconds in (alike if len(alike) >= SAMPLES_LEAST else pairs))


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be done until a job is, in tokens, and by whom."""

    ahead: float
    """Of others, in line before it."""
    tokens: float
    """Of the job itself."""
    running: float
    """Of what runs on the slots now …"""
    running_seconds: float
    """… and how long that has been running, added up."""
    slots: int


def base(work: Work, runs: Runs, part: float = 0.5) -> float | None:
    """Seconds until the job is done if nothing else happens, its own run at this part of the rates of its size.

    None without experience and where nobody works.
    """
    rate = runs.rate()
    if rate is None or not work.slots:
        return None
    rest = max(work.running * rate - work.running_seconds, work.running * rate * REST_LEAST)
    return (work.ahead * rate + rest) / work.slots + work.tokens * quantile(runs.of_size(work.tokens), part)


def quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Factors(msgspec.Struct, frozen=True):
    p50: float = FACTOR_P50
    p90: float = FACTOR_P90


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of a job when it was ordered, in seconds from then."""

    job_id: UUID
    lane_id: int
    base: float
    p50: float
    p90: float
    waits: bool
    """It had to wait for others, which goes otherwise than a job that starts at once."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended; `seconds` from its order to its end, None while it is not over."""

    id: UUID
    succeeded: bool
    seconds: float | None


class Outcome(msgspec.Struct, frozen=True):
    """A promise that was kept or broken. Of a job that was canceled or failed nothing can be said."""

    within_p50: bool
    within_p90: bool


class Promises:
    """The promises of one process and what was learnt from them. Moments are of any clock that does not jump."""

    def __init__(self) -> None:
        self._open: list[tuple[float, int, float, Promise, bool]] = []
        self._made = 0
        self._ratios: dict[tuple[int, bool], deque[float]] = {}

    def factors(self, lane_id: int, *, waits: bool) -> Factors:
        ratios = sorted(self._ratios.get((lane_id, waits), ()))
        if len(ratios) < RATIOS_LEAST:
            return Factors()
        return Factors(quantile(ratios, 0.5), quantile(ratios, 0.9))

    def remember(self, promise: Promise, now: float) -> None:
        if len(self._open) < PROMISES_MAX:
            self._push(now + promise.p90, now, promise, judged=False)

    def _push(self, due: float, made_at: float, promise: Promise, *, judged: bool) -> None:
        self._made += 1
        heapq.heappush(self._open, (due, self._made, made_at, promise, judged))

    def due(self, now: float) -> list[tuple[float, Promise, bool]]:
        """Takes out the promises whose time has come: when each was made, and whether it was judged before."""
        found: list[tuple[float, Promise, bool]] = []
        while self._open and self._open[0][0] <= now and len(found) < CHECKED_MAX:
            _, _, made_at, promise, judged = heapq.heappop(self._open)
            found.append((made_at, promise, judged))
        return found

    def judge(self, due: Sequence[tuple[float, Promise, bool]], ended: dict[UUID, Ended], now: float) -> list[Outcome]:
        """Learns from what became of these jobs. An outcome for each promise that was not judged before."""
        outcomes = []
        for made_at, promise, judged in due:
            end = ended.get(promise.job_id)
            if end is None or (end.seconds is not None and not end.succeeded):
                continue
            if not judged:
                took = end.seconds if end.seconds is not None else now - made_at
                outcomes.append(Outcome(took <= promise.p50, end.seconds is not None and took <= promise.p90))
            if end.seconds is not None:
                self._learn(promise, end.seconds)
            elif now - made_at < promise.p90 * PATIENCE_FACTOR:
                self._push(now + max(1.0, (now - made_at) / 2), made_at, promise, judged=True)
            else:
                self._learn(promise, now - made_at)
        return outcomes

    def _learn(self, promise: Promise, seconds: float) -> None:
        key = promise.lane_id, promise.waits
        self._ratios.setdefault(key, deque(maxlen=RATIOS_KEPT)).append(seconds / promise.base)
