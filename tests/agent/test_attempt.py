"""From a lease to its report: one outcome each, whatever goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.engine import EngineError
from agent.local import status
from tests.fixtures.agent import rig
from tests.standins.control_plane import Fault


async def test_a_failed_run_is_reported_with_its_cause(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.engine.error = EngineError("oom", "out of memory\x00")
        await it.order("too large")
        await it.plane.until(lambda: it.plane.seen("fail"))
        report = it.plane.seen("fail")[0].detail
        assert (report.cause, report.message) == ("oom", "out of memory")


async def test_the_trace_of_an_order_goes_along_with_its_files_and_its_report(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.plane.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        job_id = await it.order("traced")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.seen("uploaded", job_id)


async def test_an_engine_that_breaks_is_reported_and_started_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.engine.error = ZeroDivisionError()
        await it.order("breaks")
        await it.plane.until(lambda: it.plane.seen("fail"))
        assert it.plane.seen("fail")[0].detail.cause == "engine_crash"
        it.engine.error = None
        job_id = await it.order("works")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.engine.starts == 2


async def test_an_engine_that_makes_nothing_has_failed(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.order("nothing", count=0)
        await it.plane.until(lambda: it.plane.seen("fail"))
        assert it.plane.seen("fail")[0].detail.cause == "engine_crash"


async def test_a_run_that_takes_too_long_is_stopped_and_reported(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, settings={"run_seconds_max": 0.1}) as it:
        await it.order("endless")
        await it.plane.until(lambda: it.plane.seen("fail"))
        assert it.plane.seen("fail")[0].detail.cause == "timeout"
        assert it.story("run.began", "run.ended", "fail") == ["run.began:endless", "run.ended:endless", "fail"]


async def test_an_engine_that_does_not_let_go_is_torn_out_and_started_again(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        it.engine.stubborn = True
        job_id = await it.order("stuck")
        await it.running("stuck")
        await it.plane.until(lambda: it.plane.seen("started"))
        await it.plane.cancel(job_id)
        await it.plane.until(lambda: it.plane.seen("release", job_id))
        it.engine.stubborn = False
        await it.order("next")
        await it.running("next")
        assert it.engine.starts == 2


async def test_an_engine_that_does_not_come_back_gives_its_order_back_and_takes_none(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        it.engine.start_error = EngineError("engine_crash", "Restart ComfyUI.")
        it.engine.why_worn = "it has ended"
        job_id = await it.order("comes too late")
        await it.plane.until(lambda: it.plane.seen("release", job_id))
        assert it.plane.seen("release", job_id)[0].detail.reason == "not_started"
        assert it.plane.seen("fail") == []
        await it.plane.until(lambda: not it.plane.seen("heartbeat")[-1].detail.slots[0].healthy)
        [facts] = status(it.agent.duty).slots
        assert (facts.ready, facts.trouble) == (False, "Restart ComfyUI.")
        asked = len(it.plane.seen("asked"))
        await it.order("stays there")
        await asyncio.sleep(0.2)
        assert len(it.plane.seen("asked")) == asked


@pytest.mark.parametrize("fault", ["lose_answer", "unavailable", "garble", "mismatch"])
async def test_an_upload_is_tried_again_when_that_can_help(tmp_path: Path, fault: Fault) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("upload", fault)
        job_id = await it.order("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.fired == {f"upload:{fault}": 1}


async def test_a_file_that_is_refused_for_good_fails_the_attempt(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("upload", "refuse_file")
        await it.order("too large")
        await it.plane.until(lambda: it.plane.seen("fail"))
        assert it.plane.seen("fail")[0].detail.cause == "upload"


@pytest.mark.parametrize("call", ["upload", "complete"])
async def test_a_lost_lease_is_not_reported_and_its_files_are_deleted(tmp_path: Path, call: str) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("upload" if call == "upload" else "complete", "lease_lost")
        await it.order("lost")
        await it.plane.until(lambda: it.agent.duty.metrics.jobs["lost"] or it.plane.seen("fail"))
        assert it.plane.fired == {f"{call}:lease_lost": 1}
        assert it.plane.seen("complete") == it.plane.seen("fail") == it.plane.seen("release") == []
        assert not it.engine.folders[0].exists()


@pytest.mark.parametrize("fault", ["lose_answer", "unavailable", "garble"])
async def test_a_report_is_repeated_until_it_is_acknowledged_and_counts_once(tmp_path: Path, fault: Fault) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("complete", fault)
        await it.order("a lighthouse")
        await it.plane.until(lambda: it.agent.duty.metrics.jobs["succeeded"])
        assert it.plane.fired == {f"complete:{fault}": 1}
        assert len(it.plane.seen("complete")) == 1
