"""The energy of a run: what was measured, and nothing that was not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gpu.energy import COVERED_MIN, GAP_SECONDS, Meter

SECONDS = st.integers(11, int(GAP_SECONDS * 1_024)).map(lambda ticks: ticks / 1_024)
"""Up to the largest gap and no further, also in sums, since binary fractions are not rounded."""


def metered(samples: Sequence[tuple[float, float | None]], ended: float) -> float | None:
    meter = Meter(0.0)
    for at, watts in samples:
        meter.add(at, watts)
    return meter.joules(ended)


def test_steady_power_is_power_times_time() -> None:
    assert metered([(at + 0.5, 200.0) for at in range(10)], 10.0) == pytest.approx(2_000)


def test_rising_power_is_integrated_between_the_samples() -> None:
    assert metered([(float(at), 100.0 + 10 * at) for at in range(11)], 10.0) == pytest.approx(1_500)


@pytest.mark.parametrize(
    ("samples", "ended"),
    [
        ([], 10.0),
        ([(0.5, None), (1.5, None)], 2.0),
        ([(0.5, 200.0)], 1.0),
        ([(0.5, 200.0), (1.0, 200.0)], 100.0),
        ([(0.5, 200.0), (50.0, 200.0)], 50.5),
        ([(-5.0, 200.0), (0.5, 200.0)], 1.0),
    ],
)
def test_what_was_hardly_seen_is_unknown(samples: list[tuple[float, float | None]], ended: float) -> None:
    assert metered(samples, ended) is None


def test_a_small_hole_is_taken_to_be_like_the_rest() -> None:
    seen = [(float(at), 100.0) for at in range(101) if not 40 <= at <= 45]
    assert metered(seen, 100.0) == pytest.approx(10_000)


@given(
    gaps=st.lists(SECONDS.filter(lambda gap: gap >= 0.1), min_size=2, max_size=60),
    watts=st.lists(st.floats(0, 600), min_size=60, max_size=60),
    rest=SECONDS,
)
def test_a_run_takes_no_less_than_its_least_and_no_more_than_its_greatest_power(
    gaps: list[float], watts: list[float], rest: float
) -> None:
    at, samples = 0.0, []
    for gap, power in zip(gaps, watts, strict=False):
        at += gap
        samples.append((at, power))
    took = metered(list(samples), at + rest)
    assert took is not None
    powers = [power for _, power in samples]
    assert min(powers) * (at + rest) * (1 - 1e-9) <= took <= max(powers) * (at + rest) * (1 + 1e-9)


@given(hole=st.floats(GAP_SECONDS + 0.01, 1_000), before=st.integers(2, 60))
def test_a_hole_that_is_too_large_makes_the_whole_unknown(hole: float, before: int) -> None:
    samples = [(float(at), 100.0) for at in range(1, before + 1)]
    samples += [(before + hole, 100.0), (before + hole + 1, 100.0)]
    ended = before + hole + 1
    assert (metered(list(samples), ended) is None) == (ended - hole < COVERED_MIN * ended)
