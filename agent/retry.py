"""What is worth asking again, and how patiently: a table, a pause and a loop.

The pause is full jitter (uniform between nothing and a bound that doubles), drawn *after* the bound is capped, so
that a thousand agents that lost the same control plane do not come back in step. `Retry-After` is a floor on top.
Budget: with the defaults the pauses add up to about 0.25 + 0.5 + 1 + 2 + 4 + 5 + 5 … seconds on average, so a
restart of ten seconds costs an agent about five more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from itertools import count
from typing import TypeVar

import structlog

from agent.client import NoAnswer, Problem

FIRST_SECONDS = 0.5
CAP_SECONDS = 10.0
RETRY_AFTER_SECONDS_MAX = 300.0

T = TypeVar("T")
log = structlog.get_logger()


class Verdict(Enum):
    AGAIN = "again"
    """The same request may succeed later."""
    LOST = "lost"
    """The lease is no longer ours: stop the work, report nothing."""
    REJECTED = "rejected"
    """This request will never succeed; nothing else is wrong."""
    FATAL = "fatal"
    """No request of this agent will succeed: stop the program."""


BY_CODE: dict[str, Verdict] = {"lease-lost": Verdict.LOST, "version-too-old": Verdict.FATAL}
BY_STATUS: dict[int, Verdict] = {
    401: Verdict.FATAL,
    403: Verdict.FATAL,
    408: Verdict.AGAIN,
    425: Verdict.AGAIN,
    426: Verdict.FATAL,
    429: Verdict.AGAIN,
}


def verdict(error: Problem | NoAnswer) -> Verdict:
    """What a failed call means. A refusal that is no document of ours came from something in between: again."""
    if isinstance(error, NoAnswer):
        return Verdict.AGAIN
    if known := BY_CODE.get(error.code) or BY_STATUS.get(error.status):
        return known
    return Verdict.AGAIN if error.status >= 500 or not error.code else Verdict.REJECTED


def pause(tries: int, retry_after: float | None = None, chance: float | None = None) -> float:
    """Seconds to wait after the `tries`-th failure in a row (from 1); `chance` is 0..1, random by default."""
    bound = min(CAP_SECONDS, FIRST_SECONDS * 2.0 ** min(tries - 1, 30))
    jitter = bound * (random.random() if chance is None else chance)
    return min(retry_after or 0.0, RETRY_AFTER_SECONDS_MAX) + jitter


async def persist(call: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask until there is an answer or a refusal that is worth believing, which is raised."""
    for tries in count(1):
        try:
            return await call()
        except (Problem, NoAnswer) as error:
            if verdict(error) is not Verdict.AGAIN:
                raise
            seconds = pause(tries, getattr(error, "retry_after", None))
            if tries.bit_count() == 1:  # the 1st, 2nd, 4th, 8th … time: an outage must not flood the log
                log.warning("call.failed", call=what, tries=tries, problem=str(error), pause_seconds=round(seconds, 2))
        await asyncio.sleep(seconds)
    raise AssertionError("unreachable")
