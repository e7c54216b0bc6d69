"""What an agent says of one lease."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from agent.work import Work
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import Lease, LeaseReport


@pytest.mark.parametrize(("told", "reported"), [(1.0000001, 1.0), (-0.1, 0.0), (float("nan"), 0.0), (0.5, 0.5)])
def test_progress_is_reported_within_the_bounds_of_the_wire(tmp_path: Path, told: float, reported: float) -> None:
    spec = JobSpec(kind="image", model="testcard", prompt="x", width=64, height=64, steps=1, seed=0)
    lease = Lease(job_id=uuid4(), attempt=1, token=uuid4(), slot=0, expires_in=10, spec=spec)
    work = Work(lease, tmp_path / "work")
    work.advance(Progress(value=told))
    read = msgspec.json.decode(msgspec.json.encode(work.report()), type=LeaseReport)
    assert read.progress is not None
    assert read.progress.value == reported
