"""The bounds that driving ComfyUI must keep, beside a direct client of the same server in the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.comfyui import CANCEL_P95_MS, GAP_P95_MS, Pace, pace
from tests.fixtures.comfyui import GENUINE_URL, apart, order

STEP_SECONDS = 0.03
TRIES_MAX = 3
"""Whatever else the machine is at may spoil one measurement, but not all."""


def _faults(found: Pace) -> list[str]:
    return [
        name
        for name, kept in {
            "overhead": found.overhead_kept,
            "gap": found.gap_p95_ms <= max(GAP_P95_MS, found.direct_gap_p95_ms),
            "cancel": found.cancel_p95_ms <= CANCEL_P95_MS + found.step_ms,
        }.items()
        if not kept
    ]


@pytest.mark.slow
@pytest.mark.alone
async def test_the_agent_keeps_the_gpu_busy_and_costs_next_to_nothing(tmp_path: Path) -> None:
    broken: set[str] = {"overhead", "gap", "cancel"}
    paces = []
    for number in range(TRIES_MAX):
        if GENUINE_URL:
            paces.append(await pace(GENUINE_URL, order(seed=77 + number, steps=10)))
        else:
            async with apart(tmp_path / str(number), STEP_SECONDS) as url:
                paces.append(await pace(url, order(seed=77 + number, steps=10)))
        broken &= set(_faults(paces[-1]))
        if not broken:
            break
    assert not broken, paces
