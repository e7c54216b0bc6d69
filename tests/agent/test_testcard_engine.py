"""The built-in engine and its painters: progress, pace, interruption, and what happens when a process dies."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
from msgspec import structs
from PIL import Image

from agent.engine import INTERRUPT_SECONDS, EngineError
from agent.engine.marking import mark
from agent.engine.packet import packet
from agent.engine.testcard import Testcard, picture
from agent.engine.testcard.origin import provenance
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import PREVIEW_BYTES_MAX, Capability
from tests.fixtures.testcard import PATIENCE_SECONDS, order, painters, ran, started

ROOT = Path(__file__).parents[2]
LONG_SECONDS = 300.0
"""Of runs that are not meant to reach their end."""
AGENT = """
import asyncio, pathlib, sys
from agent.engine.testcard import Testcard
from tests.fixtures.testcard import order, painters

async def main():
    idle, busy = Testcard(), Testcard(300)
    await idle.start()
    await busy.start()
    async for event in busy.run(order(), pathlib.Path(sys.argv[1])):
        print("PIL" in sys.modules, *(painter.pid for painter in painters()), flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
"""


def _png(spec: JobSpec, folder: Path) -> bytes:
    """The file as this process makes it."""
    *_, (_, canvas) = picture.paint(spec, spec.seed)
    path = folder / "ours.png"
    canvas.save(path, "PNG", compress_level=1)
    mark(path, "image/png", packet(spec, provenance(spec, spec.seed)))
    return path.read_bytes()


async def _until_under_way(engine: Testcard, folder: Path) -> None:
    """Runs an order that never ends until it shows progress, and closes it then."""
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(engine.run(order(), folder)) as events:
        async for event in events:
            if isinstance(event, Progress) and event.value > 0:
                return


async def _gone(pids: list[int]) -> None:
    """Zombies are gone; only their parent has not looked yet."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            await asyncio.sleep(0.02)


async def test_a_run_tells_its_progress_shows_previews_and_makes_every_file(tmp_path: Path) -> None:
    async with started() as engine:
        told = await ran(engine, order(size=(512, 64), count=3, steps=10), tmp_path)
    values = [progress.value for progress in told.progress]
    assert values == sorted(values)
    assert values[-1] == 1.0
    assert (told.progress[-1].step, told.progress[-1].steps) == (30, 30)
    assert len(told.previews) >= 3
    for preview in told.previews:
        assert len(preview.image) <= PREVIEW_BYTES_MAX
        shown = Image.open(io.BytesIO(preview.image))
        assert (shown.format, shown.size) == ("JPEG", (256, 32))
    assert [(output.index, output.mime_type) for output in told.outputs] == [(at, "image/png") for at in range(3)]
    assert sorted(output.path for output in told.outputs) == sorted(tmp_path.iterdir())
    assert len({output.path.read_bytes() for output in told.outputs}) == 3


async def test_a_run_keeps_to_its_pace_and_makes_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    async with started(seconds=0.7) as engine:
        began = time.monotonic()
        told = await ran(engine, order(), tmp_path)
        assert time.monotonic() - began >= 0.7
    assert [output.path.read_bytes() for output in told.outputs] == [_png(order(), tmp_path)]
    assert len({progress.value for progress in told.progress}) >= 5


async def test_an_interrupted_run_leaves_the_painter_idle_and_the_folder_empty(tmp_path: Path) -> None:
    async with started(seconds=LONG_SECONDS) as engine:
        before = painters()
        for _ in range(3):
            await _until_under_way(engine, tmp_path)
            assert list(tmp_path.iterdir()) == []
        assert painters() == before


async def test_a_run_can_be_cancelled_at_any_moment(tmp_path: Path) -> None:
    async with started() as engine, asyncio.timeout(PATIENCE_SECONDS):
        for moment in range(8):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.004 * moment):
                    await ran(engine, order(size=(512, 512)), tmp_path)
            assert list(tmp_path.iterdir()) == []
        told = await ran(engine, order(size=(64, 64)), tmp_path)
        assert [output.path.read_bytes() for output in told.outputs] == [_png(order(size=(64, 64)), tmp_path)]
        assert told.progress[-1].value == 1.0


