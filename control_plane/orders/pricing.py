"""What a job costs: one published formula.

One token is one megapixel (1024 x 1024) at 20 steps on a model of weight 1. A job costs

    ceil(width * height / 1024² * steps / 20 * weight * count * frames / 8)

tokens, at least one; the last factor is for video only. Eight frames cost as much as one picture of their size,
because video models compress time about as much. The formula is pure, so a price can be told before an order.
"""

from __future__ import annotations

import math

from control_plane.orders.models import Model
from control_plane.wire.job import JobSpec

PIXELS_PER_TOKEN = 1024 * 1024
STEPS_PER_TOKEN = 20
FRAMES_PER_PICTURE = 8
COST_MAX = 2**31 - 1
FORMULA = (
    "tokens = max(1, ceil(width * height / pixels_per_token * steps / steps_per_token * weight * count"
    " * frames / frames_per_picture)); the last factor is for video only"
)
"""As it is published; `calculate_token_cost` is what it says."""
_DUST = 1e-9
"""So that a product which is whole but for rounding is not rounded up."""


def calculate_token_cost(spec: JobSpec, model: Model) -> int:
    """Tokens for the whole job."""
    pictures = spec.count * (spec.frames / FRAMES_PER_PICTURE if spec.frames is not None else 1.0)
    size = spec.width * spec.height / PIXELS_PER_TOKEN
    tokens = size * spec.steps / STEPS_PER_TOKEN * model.weight * pictures
    return min(COST_MAX, max(1, math.ceil(tokens - _DUST)))
