"""Keeping leases: what the control plane says arrives at once, and an agent that hears nothing stops by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.client import Problem
from agent.engine import Preview
from control_plane.wire.job import Progress
from tests.fixtures.agent import Rig, rig

HELD_LONG = {"heartbeat": 30.0, "hold": 10.0}
"""A held heartbeat alone would be far too slow for what these tests wait for."""
BRISK = {"heartbeat": 0.1, "hold": 0.1}


async def _running(it: Rig, prompt: str) -> None:
    await it.running(prompt)
    await it.plane.until(lambda: it.plane.seen("started"))


async def test_a_canceled_run_is_interrupted_and_released_as_canceled(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=HELD_LONG) as it:
        job_id = await it.order("endless")
        await _running(it, "endless")
        await it.plane.cancel(job_id)
        await it.plane.until(lambda: it.plane.seen("release", job_id))
        assert it.plane.seen("release")[0].detail.reason == "canceled"
        assert it.story("run.began", "run.ended") == ["run.began:endless", "run.ended:endless"]
        assert it.plane.files == {}
        await it.order("next")
        await it.running("next")


async def test_a_lease_that_waits_behind_a_run_can_be_canceled_on_its_own(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=HELD_LONG) as it:
        first, second = await it.order("first"), await it.order("second")
        await it.plane.until(lambda: it.plane.seen("held", second))
        await it.plane.cancel(second)
        await it.plane.until(lambda: it.plane.seen("release", second))
        it.engine.finish("first")
        await it.plane.until(lambda: it.plane.seen("complete", first))
        assert it.story("run.began") == ["run.began:first"]


async def test_a_revoked_lease_ends_in_silence_and_leaves_no_file(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=HELD_LONG) as it:
        job_id = await it.order("lost")
        await _running(it, "lost")
        await it.plane.revoke(job_id)
        await it.plane.until(lambda: it.plane.seen("run.ended"))
        await it.order("next")
        await it.running("next")
        assert it.plane.seen("release") == it.plane.seen("fail") == it.plane.seen("stale") == []
        assert not it.engine.folders[0].exists()
        assert it.agent.duty.metrics.jobs == {"lost": 1}


async def test_an_operators_drain_lets_the_run_finish_gives_back_the_rest_and_ends_the_agent(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=HELD_LONG) as it:
        runs, held = await it.order("runs"), await it.order("held")
        await it.plane.until(lambda: it.plane.seen("held", held))
        await it.plane.drain()
        await it.plane.until(lambda: it.plane.seen("release", held))
        assert it.plane.seen("release")[0].detail.reason == "drain"
        it.engine.finish("runs")
        await it.end()
        assert len(it.plane.seen("complete", runs)) == 1


async def test_heartbeats_go_on_until_the_last_report_is_acknowledged(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=BRISK) as it:
        job_id = await it.order("runs")
        await _running(it, "runs")
        it.plane.hurt("complete", "unavailable", times=1_000)
        it.agent.signalled()
        it.engine.finish("runs")
        await it.plane.until(lambda: it.plane.fired["complete:unavailable"])
        seen = len(it.plane.seen("started", job_id))
        await it.plane.until(lambda: len(it.plane.seen("started", job_id)) > seen)
        it.plane.heal("complete")
        await it.end()
        assert len(it.plane.seen("complete", job_id)) == 1


async def test_an_agent_that_hears_nothing_for_too_long_stops_its_own_run_and_then_works_again(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=BRISK | {"self_fence": 0.6}) as it:
        job_id = await it.order("fenced")
        await _running(it, "fenced")
        await it.plane.stop()
        await it.plane.until(lambda: it.plane.seen("run.ended"))
        assert not it.engine.folders[0].exists()
        await it.plane.start()
        await it.order("next")
        await it.running("next")
        assert it.plane.seen("complete", job_id) == it.plane.seen("release", job_id) == []


async def test_a_control_plane_that_is_gone_for_a_while_finds_the_run_finished_when_it_is_back(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=BRISK | {"self_fence": 30.0}) as it:
        job_id = await it.order("carries on")
        await _running(it, "carries on")
        await it.plane.stop()
        it.engine.finish("carries on")
        await it.plane.until(lambda: it.plane.seen("run.ended"))
        await it.plane.start()
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.seen("offered")[0].job_id == job_id


async def test_progress_of_a_watched_job_is_told_early_and_each_preview_once(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals=HELD_LONG) as it:
        job_id = await it.order("watched")
        it.plane.watched.add(job_id)
        await _running(it, "watched")
        await it.plane.until(lambda: job_id in it.agent.duty.watched)
        it.engine.show("watched", Preview(image=b"small"))
        it.engine.show("watched", Progress(value=0.5))
        await it.plane.until(
            lambda: any(event.detail.progress == Progress(value=0.5) for event in it.plane.seen("started"))
        )
        it.engine.show("watched", Progress(value=0.75))
        await it.plane.until(
            lambda: any(event.detail.progress == Progress(value=0.75) for event in it.plane.seen("started"))
        )
        assert [event.detail.preview for event in it.plane.seen("started") if event.detail.preview] == [b"small"]


async def test_a_worker_that_is_not_known_any_more_stops_with_the_reason(tmp_path: Path) -> None:
    async def work_until_forgotten() -> None:
        async with rig(tmp_path, patient=True, intervals=BRISK) as it:
            await it.order("runs")
            await _running(it, "runs")
            it.plane.secret_sha256 = "somebody else's"
            await it.end()

    with pytest.raises(ExceptionGroup) as caught:
        await work_until_forgotten()
    assert caught.group_contains(Problem, match="unauthorized")
    assert not list(tmp_path.rglob("*.png"))
    assert not (tmp_path / "agent" / "work").exists()
