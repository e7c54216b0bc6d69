"""The wait bound: within which time every job starts that live slots can run, and nothing may ever be above it.

    TICK + R + before · s / n        seconds

`before` is what may be served ahead of a job, in tokens; `n` live slots serve its lane at `s` seconds per token,
loading of models included; R is the longest rest of a run, since nothing is interrupted; TICK is what a hint, a bound
or a sweep may have missed. The derivation stands in ARCHITECTURE.md. These functions are what `tessera job why` tells
and what the simulations hold every job against.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from control_plane.queue.statements import AFFINITY_TOKENS, LAG_TOKENS

TICK_SECONDS = 1.0
"""How often every process reads the heads of the lanes, reaps, and wakes retries."""


class Rivals(msgspec.Struct, frozen=True, kw_only=True):
    """Those who have jobs in a lane; the users of a plan with a pool weight count as one of that weight."""

    weights: float
    """The sum of their weights."""
    dearest: float
    """The sum of the largest job of each, in tokens: one whole job of everybody may go first."""
    overdue: float = 0.0
    """Tokens of the jobs whose tag is below the lane's clock: retries, and jobs of users who had as many running as
    their plan allows."""


def tokens_before(
    turn: float, mine: Rivals, others: Sequence[Rivals] = (), *, pace: float = 1.0, head_starts: float = 0.0
) -> float:
    """What may be served before a job, in tokens.

    `turn`: its tag less the clock of its lane; `others`: the other lanes that its slots serve; `pace`: see `Board`;
    `head_starts`: `URGENT_TOKENS` for each user with urgent jobs in line.
    """
    own = turn * mine.weights + mine.dearest + mine.overdue
    stand_back = (AFFINITY_TOKENS + LAG_TOKENS) * pace
    return own + head_starts + sum((turn + stand_back) * lane.weights + lane.dearest + lane.overdue for lane in others)


def wait_seconds(before: float, *, seconds_per_token: float, slots: int, rest_seconds: float) -> float:
    """The bound. `slots` must be positive: a lane that nobody serves has no bound."""
    return TICK_SECONDS + rest_seconds + before * seconds_per_token / slots


def cap_seconds(tokens: float, *, seconds_per_token: float, running_max: int, rest_seconds: float) -> float:
    """What one's own running cap adds: the time in which as many of one's jobs run as the plan allows."""
    return rest_seconds + tokens * seconds_per_token / running_max
