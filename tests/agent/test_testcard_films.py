"""The films of the built-in engine: what a phone needs to play them, and that they are made like pictures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from agent.engine.marking import mark
from agent.engine.packet import packet
from agent.engine.testcard import Testcard
from agent.engine.testcard.film import camera_for, film, show
from agent.engine.testcard.origin import provenance
from agent.engine.testcard.picture import scene
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import Capability
from tests.fixtures.testcard import PATIENCE_SECONDS, order, painters, ran, started

av = pytest.importorskip("av", reason="films need the extra `video`")

ROOT = Path(__file__).parents[2]
WITHOUT_PYAV = """
import asyncio, pathlib, sys
sys.modules["av"] = None  # what an import finds that must not find anything
from agent.engine import EngineError
from agent.engine.testcard import Testcard
from tests.fixtures.testcard import order, ran

async def main():
    print(*(able.kind for able in (await Testcard().offer()).capabilities))
    try:
        await ran(Testcard(), order(kind="video"), pathlib.Path(sys.argv[1]))
    except EngineError as error:
        print(error.cause, error.message)

asyncio.run(main())
"""


def _order(**fields: object) -> JobSpec:
    return order(kind="video", **{"frames": 8, "fps": 12, **fields})  # type: ignore[arg-type]


def _boxes(file: Path) -> list[str]:
    """The top-level boxes of an MP4, in order: four bytes of size, four of name."""
    content, at, names = file.read_bytes(), 0, []
    while at < len(content):
        names.append(content[at + 4 : at + 8].decode())
        at += int.from_bytes(content[at : at + 4], "big")
    return names


def _frames(file: Path) -> list[Image.Image]:
    with av.open(str(file)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def _differ(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ visibly."""
    grey = ImageChops.difference(one, other).convert("L")
    return sum(grey.histogram()[24:]) / (grey.width * grey.height)


async def test_a_film_is_one_that_every_phone_plays_and_the_same_in_every_process(tmp_path: Path) -> None:
    spec = _order(size=(136, 72))
    async with started() as engine:
        (output,) = (await ran(engine, spec, tmp_path)).outputs
    assert (output.path, output.mime_type) == (tmp_path / "0.mp4", "video/mp4")
    with av.open(str(output.path)) as container:
        (stream,) = container.streams
        codec = stream.codec_context
        assert (codec.name, codec.profile) in (("h264", "Constrained Baseline"), ("h264", "Baseline"))
        assert (codec.pix_fmt, codec.width, codec.height) == ("yuv420p", 136, 72)
        assert (stream.frames, stream.average_rate, stream.duration * stream.time_base) == (8, 12, Fraction(8, 12))
    boxes = _boxes(output.path)
    assert boxes.index("moov") < boxes.index("mdat")
    assert len(_frames(output.path)) == 8
    assert [share for share, _ in film(spec, 7, tmp_path / "ours.mp4")][-1] == 1.0
    mark(tmp_path / "ours.mp4", "video/mp4", packet(spec, provenance(spec, 7)))
    assert (tmp_path / "ours.mp4").read_bytes() == output.path.read_bytes()


async def test_what_an_order_leaves_open_are_two_seconds(tmp_path: Path) -> None:
    async with started() as engine:
        (output,) = (await ran(engine, _order(size=(64, 64), frames=None, fps=None), tmp_path)).outputs
    with av.open(str(output.path)) as container:
        assert (container.streams[0].frames, container.streams[0].average_rate) == (48, 24)


def test_the_scene_moves_and_its_caption_stands(tmp_path: Path) -> None:
    spec = _order(size=(384, 288))
    for _ in film(spec, 7, tmp_path / "film.mp4"):
        pass
    first, *_, last = _frames(tmp_path / "film.mp4")
    view, foot = (0, 0, 384, 160), (0, 240, 384, 288)
    assert _differ(first.crop(view), last.crop(view)) > 0.05
    assert _differ(first.crop(foot), last.crop(foot)) < 0.01
    assert sum(first.crop(foot).convert("L").histogram()[200:]) > 100, "the letters are as good as white"


def _cut(mask: Image.Image) -> bool:
    """It goes on beyond the stage, where a soft light would have ended."""
    return mask.crop((0, 0, 1, mask.height)).getbbox() is not None


@pytest.mark.parametrize("prompt", ["boat in the rain", "city", "forest", "snowy mountains", "planet", "silk", "a cat"])
def test_the_camera_never_looks_past_the_edge_of_a_scene(prompt: str) -> None:
    size = (96, 128)
    camera = camera_for(size, seconds=7)
    _, layers = scene(_order(prompt=prompt), 3, camera.stage)
    whole = Image.new("L", camera.stage.size, 255)
    wide = [layer for _, layer in layers if layer.mask and layer.mask.width >= camera.stage.width and _cut(layer.mask)]
    for layer in wide:
        paint = layer._replace(paint=(255, 255, 255), mask=whole, at=(0, 0), light=False)
        paint = paint._replace(motion=layer.motion._replace(flicker=0.0))
        for moment in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            canvas = Image.new("RGB", size)
            show(canvas, camera, paint, moment)
            assert canvas.getextrema() == ((255, 255),) * 3
    assert wide


@pytest.mark.parametrize("size", [(64, 64), (1024, 64), (64, 1024), (1600, 800)])
def test_films_have_exactly_the_size_ordered(size: tuple[int, int], tmp_path: Path) -> None:
    for _ in film(_order(size=size, frames=1), 7, tmp_path / "film.mp4"):
        pass
    assert [frame.size for frame in _frames(tmp_path / "film.mp4")] == [size]


async def test_a_film_tells_its_progress_by_the_frame_and_keeps_to_its_pace(tmp_path: Path) -> None:
    async with started(seconds=0.7) as engine:
        began = time.monotonic()
        told = await ran(engine, _order(count=2), tmp_path)
        assert time.monotonic() - began >= 0.7
        assert len(painters()) == 1
    values = [progress.value for progress in told.progress]
    assert values == sorted(values)
    assert values[-1] == 1.0
    assert len(set(values)) >= 5
    assert len(told.previews) >= 4
    assert [output.path.name for output in told.outputs] == ["0.mp4", "1.mp4"]
    assert len({output.path.read_bytes() for output in told.outputs}) == 2


async def test_an_interrupted_film_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    async with started() as engine:
        before = painters()
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(engine.run(_order(frames=480), tmp_path)) as events:
            async for event in events:
                if isinstance(event, Progress) and event.value > 0.15:
                    assert [left.suffix for left in tmp_path.iterdir()] == [".part"]
                    break
        assert list(tmp_path.iterdir()) == []
        assert painters() == before


def test_films_are_not_offered_without_their_library(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYAV, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert said.stdout.splitlines() == [
        "image",
        "missing_model Films need PyAV on this machine. Run: pip install av",
    ], said.stderr


async def test_films_are_offered_with_their_library() -> None:
    assert Capability(kind="video", model="testcard") in (await Testcard().offer()).capabilities
