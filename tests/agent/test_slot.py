"""When the next lease is asked for, and what counts as an idle gap."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from agent.metrics import Histogram, Metrics
from agent.slot import Slot, seconds_left
from agent.work import Work
from control_plane.wire.job import Progress
from control_plane.wire.worker import Lease
from tests.fixtures.agent import FakeEngine, order
from tests.standins.control_plane import ControlPlane


def _slot() -> Slot:
    return Slot(0, FakeEngine(ControlPlane()), Histogram())


def _work(folder: Path) -> Work:
    job_id = uuid4()
    return Work(
        Lease(job_id=job_id, attempt=1, token=uuid4(), slot=0, expires_in=10.0, spec=order("x")), folder / str(job_id)
    )


@pytest.mark.parametrize(
    ("progress", "elapsed", "usual", "expected"),
    [
        (None, 3.0, None, None),
        (None, 3.0, 10.0, 7.0),
        (None, 30.0, 10.0, 0.0),
        (0.5, 4.0, None, 4.0),
        (0.5, 4.0, 100.0, 4.0),
        (0.01, 4.0, 10.0, 6.0),
        (1.0, 4.0, None, 0.0),
    ],
)
def test_what_is_left_of_a_run_is_told_by_its_progress_else_by_the_last_run_like_it(
    progress: float | None, elapsed: float, usual: float | None, expected: float | None
) -> None:
    assert seconds_left(Progress(value=progress) if progress else None, elapsed, usual) == expected


async def test_an_idle_slot_asks_at_once_and_a_full_one_not_at_all(tmp_path: Path) -> None:
    slot = _slot()
    assert slot.ask_in(15.0) == 0.0
    slot.add(_work(tmp_path))
    slot.add(_work(tmp_path))
    assert slot.ask_in(15.0) is None


async def test_a_slot_that_only_uploads_asks_at_once(tmp_path: Path) -> None:
    slot, work = _slot(), _work(tmp_path)
    slot.add(work)
    work.stage = "uploading"
    assert slot.ask_in(15.0) == 0.0


async def test_a_long_run_does_not_sit_on_a_second_lease(tmp_path: Path) -> None:
    slot, work = _slot(), _work(tmp_path)
    slot.add(work)
    slot.begin(work)
    assert work.started_at is not None
    work.started_at -= 60.0
    work.progress = Progress(value=0.1)
    later = slot.ask_in(15.0)
    assert later is not None
    assert later > 0.0
    work.progress = Progress(value=0.9)
    assert slot.ask_in(15.0) == 0.0


async def test_nobody_asks_twice_for_one_place(tmp_path: Path) -> None:
    slot = _slot()
    with slot.ask():
        assert slot.ask_in(15.0) is None
    assert slot.ask_in(15.0) == 0.0


async def test_a_gap_counts_only_when_more_was_to_be_done(tmp_path: Path) -> None:
    gaps = Histogram()
    slot = Slot(0, FakeEngine(ControlPlane()), gaps)
    first, held, late = _work(tmp_path), _work(tmp_path), _work(tmp_path)
    slot.begin(first)
    slot.end(first, finished=True)
    slot.begin(held)
    assert gaps.count == 1
    slot.end(held, finished=True)
    late.taken_at += 60.0
    slot.begin(late)
    assert gaps.count == 1


def test_quantiles_are_exact_and_the_histogram_is_cumulative() -> None:
    metrics = Metrics()
    for value in (0.0004, 0.002, 0.004, 3.0):
        metrics.idle_gap.add(value)
    assert (metrics.idle_gap.quantile(0.5), metrics.idle_gap.quantile(0.95)) == (0.002, 3.0)
    text = metrics.text({"leases": 2})
    assert 'tessera_agent_idle_gap_seconds_bucket{le="0.005"} 3\n' in text
    assert 'tessera_agent_idle_gap_seconds_bucket{le="+Inf"} 4\n' in text
    assert "tessera_agent_idle_gap_seconds_count 4\n" in text
    assert "tessera_agent_leases 2\n" in text
