"""The whole agent on a stand-in ComfyUI, for a stand-in control plane: what is reported of each order."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image

from agent.agent import Agent
from agent.client import connect
from agent.credential import new_secret, secret_sha256
from agent.engine.comfyui import ComfyUI
from agent.settings import Settings
from tests.fixtures.comfyui import QUICK, WORKFLOWS, driving, left_behind, order
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.server import StandIn, standing_in
from tests.standins.control_plane import ControlPlane, control_plane

LONG_STEPS = 80


@asynccontextmanager
async def _working(folder: Path) -> AsyncIterator[tuple[ControlPlane, StandIn, Agent]]:
    settings = Settings(dir=folder / "agent", disk_free_gib_min=0.0)
    settings.dir.mkdir(parents=True)
    settings.work_folder.mkdir()
    secret = new_secret()
    async with (
        standing_in(folder / "comfyui") as machine,
        control_plane() as plane,
        connect(plane.url, secret) as client,
        asyncio.TaskGroup() as tasks,
    ):
        plane.secret_sha256 = secret_sha256(secret)
        agent = Agent(settings, client, [ComfyUI(machine.url, WORKFLOWS, QUICK)])
        working = tasks.create_task(agent.run())
        try:
            yield plane, machine, agent
        finally:
            if not working.done():
                agent.signalled()
                agent.signalled()


async def test_orders_become_pictures_that_arrive(tmp_path: Path) -> None:
    async with _working(tmp_path) as (plane, machine, _agent):
        jobs = [await plane.submit(order(seed=seed, count=2)) for seed in range(4)]
        for job_id in jobs:
            await plane.until(lambda job_id=job_id: plane.seen("complete", job_id))  # type: ignore[misc]
        pictures = {name: content for name, content in plane.files.items() if name[0] in jobs}
        assert len(pictures) == 8
        assert len(set(pictures.values())) == 8
        for content in pictures.values():
            with Image.open(io.BytesIO(content)) as picture:
                assert picture.size == (256, 256)
        await plane.until(lambda: left_behind(machine) == [])
    assert list((tmp_path / "agent" / "work").glob("*")) == []


async def test_a_canceled_order_is_released_and_the_next_one_drawn(tmp_path: Path) -> None:
    async with _working(tmp_path) as (plane, machine, _agent):
        canceled = await plane.submit(order(seed=1, steps=LONG_STEPS))
        await plane.until(lambda: plane.seen("started", canceled))
        after = await plane.submit(order(seed=2))
        await plane.cancel(canceled)
        await plane.until(lambda: plane.seen("release", canceled))
        await plane.until(lambda: plane.seen("complete", after))
        assert plane.seen("release", canceled)[0].detail.reason == "canceled"
        assert machine.calls["interrupt"] >= 1


async def test_a_comfyui_that_dies_fails_one_order_and_draws_the_next_when_it_is_back(tmp_path: Path) -> None:
    async with _working(tmp_path) as (plane, machine, _agent):
        lost = await plane.submit(order(seed=3, steps=LONG_STEPS))
        await plane.until(lambda: plane.seen("started", lost))
        await machine.kill()
        await machine.start()
        await plane.until(lambda: plane.seen("fail", lost))
        assert plane.seen("fail", lost)[0].detail.cause == "engine_crash"
        after = await plane.submit(order(seed=4))
        await plane.until(lambda: plane.seen("complete", after))


async def test_a_broken_model_is_reported_once_and_offered_no_more(tmp_path: Path) -> None:
    async with _working(tmp_path) as (plane, machine, agent):
        await plane.until(lambda: plane.seen("asked"))
        machine.faults.append(Fault("CheckpointLoaderSimple", "safetensors_rust.SafetensorError", "header"))
        broken = await plane.submit(order(seed=5, model="sdxl", width=512, height=512))
        await plane.until(lambda: plane.seen("fail", broken))
        assert plane.seen("fail", broken)[0].detail.cause == "missing_model"
        after = await plane.submit(order(seed=6))
        await plane.until(lambda: plane.seen("complete", after))
        models = {able.model for able in agent.duty.slots[0].offer.capabilities}
        assert "sd15" in models
        assert "sdxl" not in models


async def test_a_broken_model_does_not_keep_the_others_from_work(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "c") as machine:
        machine.faults.append(Fault("CheckpointLoaderSimple", "safetensors_rust.SafetensorError", "header"))
        async with driving(machine.url) as engine:
            models = {able.model for able in (await engine.offer()).capabilities}
    assert "sd15" not in models
    assert "ltx" in models
