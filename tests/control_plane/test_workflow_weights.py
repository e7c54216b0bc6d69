"""What the operator's lists of weights say of the files of workflows in force goes to the owners of agents."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.engine.repertory import kept
from agent.settings import Settings
from tests.fixtures.api import eventually
from tests.fixtures.worker import Service, serving
from tests.fixtures.workflows import working, write_ours

LIST = """
[licences.own]
name = "A Licence"
version = "3"
url = "https://licence.example/3"
commercial = "yes"

[[files]]
folder = "checkpoints"
name = "ours.safetensors"
bytes = 5_242_880
sources = ["https://weights.example/ours.safetensors"]
licence = "own"
vram_gib = 4
"""


def write_list(folder: Path, text: str = LIST) -> None:
    (folder / "weights").mkdir(exist_ok=True)
    (folder / "weights" / "ours.toml").write_text(text)


async def told_by_models(settings: Settings, verb: str, *more: str) -> tuple[int | None, str]:
    """As the owner of the agent's machine is told."""
    (settings.dir / "models").mkdir(exist_ok=True)
    places = ("--dir", str(settings.dir), "--models", str(settings.dir / "models"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "models", verb, "ours", *places, *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "own").mkdir()
    async with serving(database_url, tmp_path, workflows=tmp_path / "own", heartbeat_seconds=0.5) as made:
        yield made


async def test_agents_hear_where_to_load_the_files_of_an_operators_workflow(service: Service, tmp_path: Path) -> None:
    """A workflow and its list of weights lie at the control plane only; an owner's own list stands over it."""
    own = tmp_path / "own"
    async with working(service, tmp_path) as (agent, _):
        settings, shelf = agent.duty.settings, service.context.shelf

        async def learnt() -> bool:
            return kept(settings.workflows_file).revision == shelf.revision

        write_ours(own)
        await shelf.look()
        await eventually(learnt, bool)
        assert "in no list of weights" in (await told_by_models(settings, "plan"))[1]

        write_list(own)
        before = shelf.revision
        await shelf.look()
        assert shelf.revision != before
        await eventually(learnt, bool)
        code, told = await told_by_models(settings, "plan")
        assert code == 0, told
        assert "5.0 MiB  checkpoints/ours.safetensors  (from weights.example, no known hash: pull --pin)" in told
        assert "A Licence (3): may be sold" in told

        whole = shelf.revision
        write_list(own, "files = 7")
        await shelf.look()
        assert shelf.revision == whole, "an unsound list changes nothing"

        write_list(own, LIST.replace("https://weights", "http://weights"))
        await shelf.look()
        await eventually(learnt, bool)
        code, told = await told_by_models(settings, "pull", "--accept", "own", "--pin")
        assert code == 1, told
        assert "weights.example is only reached over http" in told, "who says it changes nothing"

        owners = tmp_path / "owners"
        owners.mkdir()
        write_ours(owners)
        write_list(owners, LIST.replace("weights.example", "mirror.example"))
        assert "from mirror.example" in (await told_by_models(settings, "plan", "--workflows", str(owners)))[1]
