"""What an agent says of its ComfyUI on its own machine: versions, nodes, files, and why a workflow is not possible."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp

from agent.agent import Agent
from agent.client import connect
from agent.credential import new_secret, secret_sha256
from agent.engine.comfyui import ComfyUI
from agent.engine.comfyui import inventory as inventories
from agent.hashes import Hashes
from agent.settings import Settings
from tests.fixtures.comfyui import QUICK, WORKFLOWS
from tests.standins.comfyui.server import StandIn, standing_in
from tests.standins.control_plane import ControlPlane, control_plane

Json = dict[str, Any]
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _working(
    folder: Path, hashes: Hashes, prepare: Callable[[StandIn], None]
) -> AsyncIterator[tuple[int, StandIn]]:
    settings = Settings(dir=folder / "agent", disk_free_gib_min=0.0, local_port=_free_port())
    settings.work_folder.mkdir(parents=True)
    secret = new_secret()
    async with (
        standing_in(folder / "comfyui") as machine,
        control_plane() as plane,
        connect(plane.url, secret) as client,
    ):
        prepare(machine)
        plane.secret_sha256 = secret_sha256(secret)
        agent = Agent(settings, client, [ComfyUI(machine.url, WORKFLOWS, QUICK, hashes=hashes)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.run())
            try:
                await _ready(plane, agent)
                yield settings.local_port, machine
            finally:
                agent.signalled()
                agent.signalled()


async def _ready(plane: ControlPlane, agent: Agent) -> None:
    await plane.until(lambda: agent.duty.slots[0].ready)


async def _capabilities(port: int) -> Json:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/capabilities") as answer:
        assert answer.status == 200
        [slot] = await answer.json()
        return dict(slot)


def _package(machine: StandIn) -> None:
    """Nodes that others have written, one package with a project file and one without."""
    project = machine.folder / "custom_nodes" / "pack" / "pyproject.toml"
    project.parent.mkdir(parents=True)
    project.write_text('[project]\nname = "pack"\nversion = "1.4.2"\n')
    for name, module in (("Theirs", "custom_nodes.pack"), ("Odd", "custom_nodes.odd"), ("Sly", "custom_nodes...")):
        machine.custom[name] = {"input": {}, "output": [], "python_module": module}


async def test_capabilities_tell_everything_that_is_on_a_slot(tmp_path: Path) -> None:
    hashes = Hashes()
    checkpoints = tmp_path / "comfyui" / "models" / "checkpoints"

    def prepare(machine: StandIn) -> None:
        machine.vram_gib = 7.6
        machine.models["loras"].remove("pixel-art-xl.safetensors")
        _package(machine)
        checkpoints.mkdir(parents=True)
        (checkpoints / CHECKPOINT).write_bytes(b"weights")
        hashes.learn(checkpoints / CHECKPOINT, sha256(b"weights").hexdigest())

    async with _working(tmp_path, hashes, prepare) as (port, machine):
        told = await _capabilities(port)
        assert (told["device"], told["vram_gib"], told["engine"]) == ("Stand-in 3000", 8, "comfyui")
        tasks = {able["model"]: set(able["tasks"]) for able in told["capabilities"]}
        assert tasks["sd15"] == {"text-to-image", "image-to-image"}
        found = told["inventory"]
        assert found["versions"] == {"comfyui": "0.3.64", "pytorch": "2.9.0"}
        assert found["packages"] == {"..": None, "odd": None, "pack": "1.4.2"}
        assert found["node_classes"] == len(machine.process.nodes)
        assert found["node_classes_sha256"] == sha256("\n".join(sorted(machine.process.nodes)).encode()).hexdigest()
        files = {file["name"]: (file["bytes"], file["sha256"]) for file in found["models"]["checkpoints"]}
        assert files[CHECKPOINT] == (7, sha256(b"weights").hexdigest())
        assert set(files.values()) == {files[CHECKPOINT], (None, None)}, "the others are told, but do not lie here"
        assert "loras/pixel-art-xl.safetensors is not here." in found["impossible"]["sdxl-pixel-art"]
        assert found["impossible"]["flux-dev"] == ["It needs 16 GiB of GPU memory, and here are 8."]
        assert {*found["possible"], *found["impossible"]} == {workflow.name for workflow in WORKFLOWS}
        assert not {*found["possible"]} & {*found["impossible"]}


async def test_to_tell_capabilities_nobody_is_asked_and_no_file_is_read(tmp_path: Path) -> None:
    """A file that was changed since has another size and no hash, until the engine has read it at its leisure."""
    file = tmp_path / "comfyui" / "models" / "checkpoints" / CHECKPOINT
    hashes = Hashes()

    def prepare(machine: StandIn) -> None:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")
        hashes.learn(file, sha256(b"weights").hexdigest())

    async with _working(tmp_path, hashes, prepare) as (port, machine):
        file.write_bytes(b"other weights")
        asked = machine.requests
        for _ in range(3):
            [found] = [one for one in (await _capabilities(port))["inventory"]["models"]["checkpoints"] if one["bytes"]]
            assert found == {"name": CHECKPOINT, "bytes": 13, "sha256": None}
        assert machine.requests == asked > 0


async def test_what_is_told_is_bounded(tmp_path: Path) -> None:
    def prepare(machine: StandIn) -> None:
        machine.models["checkpoints"] += [f"{number}.safetensors" for number in range(inventories.MODELS_MAX)]

    async with _working(tmp_path, Hashes(), prepare) as (port, machine):
        found = (await _capabilities(port))["inventory"]
        assert sum(map(len, found["models"].values())) == inventories.MODELS_MAX
        assert found["models_left_out"] == sum(map(len, machine.models.values())) - inventories.MODELS_MAX