async def test_a_painter_that_does_not_obey_is_killed_and_replaced(tmp_path: Path) -> None:
    async with started(seconds=LONG_SECONDS) as engine:
        (painter,) = painters()
        async with aclosing(engine.run(order(), tmp_path)) as events:
            await anext(events)
            (tmp_path / ".0.png.part").touch()
            painter.suspend()
            began = time.monotonic()
        assert time.monotonic() - began <= INTERRUPT_SECONDS
        assert painters() == []
        assert list(tmp_path.iterdir()) == []
        await _until_under_way(engine, tmp_path)


async def test_a_painter_killed_at_work_fails_its_run_and_no_other(tmp_path: Path) -> None:
    async with started() as engine:
        (painter,) = painters()
        async with aclosing(engine.run(order(size=(1024, 1024)), tmp_path)) as events:
            await anext(events)
            painter.kill()
            with pytest.raises(EngineError) as failure:
                [event async for event in events]
        assert failure.value.cause == "engine_crash"
        assert list(tmp_path.iterdir()) == []
        assert len((await ran(engine, order(), tmp_path)).outputs) == 1


async def test_a_painter_killed_while_idle_is_replaced_unnoticed(tmp_path: Path) -> None:
    async with started() as engine:
        (painter,) = painters()
        painter.kill()
        await _gone([painter.pid])
        assert len((await ran(engine, order(), tmp_path)).outputs) == 1
        assert painters() != [painter]


async def test_signals_meant_for_the_agent_do_not_end_a_picture(tmp_path: Path) -> None:
    async with started(seconds=0.3) as engine:
        (painter,) = painters()
        async with aclosing(engine.run(order(), tmp_path)) as events:
            await anext(events)
            painter.send_signal(signal.SIGINT)
            painter.send_signal(signal.SIGTERM)
            assert [type(event).__name__ async for event in events][-1] == "Output"
        assert painters() == [painter]


async def test_no_painter_outlives_an_agent_that_is_killed_and_the_agent_loads_no_pictures(tmp_path: Path) -> None:
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AGENT, str(tmp_path)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        pictures_loaded, *pids = (await agent.stdout.readline()).decode().split()
    assert pictures_loaded == "False"
    assert len(pids) == 2
    if sys.platform == "linux":
        psutil.Process(int(pids[1])).suspend()  # as if it were deep in a layer: only the kernel reaches it there
    agent.kill()
    await agent.communicate()
    await _gone([int(pid) for pid in pids])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of the input has to do")
def test_a_painter_whose_agent_died_before_it_was_born_ends_at_once() -> None:
    somebody_else = os.getpid() + 1
    read, write = os.pipe()
    try:
        painter = subprocess.run(
            [sys.executable, "-m", "agent.engine.testcard.painter", str(somebody_else)],
            cwd=ROOT,
            stdin=read,
            stdout=subprocess.PIPE,
            timeout=PATIENCE_SECONDS,
        )
    finally:
        os.close(read)
        os.close(write)
    assert (painter.returncode, painter.stdout) == (0, b"")


async def test_a_file_that_cannot_be_written_fails_the_run_and_the_painter_lives_on(tmp_path: Path) -> None:
    async with started() as engine:
        before = painters()
        with pytest.raises(EngineError, match="could not be written") as failure:
            await ran(engine, order(), tmp_path / "missing")
        assert failure.value.cause == "engine_crash"
        assert len((await ran(engine, order(), tmp_path)).outputs) == 1
        assert painters() == before


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [({"model": "sdxl"}, "missing_model"), ({"width": 0}, "invalid_input"), ({"count": 0}, "invalid_input")],
)
async def test_an_order_it_cannot_fulfil_is_refused_in_words(
    wrong: dict[str, object], cause: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as failure:
        await ran(Testcard(), structs.replace(order(), **wrong), tmp_path)
    assert failure.value.cause == cause
    assert len(failure.value.message) > 20


async def test_the_engine_says_what_it_can_do_and_has_at_hand(tmp_path: Path) -> None:
    engine = Testcard()
    offer = await engine.offer()
    assert Capability(kind="image", model="testcard") in offer.capabilities
    assert (offer.device, offer.vram_gib) == ("CPU", 0)
    assert engine.loaded() is None
    await ran(engine, order(), tmp_path)
    assert engine.loaded() == Capability(kind="image", model="testcard")
    await engine.stop()
    assert painters() == []
