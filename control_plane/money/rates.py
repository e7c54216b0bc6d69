"""How often somebody may ask: reads are limited in memory, by the user for whom they are made.

The generic cell rate algorithm (GCRA, ITU-T I.371): one number for each user, the moment until which what was asked
is worked off at the plan's rate; a minute may be used at once. Each process gives its share of the plan's rate, which
is the rate divided by the live processes, so a client that talks to one of them only has that share. Submits are
limited by rows (`admission.sql`); what is told of either is written as the RateLimit fields of
draft-ietf-httpapi-ratelimit-headers-10. Nothing here waits, locks or asks the database.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from uuid import UUID

from control_plane.errors import Rate, RateLimited

WINDOW_SECONDS = 60.0
USERS_MAX = 100_000
"""Remembered at once; who has not asked for longest is forgotten, and has the whole rate again."""

Headers = tuple[tuple[bytes, bytes], tuple[bytes, bytes]]


class Reads:
    """The reads of one process."""

    __slots__ = ("_until", "_users_max")

    def __init__(self, users_max: int = USERS_MAX) -> None:
        self._users_max = users_max
        self._until: dict[UUID, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def take(self, user_id: UUID, per_minute: int, processes: int = 1, now: float | None = None) -> Rate:
        """Counts one request. Raises `RateLimited` when the user's minute is used up.

        `processes`: how many share the rate. `now`: of the monotonic clock.
        """
        if now is None:
            now = time.monotonic()
        share = max(1.0, per_minute / processes)
        interval = WINDOW_SECONDS / share
        until = self._until.pop(user_id, 0.0)
        busy = until - now if until > now else 0.0
        taken = busy + interval
        if taken > WINDOW_SECONDS + 1e-6:
            self._until[user_id] = until
            raise _limited(per_minute, busy, taken - WINDOW_SECONDS)
        if len(self._until) >= self._users_max:
            del self._until[next(iter(self._until))]
        self._until[user_id] = now + taken
        return Rate("reads", per_minute, int((WINDOW_SECONDS - taken) / interval + 1e-6), taken)


def _limited(per_minute: int, busy: float, wait: float) -> RateLimited:
    seconds = max(1, math.ceil(wait))
    error = RateLimited(f"Your plan takes {per_minute} reads a minute. Try again in {seconds} s.", retry_after=seconds)
    error.rate = Rate("reads", per_minute, 0, busy)
    return error


def headers(rate: Rate) -> Headers:
    """The two header fields, as ASGI wants them. `t` is the time until the whole rate is free again."""
    left, seconds = max(0, rate.left), math.ceil(rate.busy_seconds)
    return _policy(rate.name, rate.per_minute), (b"ratelimit", b'"%b";r=%d;t=%d' % (rate.name.encode(), left, seconds))


@lru_cache(maxsize=1_000)
def _policy(name: str, per_minute: int) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name.encode(), per_minute, WINDOW_SECONDS)
