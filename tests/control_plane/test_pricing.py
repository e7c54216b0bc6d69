"""The published formula."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.orders.models import Model
from control_plane.orders.pricing import COST_MAX, calculate_token_cost
from control_plane.wire.job import JobSpec


def _model(weight: float = 1.0) -> Model:
    return Model(
        name="m",
        kind="image",
        title="M",
        vram_gib=0,
        weight=weight,
        width=1024,
        height=1024,
        pixels_max=2**24,
        steps=20,
        steps_max=150,
        guidance=7,
        frames=None,
        frames_max=None,
        fps=None,
        paused=False,
        feasible_now=True,
        tasks=[],
        upscales=[],
        languages=["en"],
    )


def _spec(**changes: object) -> JobSpec:
    usual = {"kind": "image", "model": "m", "prompt": "x", "width": 1024, "height": 1024, "steps": 20, "seed": 1}
    return JobSpec(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "weight", "tokens"),
    [
        ({}, 1.0, 1),
        ({"steps": 40}, 1.0, 2),
        ({"steps": 21}, 1.0, 2),
        ({"width": 64, "height": 64, "steps": 1}, 1.0, 1),
        ({"width": 512, "height": 512, "count": 4}, 1.0, 1),
        ({"count": 3}, 1.0, 3),
        ({}, 2.5, 3),
        ({"frames": 8}, 1.0, 1),
        ({"frames": 48, "count": 2}, 1.0, 12),
        ({"width": 4096, "height": 4096, "steps": 150, "frames": 480, "count": 4}, 1e9, COST_MAX),
    ],
)
def test_the_price_follows_the_formula(changes: dict[str, object], weight: float, tokens: int) -> None:
    assert calculate_token_cost(_spec(**changes), _model(weight)) == tokens


@given(st.integers(8, 512), st.integers(8, 512), st.integers(1, 150), st.integers(1, 4), st.floats(0.01, 100))
def test_more_never_costs_less_and_nothing_is_free(
    width: int, height: int, steps: int, count: int, weight: float
) -> None:
    base = {"width": width * 8, "height": height * 8, "steps": steps, "count": count}
    price = calculate_token_cost(_spec(**base), _model(weight))
    assert price >= 1
    for name, value in base.items():
        assert calculate_token_cost(_spec(**{**base, name: value * 2}), _model(weight)) >= price
