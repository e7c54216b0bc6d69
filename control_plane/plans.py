"""Plans: what each gives and allows, and what its users have taken together. Data, edited by the operator."""

from __future__ import annotations

import msgspec

from control_plane.database import Query

SPENT = Query("plans.spent", str)
"""The plans whose users together have used up their tokens of the day."""

PROCESSES = Query("plans.processes", int)
"""How many control planes there are."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; limits are per user but for the pool's."""

    name: str
    tokens_per_day: int
    weight: float
    queued_max: int
    running_max: int
    submits_per_minute: int
    reads_per_minute: int
    images: bool
    pixels_max: int
    video_seconds_max: float
    retention_days: int
    newcomer_days: int
    pool_weight: float | None
    pool_tokens_per_day: int | None
    price_cents: int
    currency: str


LIST = Query("plans.list", Plan)
