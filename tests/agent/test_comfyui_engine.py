"""What the engine does with a ComfyUI that behaves, genuine or stood in for: order, follow, bring in, clean, wipe."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from agent.engine import EngineError
from agent.engine.comfyui.feed import parse_binary, parse_text
from control_plane.wire.provenance import ModelFile
from control_plane.wire.worker import PREVIEW_BYTES_MAX, Capability
from tests.fixtures.comfyui import (
    GENUINE_URL,
    PATIENCE_SECONDS,
    asked,
    engine_on,
    looked_at,
    order,
    ran,
    until_under_way,
)
from tests.fixtures.pictures import as_input, drawn, encoded, lay

LONG_STEPS = 80
SD15 = Capability(kind="image", model="sd15", tasks=("text-to-image",))


async def test_a_run_tells_its_progress_shows_previews_and_makes_every_file(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        told = await ran(engine, order(seed=11, count=2), tmp_path / "job")
    values = [progress.value for progress in told.progress]
    assert values == sorted(values)
    assert values[-1] == 1.0
    assert len(set(values)) > 3
    assert any((progress.step, progress.steps) == (2, 3) for progress in told.progress)
    assert told.previews
    assert all(0 < len(preview.image) <= PREVIEW_BYTES_MAX for preview in told.previews)
    assert [(output.index, output.mime_type) for output in told.outputs] == [(0, "image/png"), (1, "image/png")]
    assert [looked_at(output.path)[0] for output in told.outputs] == [(256, 256)] * 2


async def test_a_file_says_nothing_of_the_graph_and_nothing_of_the_order_when_it_must_not(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        silent = await ran(engine, order("a secret wish", seed=12, embed_metadata=False), tmp_path / "silent")
        told = await ran(engine, order("a secret wish", seed=12), tmp_path / "told")
    for path in (silent.outputs[0].path, told.outputs[0].path):
        assert set(looked_at(path)[1]) == {"XML:com.adobe.xmp", "xmp"}
        assert b"trainedAlgorithmicMedia" in path.read_bytes()
        assert b"KSampler" not in path.read_bytes()
    assert b"secret" not in silent.outputs[0].path.read_bytes()
    assert b"a secret wish" in told.outputs[0].path.read_bytes()


async def test_a_result_says_what_it_was_made_with(tmp_path: Path) -> None:
    weights = tmp_path / "comfyui" / "models" / "checkpoints" / "v1-5-pruned-emaonly-fp16.safetensors"
    if not GENUINE_URL:
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"weights")
    async with engine_on(tmp_path / "comfyui") as engine, asyncio.timeout(PATIENCE_SECONDS):
        seed = 0
        while True:  # until the file has been read
            seed += 1
            made = (await ran(engine, order(seed=seed, count=2), tmp_path / str(seed))).outputs[1].made
            assert made is not None
            if GENUINE_URL or made.models[0].sha256 is not None:
                break
    assert (made.engine, made.workflow) == ("comfyui", "sd15")
    assert made.engine_version
    assert made.libraries["pytorch"]
    assert len(made.workflow_version or "") == 64
    if not GENUINE_URL:
        assert made.models == [ModelFile(name=weights.name, sha256=sha256(b"weights").hexdigest())]


async def test_comfyui_forgets_the_order(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        await ran(engine, order(seed=13), tmp_path / "job")
        assert await asked(engine._url, "/queue") == {"queue_running": [], "queue_pending": []}
        assert await asked(engine._url, "/history") == {}


async def test_the_same_order_twice_brings_the_same_picture_and_one_after_the_other_does_not_clash(
    tmp_path: Path,
) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        first = await ran(engine, order(seed=14), tmp_path / "one")
        second = await ran(engine, order(seed=14), tmp_path / "two")
    assert first.outputs[0].path.read_bytes() == second.outputs[0].path.read_bytes()


async def test_a_picture_is_drawn_over_an_input(tmp_path: Path) -> None:
    start = lay(encoded(Image.linear_gradient("L").convert("RGB")), tmp_path / "job")
    async with engine_on(tmp_path / "comfyui") as engine:
        told = await ran(engine, order(seed=15, input_image=start, strength=0.5), tmp_path / "job")
    assert len(told.outputs) == 1


async def test_a_picture_is_enlarged_by_the_model_for_it_and_twice_alike_is_no_fault(tmp_path: Path) -> None:
    wanted = {"model": "upscale-4x", "upscale": 4, "width": 256, "height": 256}
    start = encoded(Image.linear_gradient("L").convert("RGB").resize((64, 64)))
    async with engine_on(tmp_path / "comfyui") as engine:
        told = [
            await ran(engine, order("", seed=seed, input_image=lay(start, tmp_path / name), **wanted), tmp_path / name)
            for seed, name in ((1, "one"), (2, "two"))
        ]
        once_more = lay(start, tmp_path / "three")
        with pytest.raises(EngineError, match="only enlarges"):
            await ran(engine, order(model="upscale-4x", input_image=once_more), tmp_path / "three")
    for each in told:
        [output] = each.outputs
        with Image.open(output.path) as enlarged:
            assert enlarged.size == (256, 256)


async def test_a_run_that_is_closed_leaves_comfyui_idle_within_a_second_and_a_step(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        (tmp_path / "job").mkdir()
        await until_under_way(engine, order(seed=16, steps=LONG_STEPS), tmp_path / "job")
        began = time.monotonic()
        told = await ran(engine, order(seed=17), tmp_path / "next")
        assert len(told.outputs) == 1
        assert GENUINE_URL or time.monotonic() - began < 2.0
        assert await asked(engine._url, "/history") == {}
    assert list((tmp_path / "job").iterdir()) == []


async def test_a_run_that_is_closed_the_moment_it_was_ordered_never_runs(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    async with engine_on(tmp_path / "comfyui") as engine:
        for number in range(10):
            run = asyncio.ensure_future(ran(engine, order(seed=100 + number, steps=LONG_STEPS), tmp_path / "job"))
            await asyncio.sleep(0.001 * number)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        await ran(engine, order(seed=18), tmp_path / "next")
        assert await asked(engine._url, "/queue") == {"queue_running": [], "queue_pending": []}


async def test_what_is_loaded_is_known_after_the_canary(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        assert engine.loaded() == SD15
        [able] = [able for able in (await engine.offer()).capabilities if able.model == "sd15"]
        assert set(able.tasks) == {"text-to-image", "image-to-image"}
        assert (await engine.offer()).device not in ("", "unknown")


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"model": "nobody-has-this"}, "missing_model"),
        ({"kind": "video"}, "missing_model"),
        ({"width": 64}, "invalid_input"),
        ({"sampler": "nope"}, "invalid_input"),
        ({"input_image": as_input(encoded(drawn()))}, "invalid_input"),
        ({"input_image": as_input(encoded(drawn())), "upscale": 2}, "invalid_input"),
    ],
)
async def test_an_order_that_cannot_be_run_says_whose_fault_it_is(
    tmp_path: Path, fields: dict[str, object], cause: str
) -> None:
    async with engine_on(tmp_path / "comfyui") as engine:
        with pytest.raises(EngineError) as caught:
            await ran(engine, order(**fields), tmp_path / "job")  # type: ignore[arg-type]
    assert caught.value.cause == cause
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("frame", [b"", b"\0\0\0\4", b"\0\0\0\4\0\0\0\5nojson", b"\0\0\0\1\0\0\0\1\xff\xd8"])
def test_frames_that_are_of_no_use_are_passed_over(frame: bytes) -> None:
    assert parse_binary(frame) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"type": "status", "data": {}}', '{"type": "progress_state", "data": 3}']
)
def test_words_that_are_of_no_use_are_passed_over(text: str) -> None:
    assert parse_text(text) is None
