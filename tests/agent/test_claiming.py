"""Asking for work: nothing offered is lost, nothing unwanted is kept, the engine never waits for the network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from control_plane.wire.worker import ClaimRequest
from tests.fixtures.agent import PICTURE, rig


async def test_a_job_is_run_uploaded_and_reported_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        job_id = await it.order("a lighthouse", count=2)
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.files[job_id, 1, 0] == PICTURE + b"a lighthouse\x00"
        assert it.plane.files[job_id, 1, 1] == PICTURE + b"a lighthouse\x01"
        assert it.plane.seen("complete")[0].detail.artifacts == 2
    assert not it.engine.folders[0].exists()


async def test_a_claim_whose_answer_is_lost_is_repeated_with_its_id_and_loses_no_lease(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("claim", "lose_answer")
        job_id = await it.order("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        asked: list[ClaimRequest] = [event.detail for event in it.plane.seen("asked")]
        assert it.plane.fired["claim:lose_answer"] == 1
        assert asked[0].claim_id == asked[1].claim_id
        assert it.plane.seen("complete", job_id)[0].detail.artifacts == 1
        assert len(it.plane.seen("offered")) == 1


async def test_an_undecodable_answer_and_a_503_are_asked_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.plane.hurt("claim", "garble", "unavailable")
        job_id = await it.order("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.fired == {"claim:garble": 1, "claim:unavailable": 1}


async def test_a_lease_that_is_in_hand_already_is_not_taken_twice(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        await it.order("once")
        await it.running("once")
        it.plane.hurt("claim", "echo")
        await it.plane.until(lambda: it.plane.fired["claim:echo"])
        it.engine.finish("once")
        following = await it.order("next")
        it.engine.finish("next")
        await it.plane.until(lambda: it.plane.seen("complete", following))
        assert it.story("run.began") == ["run.began:once", "run.began:next"]


async def test_leases_are_acknowledged_as_held_and_as_started_without_waiting_for_a_held_heartbeat(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, patient=True, intervals={"heartbeat": 60.0, "hold": 10.0}) as it:
        first, second = await it.order("first"), await it.order("second")
        await it.plane.until(lambda: it.plane.seen("started", first) and it.plane.seen("held", second))
        it.engine.finish("first")
        await it.plane.until(lambda: it.plane.seen("started", second))
        it.engine.finish("second")
        await it.plane.until(lambda: it.plane.seen("complete", second))


async def test_the_next_run_begins_before_the_last_one_is_uploaded(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        await it.order("job 0")
        for number in range(3):
            await it.running(f"job {number}")
            following = await it.order(f"job {number + 1}")
            await it.plane.until(partial(it.plane.seen, "held", following))
            it.engine.finish(f"job {number}")
        it.engine.finish("job 3")
        await it.plane.until(lambda: len(it.plane.seen("complete")) == 4)
        story = it.story("run.began", "run.ended", "uploaded")
        for number in range(3):
            ended = story.index(f"run.ended:job {number}")
            assert story[ended + 1] == f"run.began:job {number + 1}"
        gap = it.agent.duty.metrics.idle_gap
        assert gap.count == 3


async def test_a_report_asks_for_the_next_lease_in_the_same_round_trip(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        jobs = [await it.order(f"job {number}") for number in range(3)]
        await it.plane.until(lambda: it.plane.seen("held", jobs[1]))
        it.engine.finish("job 0")
        await it.plane.until(lambda: it.plane.seen("held", jobs[2]))
        assert it.plane.seen("complete", jobs[0])[0].detail.claim is not None
        it.engine.finish("job 1")
        it.engine.finish("job 2")
        await it.plane.until(lambda: len(it.plane.seen("complete")) == 3)


async def test_a_report_with_a_claim_whose_answer_is_lost_loses_no_lease(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        jobs = [await it.order(f"job {number}") for number in range(3)]
        await it.plane.until(lambda: it.plane.seen("held", jobs[1]))
        it.plane.hurt("complete", "lose_answer")
        it.engine.finish("job 0")
        it.engine.finish("job 1")
        it.engine.finish("job 2")
        await it.plane.until(lambda: len(it.plane.seen("complete")) == 3)
        assert it.plane.fired["complete:lose_answer"] == 1
        assert len(it.plane.seen("offered")) == 3


async def test_two_slots_work_side_by_side_and_name_themselves(tmp_path: Path) -> None:
    async with rig(tmp_path, slots=2, patient=True) as it:
        await it.order("one")
        await it.running("one")
        await it.plane.until(lambda: len({event.detail.slots[0].slot for event in it.plane.seen("asked")}) == 2)
        await it.order("other")
        await it.running("other")
        assert it.plane.seen("run.ended") == []
        for engine in it.engines:
            engine.finish("one")
            engine.finish("other")
        await it.plane.until(lambda: len(it.plane.seen("complete")) == 2)


async def test_a_prefetch_says_so_and_is_asked_anew_once_the_engine_is_idle(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, intervals={"poll": 20.0}) as it:
        await it.order("only")
        await it.running("only")
        await it.plane.until(lambda: any(event.detail.slots[0].ahead for event in it.plane.seen("asked")))
        it.engine.finish("only")
        await it.plane.until(lambda: not it.plane.seen("asked")[-1].detail.slots[0].ahead)


async def test_leases_that_arrive_when_the_agent_drains_are_given_back_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        await it.order("runs")
        await it.running("runs")
        it.plane.hurt("claim", "lose_answer")
        late = await it.order("late")
        await it.plane.until(lambda: it.plane.seen("offered", late))
        it.agent.signalled()
        await it.plane.until(lambda: it.plane.seen("release", late))
        assert it.plane.seen("release", late)[0].detail.reason == "drain"
        it.engine.finish("runs")
        await it.end()
    assert it.story("run.began") == ["run.began:runs"]


async def test_a_paused_agent_gives_back_what_has_not_started_and_works_again_when_resumed(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        first = await it.order("first")
        held = await it.order("held")
        await it.plane.until(lambda: it.plane.seen("held", held))
        it.agent.duty.pause()
        await it.plane.until(lambda: it.plane.seen("release", held))
        it.engine.finish("first")
        await it.plane.until(lambda: it.plane.seen("complete", first))
        third = await it.order("third")
        asked = len(it.plane.seen("asked"))
        await it.plane.until(lambda: it.plane.seen("heartbeat")[-1].detail.draining)
        it.agent.duty.resume()
        await it.running("third")
        assert not it.plane.seen("heartbeat")[-1].detail.draining or len(it.plane.seen("asked")) > asked
        it.engine.finish("third")
        await it.plane.until(lambda: it.plane.seen("complete", third))


async def test_with_too_little_disk_no_work_is_asked_for(tmp_path: Path) -> None:
    async with rig(tmp_path, settings={"disk_free_gib_min": 10_000.0}) as it:
        await it.order("never")
        await it.plane.until(lambda: len(it.plane.seen("heartbeat")) >= 2)
        assert it.plane.seen("asked") == []
