"""`tessera generate` as a program of its own against the real control plane; the worker's part is done by hand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.wire.worker import Lease
from tests.fixtures.worker import Service, picture, serving

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Program:
    """A running `tessera generate` of the service's customer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self) -> tuple[int, str, str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        assert "Traceback" not in err.decode()
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(database_url, tmp_path / "plane") as service:
        yield service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    return made


async def generate(service: Service, folder: Path, *words: str, **environ: str) -> Program:
    chosen = {"TESSERA_URL": service.url, "TESSERA_API_KEY": service.key, "TESSERA_DATA_DIR": str(folder / "none")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane", "generate", *words),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **chosen, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Program(process)


async def lease(service: Service) -> Lease:
    """The order, when it has come, begun by the worker."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (leases := await service.hands.claim(wait=5)):
            pass
    await service.hands.start(leases[0])
    return leases[0]


async def deliver(service: Service, held: Lease, count: int = 1) -> list[bytes]:
    colours = ["teal", "gold", "coral", "navy"][:count]
    for index, colour in enumerate(colours):
        uploaded = await service.hands.upload(held, picture(colour), index)
        assert uploaded.status == 200
    completed = await service.hands.complete(held, count)
    assert completed.json["state"] == "succeeded"
    return [picture(colour) for colour in colours]


async def test_a_picture_is_ordered_followed_and_saved(service: Service, folder: Path) -> None:
    program = await generate(service, folder, "a lighthouse", "-o", "out.png", "--size", "64x128", "--seed", "7")
    held = await lease(service)
    assert (held.spec.prompt, held.spec.width, held.spec.height, held.spec.seed) == ("a lighthouse", 64, 128, 7)
    [drawn] = await deliver(service, held)
    code, out, err = await program.end()
    assert (code, out) == (0, "out.png\n")
    assert (folder / "out.png").read_bytes() == drawn
    assert err.splitlines()[0].startswith("queued")
    assert "Seed 7 makes it again." in err


async def test_several_pictures_get_numbers_and_json_names_them(service: Service, folder: Path) -> None:
    program = await generate(service, folder, "x", "--count", "3", "-o", "season.png", "--json")
    drawn = await deliver(service, await lease(service), 3)
    code, out, _ = await program.end()
    told = json.loads(out)
    assert code == 0
    assert (told["status"], told["files"]) == ("succeeded", ["season-1.png", "season-2.png", "season-3.png"])
    assert [(folder / name).read_bytes() for name in told["files"]] == drawn


async def test_a_default_name_comes_from_the_prompt_and_overwrites_nothing(service: Service, folder: Path) -> None:
    (folder / "a-red-fox.png").write_bytes(b"mine")
    program = await generate(service, folder, "A red fox!")
    await deliver(service, await lease(service))
    assert (await program.end())[:2] == (0, "a-red-fox-2.png\n")
    assert (folder / "a-red-fox.png").read_bytes() == b"mine"


async def test_ctrl_c_cancels_the_job(service: Service, folder: Path) -> None:
    program = await generate(service, folder, "x", "-o", "out.png")
    held = await lease(service)
    program.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await service.job(held.job_id))["status"] != "canceling":
            await service.hands.call("/heartbeat", {"leases": []})
    assert (await service.hands.release(held, "canceled")).json["state"] == "canceled"
    code, out, err = await program.end()
    assert (code, out) == (130, "")
    assert err.endswith("The job is canceled.\n")
    assert list(folder.iterdir()) == []


async def test_ctrl_c_while_waiting_cancels_at_once(service: Service, folder: Path) -> None:
    program = await generate(service, folder, "x")
    assert program.process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await program.process.stderr.readline()).startswith(b"queued")
    program.process.send_signal(signal.SIGINT)
    code, _, err = await program.end()
    assert code == 130
    assert "The job is canceled." in err
    [job] = (await service.as_customer("/api/v1/jobs")).json["data"]
    assert job["status"] == "canceled"


async def test_a_job_that_fails_says_why(service: Service, folder: Path) -> None:
    program = await generate(service, folder, "x", "--json")
    held = await lease(service)
    await service.hands.fail(held, "invalid_input")
    code, out, err = await program.end()
    assert code == 1
    assert json.loads(out)["error"]["code"] == "invalid_input"
    assert "The job failed: The engine refused the order as impossible." in err


async def test_a_job_that_does_not_start_in_time_expires(service: Service, folder: Path) -> None:
    code, out, err = await (await generate(service, folder, "x", "--max-wait", "1")).end()
    assert (code, out) == (1, "")
    assert "The job has expired: The job did not start within its max_wait." in err


async def test_what_the_service_refuses_is_told_by_field(service: Service, folder: Path) -> None:
    code, _, err = await (await generate(service, folder, "x", "--frames", "8", "--size", "4096x4096")).end()
    assert code == 64
    assert "width: testcard makes at most" in err
    assert "frames: Only a video has this." in err


async def test_a_wrong_key_orders_nothing(service: Service, folder: Path) -> None:
    code, out, err = await (await generate(service, folder, "x", TESSERA_API_KEY="tsk_wrong")).end()
    assert (code, out) == (77, "")
    assert "does not know this API key" in err
    assert (await service.as_customer("/api/v1/jobs")).json["data"] == []


async def test_what_a_plan_or_a_balance_does_not_allow_is_told_in_its_words(service: Service, folder: Path) -> None:
    """Nobody is told to try again what will not work; tokens come back, a plan does not change by waiting."""
    async with service.context.database.connection() as connection:
        await connection.execute("update users set plan = 'free' where id = %s", [service.user_id])
    program = await generate(service, folder, "a lighthouse", "--size", "2048x2048")
    code, _, err = await program.end()
    assert code == 77
    assert "Your plan free makes pictures of at most 1048576 pixels" in err
    assert "Plans that allow it: house, pro." in err
    program = await generate(service, folder, "a lighthouse", "--steps", "150", "--count", "4")
    code, _, err = await program.end()
    assert (code, "This costs 30 tokens and you have 25" in err) == (75, True)
