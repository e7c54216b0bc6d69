"""A ComfyUI that dies in its several ways, and an agent that does: what is noticed, how soon, and what is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from msgspec import structs

from agent.engine import EngineError
from agent.engine.comfyui.workbench import OURS
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import Capability
from tests.fixtures.comfyui import QUICK, begun, driving, fails, left_behind, order, ran, still_works
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.server import StandIn, standing_in

LONG_STEPS = 80


async def test_a_process_that_ends_is_noticed_at_once_and_a_new_one_is_driven(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, QUICK) as engine:
        run = asyncio.ensure_future(fails(engine, tmp_path / "a", seed=17, steps=LONG_STEPS))
        await begun(machine)
        began = time.monotonic()
        await machine.kill()
        assert (await run).cause == "engine_crash"
        assert time.monotonic() - began < 2.0
        await machine.start()
        await engine.stop()
        await engine.start()
        await still_works(engine, tmp_path / "b")


async def test_a_quick_restart_in_the_middle_of_a_run_is_seen_through(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, structs.replace(QUICK, gone=5)) as engine:
        run = asyncio.ensure_future(fails(engine, tmp_path / "a", seed=18, steps=LONG_STEPS))
        await begun(machine)
        await machine.kill()
        await machine.start()
        error = await run
        assert (error.cause, "lost the run" in error.message) == ("engine_crash", True)
        await still_works(engine, tmp_path / "b")


async def test_a_frozen_process_is_told_from_a_busy_one(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        async with driving(machine.url, QUICK) as engine:
            engine._ready().server.answer_seconds = 0.2
            run = asyncio.ensure_future(fails(engine, tmp_path / "a", seed=19, steps=LONG_STEPS))
            await begun(machine)
            machine.freeze()
            error = await run
        assert (error.cause, "frozen" in error.message) == ("engine_crash", True)


async def test_a_dead_execution_thread_is_recognised_although_everything_answers(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, QUICK) as engine:
        machine.faults.append(Fault("KSampler", "KeyboardInterrupt", "", fatal=True))
        error = await fails(engine, tmp_path / "a", seed=20)
        assert (error.cause, "thread is dead" in error.message) == ("engine_crash", True)
        await engine.stop()
        with pytest.raises(EngineError, match="Restart ComfyUI"):
            await engine.start()
        await machine.kill()
        await machine.start()
        await engine.stop()
        await engine.start()
        await still_works(engine, tmp_path / "b")


async def test_a_node_that_takes_for_ever_but_obeys_is_stopped_and_the_engine_goes_on(tmp_path: Path) -> None:
    patience = structs.replace(QUICK, interrupt=10)
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, patience) as engine:
        machine.step_seconds = 4.0
        error = await fails(engine, tmp_path / "a", seed=21)
        assert error.cause == "timeout"
        machine.step_seconds = 0.01
        await still_works(engine, tmp_path / "b")


async def test_a_model_that_loads_for_long_is_given_its_time(tmp_path: Path) -> None:
    patience = structs.replace(QUICK, load=5.0, step=0.5)
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, patience) as engine:
        machine.load_seconds = 1.0
        sdxl = order(seed=22, model="sdxl", width=512, height=512)
        assert len((await ran(engine, sdxl, tmp_path / "a")).outputs) == 1
        assert engine.loaded() == Capability(kind="image", model="sdxl", tasks=("text-to-image",))


async def test_an_agent_that_was_killed_finds_its_running_picture_again(tmp_path: Path) -> None:
    spec = order(seed=23, steps=40)
    async with standing_in(tmp_path / "c") as machine:
        async with driving(machine.url) as engine:
            (tmp_path / "a").mkdir()
            events = engine.run(spec, tmp_path / "a")
            async for event in events:
                if isinstance(event, Progress) and event.step > 0:
                    break
            posted = machine.calls["prompt"]
            await engine.stop()  # as if killed: it can say nothing more
            await events.aclose()
        assert machine.process.running is not None
        async with driving(machine.url) as engine:
            told = await ran(engine, spec, tmp_path / "b")
        assert len(told.outputs) == 1
        assert machine.calls["prompt"] == posted
        assert left_behind(machine) == []


async def test_a_picture_that_was_finished_meanwhile_is_not_lost_either(tmp_path: Path) -> None:
    spec = order(seed=24, steps=10)
    async with standing_in(tmp_path / "c") as machine:
        async with driving(machine.url) as engine:
            (tmp_path / "a").mkdir()
            events = engine.run(spec, tmp_path / "a")
            await anext(events)
            posted = machine.calls["prompt"]
            await engine.stop()
            await events.aclose()
        async with asyncio.timeout(5.0):
            while machine.process.running is not None:
                await asyncio.sleep(0.01)
        async with driving(machine.url) as engine:
            assert len((await ran(engine, spec, tmp_path / "b")).outputs) == 1
        assert machine.calls["prompt"] == posted


async def _left_running(machine: StandIn, folder: Path, spec: JobSpec) -> None:
    """An agent has died over this order."""
    folder.mkdir()
    async with driving(machine.url) as engine:
        events = engine.run(spec, folder)
        await anext(events)
        await engine.stop()
        await events.aclose()


async def test_a_picture_that_outlived_its_agent_waits_although_another_order_comes_first(tmp_path: Path) -> None:
    spec = order(seed=29, steps=10)
    async with standing_in(tmp_path / "c") as machine:
        await _left_running(machine, tmp_path / "a", spec)
        posted = machine.calls["prompt"]
        async with driving(machine.url) as engine:
            await still_works(engine, tmp_path / "b")
            assert len((await ran(engine, spec, tmp_path / "d")).outputs) == 1
        assert machine.calls["prompt"] == posted + 1


async def test_a_run_that_failed_without_its_agent_is_run_anew(tmp_path: Path) -> None:
    spec = order(seed=31, steps=10)
    async with standing_in(tmp_path / "c") as machine:
        await _left_running(machine, tmp_path / "a", spec)
        machine.process.executor.interrupt = True
        async with asyncio.timeout(5.0):
            while machine.process.running is not None:
                await asyncio.sleep(0.01)
        async with driving(machine.url) as engine:
            assert len((await ran(engine, spec, tmp_path / "b")).outputs) == 1


async def test_work_of_ours_that_nobody_wants_any_more_makes_way(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        await _left_running(machine, tmp_path / "a", order(seed=25, steps=LONG_STEPS))
        machine.step_seconds = 0.05
        async with driving(machine.url, QUICK) as engine:
            began = time.monotonic()
            await still_works(engine, tmp_path / "b")
            assert time.monotonic() - began < 2.0
            assert not any(prompt_id.startswith(OURS) for prompt_id in machine.process.history)
        assert left_behind(machine) == []
