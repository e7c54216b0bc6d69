"""The oddities that the genuine ComfyUI was recorded with, on the stand-in: each ends as it must, and work goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec import structs

from agent.engine import EngineError
from agent.engine.comfyui.engine import ComfyUI
from agent.engine.comfyui.errors import of_run
from agent.engine.comfyui.server import Entry, Status
from control_plane.wire.workflow import Node
from tests.fixtures.comfyui import (
    QUICK,
    WORKFLOWS,
    asked,
    begun,
    driving,
    fails,
    left_behind,
    order,
    ran,
    still_works,
    until_under_way,
)
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.media import Paint
from tests.standins.comfyui.server import StandIn, standing_in

LONG_STEPS = 80
CUDA_OOM = Fault("KSampler", "torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB.")


async def test_nothing_of_a_run_stays_on_disk_or_in_the_history(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        await ran(engine, order(seed=1, count=2), tmp_path / "a")
        (tmp_path / "b").mkdir()
        await until_under_way(engine, order(seed=2, steps=LONG_STEPS), tmp_path / "b")
        machine.faults.append(Fault("SaveImage", "OSError", "[Errno 28] No space left on device"))
        await fails(engine, tmp_path / "d", seed=3)
        assert left_behind(machine) == []
        assert await asked(machine.url, "/history") == {}


async def test_a_history_that_is_late_is_waited_for(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.history_late_seconds = 0.8
        await still_works(engine, tmp_path / "a")


async def test_a_picture_from_the_cache_whose_file_was_deleted_is_drawn_again(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        async with driving(machine.url) as engine:
            _leave_in_history(machine, engine)
        async with driving(machine.url) as engine:
            for path in left_behind(machine):
                path.unlink()
            await still_works(engine, tmp_path / "a", seed=5)
            assert machine.calls["prompt"] > 1


def _leave_in_history(machine: StandIn, engine: ComfyUI) -> None:
    """The history knows order 5 as done, with a file that is not there."""
    from agent.engine.comfyui.errand import Errand

    bench = engine._ready()
    prompt_id = Errand(bench, engine._workflow(order(seed=5)), order(seed=5), machine.folder).prompt_id
    outputs = {"save": {"images": [{"filename": "gone.png", "subfolder": "", "type": "output"}]}}
    status = {"status_str": "success", "completed": True, "messages": []}
    machine.process.history[prompt_id] = {"prompt": [], "outputs": outputs, "status": status, "meta": {}}


async def test_an_answer_that_is_lost_posts_nothing_twice(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        before = machine.calls["prompt"]
        machine.lost_answers += 1
        await still_works(engine, tmp_path / "a")
        assert (machine.lost_answers, machine.calls["prompt"]) == (0, before + 1)


async def test_an_interruption_that_is_lost_is_repeated(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.begin_seconds, machine.step_seconds = 0.15, 0.05
        run = asyncio.ensure_future(ran(engine, order(seed=6, steps=LONG_STEPS), tmp_path / "a"))
        async with asyncio.timeout(5.0):
            while machine.process.running is None:
                await asyncio.sleep(0.002)
        began = time.monotonic()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert time.monotonic() - began < 1.0
        assert machine.calls["interrupt"] > 1
        assert await asked(machine.url, "/queue") == {"queue_running": [], "queue_pending": []}


async def test_a_run_that_ends_late_after_its_cancellation_does_not_disturb_the_next(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url, structs.replace(QUICK, step=9)) as engine:
        machine.step_seconds = 2.5
        (tmp_path / "a").mkdir()
        run = asyncio.ensure_future(ran(engine, order(seed=7), tmp_path / "a"))
        await begun(machine)
        began = time.monotonic()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert time.monotonic() - began < 2.1
        machine.step_seconds = 0.01
        await still_works(engine, tmp_path / "b")


async def test_downloads_that_break_go_on_where_they_stopped(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.cut_views = 4
        await still_works(engine, tmp_path / "a")
        assert machine.cut_views == 0


async def test_a_websocket_that_breaks_or_goes_silent_costs_nothing_but_progress(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        for seed, breakage in enumerate((machine.process.close_sockets, machine.process.mute_sockets), 30):
            run = asyncio.ensure_future(ran(engine, order(seed=seed, steps=20), tmp_path / str(seed)))
            await begun(machine)
            await breakage()
            assert len((await run).outputs) == 1


@pytest.mark.parametrize("again", [False, True])
async def test_out_of_memory_is_tried_once_more_after_everything_was_unloaded(tmp_path: Path, again: bool) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.faults += [CUDA_OOM, CUDA_OOM] if again else [CUDA_OOM]
        if again:
            assert (await fails(engine, tmp_path / "a", seed=11)).cause == "oom"
            assert engine.loaded() is None
        else:
            await still_works(engine, tmp_path / "a", seed=11)
        assert machine.faults == []
        assert machine.calls["free"] == 1
        await still_works(engine, tmp_path / "b")


@pytest.mark.parametrize(
    ("node", "exception_type", "message", "cause"),
    [
        ("KSampler", "RuntimeError", "CUDA error: out of memory", "oom"),
        (
            "KSampler",
            "RuntimeError",
            "DefaultCPUAllocator: can't allocate memory",
            "oom",
        ),
        ("KSampler", "MemoryError", "", "oom"),
        ("KSampler", "torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", "engine_crash"),
        (
            "CheckpointLoaderSimple",
            "safetensors_rust.SafetensorError",
            "Error while deserializing header",
            "missing_model",
        ),
        ("CheckpointLoaderSimple", "RuntimeError", "ERROR: Could not detect model type of: /srv/x", "missing_model"),
        ("SaveImage", "OSError", "[Errno 28] No space left on device", "engine_crash"),
        ("KSampler", "ConnectionError", "/srv/secret", "engine_crash"),
        ("LoadImage", "PIL.UnidentifiedImageError", "cannot identify image file '/srv/x.png'", "invalid_input"),
        ("KSampler", "ValueError", "what the customer typed", "invalid_input"),
        ("KSampler", "RuntimeError", "The size of tensor a (64) must match", "invalid_input"),
    ],
)
def test_an_error_has_a_cause_and_a_sentence_without_secrets(
    node: str, exception_type: str, message: str, cause: str
) -> None:
    told = {"exception_type": exception_type, "exception_message": message, "node_id": "1", "node_type": node}
    failure = of_run(Entry({}, Status("error", False, [("execution_error", told)])))
    assert failure.cause == cause
    assert failure.message.endswith(".")
    assert "/srv" not in failure.message
    assert "customer" not in failure.message


async def test_an_error_in_a_run_does_not_end_the_engine(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.faults.append(Fault("KSampler", "ValueError", "what the customer typed"))
        assert (await fails(engine, tmp_path / "a", seed=12)).cause == "invalid_input"
        await still_works(engine, tmp_path / "b")


async def test_a_model_file_that_is_broken_is_offered_no_more(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.faults.append(Fault("CheckpointLoaderSimple", "safetensors_rust.SafetensorError", "header"))
        sdxl = {"model": "sdxl", "width": 512, "height": 512, "seed": 28}
        assert (await fails(engine, tmp_path / "a", **sdxl)).cause == "missing_model"
        before = machine.calls["prompt"]
        assert (await fails(engine, tmp_path / "b", **sdxl)).cause == "missing_model"
        assert machine.calls["prompt"] == before
        assert not {"sdxl", "sdxl-pixel-art"} & {able.model for able in (await engine.offer()).capabilities}
        await still_works(engine, tmp_path / "d")


async def test_a_model_file_that_was_removed_is_missed_on_this_worker_only(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.process.nodes["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = []
        assert (await fails(engine, tmp_path / "a", seed=13)).cause == "missing_model"


async def test_a_graph_of_which_only_a_part_is_valid_is_not_run(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        sd15 = next(workflow for workflow in engine._possible() if workflow.name == "sd15")
        sd15.graph["other"] = Node("SaveImage", {"filename_prefix": "x", "images": ["nowhere", 0]})
        try:
            assert (await fails(engine, tmp_path / "a", seed=14)).cause == "invalid_input"
        finally:
            del sd15.graph["other"]
        assert machine.process.pending == []


async def test_a_server_that_does_not_understand_answers_in_text_and_that_is_no_crash(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.process.nodes["KSampler"]["input"]["required"]["steps"] = []
        assert (await fails(engine, tmp_path / "a", seed=15)).cause == "invalid_input"


@pytest.mark.parametrize("paint", ["black", "grey", "same", "garbage"])
async def test_what_is_no_picture_is_the_fault_of_the_engine(tmp_path: Path, paint: Paint) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.paint = paint
        if paint == "same":
            await still_works(engine, tmp_path / "first", seed=1)
        error = await fails(engine, tmp_path / "a", seed=16)
        assert error.cause == "engine_crash"
        assert list((tmp_path / "a").iterdir()) == []
        assert engine.loaded() is None


async def test_a_comfyui_that_draws_nothing_does_not_become_ready(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        machine.paint = "black"
        with pytest.raises(EngineError, match="black"):
            async with driving(machine.url):
                pass


async def test_a_card_with_too_little_memory_is_not_offered_what_it_cannot_hold(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        machine.vram_gib = 7.7
        async with driving(machine.url) as engine:
            offer = await engine.offer()
    assert offer.vram_gib == 8
    assert offer.device == "Stand-in 3000"
    models = {able.model for able in offer.capabilities}
    assert {"sd15", "sdxl", "ltx"} <= models
    assert not {"flux-dev", "sd35-large", "wan22"} & models


async def test_the_owner_draws_too_and_our_order_waits_its_turn(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        sd15 = next(workflow.graph for workflow in WORKFLOWS if workflow.name == "sd15")
        graph = {name: {"class_type": node.class_type, "inputs": node.inputs} for name, node in sd15.items()}
        machine.step_seconds = 0.02
        machine.process.pending.append((0, "the-owners", graph, {"client_id": "browser"}, ["save"]))
        machine.process._filled.set()
        await still_works(engine, tmp_path / "a")
        assert "the-owners" in machine.process.history


async def test_films_and_single_runs_make_every_artifact(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        machine.step_seconds = 0.0
        film = order(kind="video", model="ltx", width=256, height=256, frames=9, fps=8, count=2, seed=26)
        before = machine.calls["prompt"]
        told = await ran(engine, film, tmp_path / "a")
        assert [(output.index, output.mime_type) for output in told.outputs] == [(0, "video/mp4"), (1, "video/mp4")]
        assert machine.calls["prompt"] == before + 2
        assert all(b"KSampler" not in output.path.read_bytes() for output in told.outputs)
        assert [progress.value for progress in told.progress] == sorted(progress.value for progress in told.progress)


async def test_closing_the_events_is_enough(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine, driving(machine.url) as engine:
        (tmp_path / "a").mkdir()
        async with aclosing(engine.run(order(seed=27, steps=LONG_STEPS), tmp_path / "a")) as events:
            await anext(events)
        assert machine.process.running is None
        assert machine.process.pending == []
