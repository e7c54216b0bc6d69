"""The real agent is killed by SIGKILL and started again: what it had in hand is gone on with, by the same fence."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from agent import credential
from agent.credential import Credential
from control_plane.wire.worker import CompleteRequest
from tests.fixtures.comfyui import left_behind, order
from tests.standins.comfyui.program import Whims, install
from tests.standins.comfyui.server import standing_in
from tests.standins.control_plane import PATIENCE_SECONDS, ControlPlane, control_plane

ROOT = Path(__file__).parents[2]
LONG_STEPS = 80


class Owner:
    """Of a machine with an agent on it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._words = ("run", "--dir", str(folder), "--engine", "comfyui", *arguments)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent", *self._words), cwd=ROOT, stdout=log, stderr=log
            )

    async def kill(self, number: int = signal.SIGKILL) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            assert await self.kill(signal.SIGTERM) == 0, (self.folder / "log").read_text()


@asynccontextmanager
async def _owning(folder: Path, *arguments: str) -> AsyncIterator[tuple[ControlPlane, Owner]]:
    async with control_plane() as plane:
        secret = credential.new_secret()
        plane.secret_sha256 = credential.secret_sha256(secret)
        kept = Credential(url=plane.url, secret=secret, worker_id=plane.worker_id, name="den")
        credential.save(kept, folder / "credential.json")
        owner = Owner(folder, *arguments)
        try:
            await owner.start()
            yield plane, owner
        finally:
            await owner.end()


@pytest.mark.parametrize("stage", ["running", "finished meanwhile", "uploading"])
async def test_no_picture_is_lost_and_none_drawn_twice(tmp_path: Path, stage: str) -> None:
    async with (
        standing_in(tmp_path / "comfyui") as machine,
        _owning(tmp_path / "agent", "--comfyui-url", machine.url) as (plane, owner),
    ):
        await plane.until(lambda: plane.seen("asked"))
        machine.step_seconds = 0.0 if stage == "uploading" else 0.04
        posted = machine.calls["prompt"]
        if stage == "uploading":
            plane.hurt("upload", "unavailable", times=1_000)
        job_id = await plane.submit(order(seed=1, steps=LONG_STEPS if stage == "running" else 40))
        if stage == "uploading":
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not plane.fired["upload:unavailable"]:
                    await asyncio.sleep(0.01)
        else:
            await plane.until(lambda: [told for told in plane.seen("started", job_id) if told.detail.progress])
        await owner.kill()
        plane.heal("upload")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while stage == "finished meanwhile" and machine.process.running is not None:
                await asyncio.sleep(0.01)
        assert plane.leases[job_id].attempt == 1
        await owner.start()
        await plane.until(lambda: plane.seen("complete", job_id))
        assert machine.calls["prompt"] == posted + 1
        assert len(plane.seen("offered", job_id)) == 1
        report = plane.seen("complete", job_id)[0].detail
        assert isinstance(report, CompleteRequest)
        assert report.provenance is not None
        assert plane.files[job_id, 1, 0].startswith(b"\x89PNG")
        await plane.until(lambda: plane.seen("heartbeat")[-1].detail.leases == [])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while left_behind(machine) or list((tmp_path / "agent" / "leases").iterdir()):
                await asyncio.sleep(0.01)


async def test_a_comfyui_of_its_own_outlives_a_killed_agent_until_the_next_one_and_no_longer(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    installed.next_life(Whims(step_seconds=0.04, leaves_a_child=True))
    async with _owning(tmp_path / "agent", "--comfyui-dir", str(installed.folder)) as (plane, owner):
        job_id = await plane.submit(order(seed=2, steps=LONG_STEPS))
        await plane.until(lambda: [told for told in plane.seen("started", job_id) if told.detail.progress])
        await owner.kill()
        assert psutil.pid_exists(installed.lives()[0])
        await owner.start()
        await plane.until(lambda: plane.seen("complete", job_id))
        assert len(plane.seen("offered", job_id)) == 1
        examined = await _doctor(tmp_path / "agent")
        assert "comfyui on Stand-in 3000, in the care of the running agent" in examined
        assert len(installed.lives()) == 2  # with its child
    assert not [pid for pid in installed.lives() if psutil.pid_exists(pid)]


async def _doctor(folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "doctor", "--dir", str(folder)),
        cwd=ROOT,
        env={**os.environ, "TESSERA_AGENT_COMFYUI_DIR": "/not/looked/at"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        said, _ = await process.communicate()
    return said.decode()


async def test_an_agent_that_is_to_end_does_not_wait_for_a_comfyui_that_starts(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    installed.next_life(Whims(start_seconds=60.0))
    async with _owning(tmp_path / "agent", "--comfyui-dir", str(installed.folder)) as (_plane, owner):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not installed.lives():
                await asyncio.sleep(0.01)
        await owner.end()
        assert not psutil.pid_exists(installed.lives()[0])


async def test_a_comfyui_that_dies_with_its_agent_costs_the_picture_and_not_the_order(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    installed.next_life(Whims(step_seconds=0.04))
    async with _owning(tmp_path / "agent", "--comfyui-dir", str(installed.folder)) as (plane, owner):
        job_id = await plane.submit(order(seed=3, steps=LONG_STEPS))
        await plane.until(lambda: plane.seen("started", job_id))
        await owner.kill()
        os.kill(installed.lives()[0], signal.SIGKILL)
        await owner.start()
        await plane.until(lambda: plane.seen("complete", job_id))
        assert len(plane.seen("offered", job_id)) == 1
        assert len(installed.lives()) == 2
