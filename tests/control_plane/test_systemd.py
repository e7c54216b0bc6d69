"""What systemd hears of the control plane: ready once it answers, alive, and that it goes."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

from control_plane import embedded
from control_plane.app import Server
from control_plane.settings import Settings
from control_plane.wire import systemd
from tests.fixtures.postgres import Postgres
from tests.fixtures.worker import free_port

PATIENCE_SECONDS = 20.0


async def heard(link: socket.socket) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await asyncio.get_running_loop().sock_recv(link, 4_096)).decode().splitlines()


async def test_systemd_is_told_when_it_answers_that_it_lives_and_that_it_goes(
    postgres: Postgres, database_name: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port(), disk_reserve_bytes=0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.setblocking(False)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        server = Server(settings, postgres.url(database_name, embedded.APP), systemd.from_environment(environ))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve())
            status = f"STATUS=answers at port {settings.port}"
            assert await heard(link) == ["READY=1", status]
            with await asyncio.to_thread(urllib.request.urlopen, f"{settings.base_url}/healthz") as answer:
                assert answer.status == 200
            assert await heard(link) == ["WATCHDOG=1", status]
            server.stop()
            while await heard(link) != ["STOPPING=1"]:
                pass
