"""What systemd hears of the agent: ready, alive, what it is at, and that it goes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.client import connect
from agent.credential import secret_sha256
from agent.settings import Settings
from control_plane.wire.systemd import Notify, from_environment
from tests.fixtures.agent import SECRET, FakeEngine
from tests.standins.control_plane import PATIENCE_SECONDS, control_plane


async def heard(link: socket.socket) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await asyncio.get_running_loop().sock_recv(link, 4_096)).decode().splitlines()


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_is_told_of_the_beginning_of_every_beat_and_of_the_end(tmp_path: Path, abstract: bool) -> None:
    address = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(address.replace("@", "\0"))
        link.setblocking(False)
        notify = from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "150000"})
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(notify.beat(lambda: "working, 1 leases"))
            assert await heard(link) == ["READY=1", "STATUS=working, 1 leases"]
            for _ in range(3):
                assert await heard(link) == ["WATCHDOG=1", "STATUS=working, 1 leases"]
            beating.cancel()
        while await heard(link) != ["STOPPING=1"]:
            pass


async def test_a_running_agent_says_that_it_is_ready_and_what_it_is_at(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.setblocking(False)
        settings = Settings(dir=tmp_path / "agent", disk_free_gib_min=0.0)
        settings.work_folder.mkdir(parents=True)
        async with control_plane() as plane, connect(plane.url, SECRET) as client:
            plane.secret_sha256 = secret_sha256(SECRET)
            agent = Agent(settings, client, [FakeEngine(plane)], Notify(str(tmp_path / "notify"), 0.3))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(agent.run())
                assert await heard(link) == ["READY=1", "STATUS=waiting, 0 leases"]
                agent.duty.pause()
                while "STATUS=paused (owner), 0 leases" not in await heard(link):
                    pass
                agent.signalled()
            while await heard(link) != ["STOPPING=1"]:
                pass


async def test_without_systemd_nothing_is_said_and_a_deaf_one_does_no_harm(tmp_path: Path) -> None:
    await from_environment({}).beat(lambda: "nobody listens")
    Notify(str(tmp_path / "nothing there"), None).tell("READY=1")
