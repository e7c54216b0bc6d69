"""The real program in a process of its own: commands, signals and exit codes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from agent import credential
from agent.credential import Credential
from control_plane.wire.job import JobSpec
from tests.standins.comfyui.server import standing_in
from tests.standins.control_plane import PATIENCE_SECONDS, TOKEN, ControlPlane, control_plane

ROOT = Path(__file__).parents[2]


def _order(prompt: str = "a lighthouse") -> JobSpec:
    return JobSpec(kind="image", model="testcard", prompt=prompt, width=64, height=64, steps=4, seed=1)


async def _start(folder: Path, *arguments: str, stdin: bytes = b"") -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "agent", *arguments, "--dir", str(folder)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    return process


async def _finish(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def _command(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    return await _finish(await _start(folder, *arguments, stdin=stdin))


@asynccontextmanager
async def _enrolled(folder: Path) -> AsyncIterator[ControlPlane]:
    """As if `enroll` had been called."""
    async with control_plane() as plane:
        secret = credential.new_secret()
        plane.secret_sha256 = credential.secret_sha256(secret)
        kept = Credential(url=plane.url, secret=secret, worker_id=plane.worker_id, name="den")
        credential.save(kept, folder / "credential.json")
        yield plane


@asynccontextmanager
async def _running(folder: Path, seconds: float) -> AsyncIterator[tuple[ControlPlane, asyncio.subprocess.Process]]:
    async with _enrolled(folder) as plane:
        process = await _start(folder, "run", "--engine", "testcard", "--testcard-seconds", str(seconds))
        try:
            yield plane, process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def test_enrolment_keeps_a_secret_that_only_its_hash_has_left(tmp_path: Path) -> None:
    async with control_plane() as plane:
        name = ("--name", "den")
        code, _, err = await _command(tmp_path, "enroll", plane.url, "-", *name, stdin=f"{TOKEN}\n".encode())
        assert code == 0, err
        file = tmp_path / "credential.json"
        kept = msgspec.json.decode(file.read_bytes())
        assert file.stat().st_mode & 0o777 == 0o600
        assert (kept["url"], kept["name"]) == (plane.url, "den")
        assert kept["secret"] not in str(plane.events)
        code, _, err = await _command(tmp_path, "enroll", plane.url, TOKEN)
        assert code == 78
        assert "--replace" in err


async def test_a_lost_answer_to_an_enrolment_is_asked_for_again(tmp_path: Path) -> None:
    async with control_plane() as plane:
        plane.hurt("enroll", "lose_answer")
        code, out, err = await _command(tmp_path, "enroll", plane.url, TOKEN, "--json")
        assert code == 0, err
        assert msgspec.json.decode(out)["worker_id"] == str(plane.worker_id)
        assert len(plane.seen("enrolled")) == 2


async def test_a_wrong_token_is_fatal_and_an_unreachable_address_worth_another_try(tmp_path: Path) -> None:
    async with control_plane() as plane:
        code, _, err = await _command(tmp_path, "enroll", plane.url, "tse_wrong-token")
        assert code == 1
        assert "Ask the operator" in err
        await plane.stop()
        code, _, err = await _command(tmp_path, "enroll", plane.url, TOKEN)
        assert code == 2
        assert "could not be reached" in err
    assert not (tmp_path / "credential.json").exists()


async def test_words_that_are_not_understood_are_a_sentence_and_no_reason_to_try_again(tmp_path: Path) -> None:
    for words in ((), ("fly",), ("enroll",), ("run", "--slots", "many")):
        code, _, err = await _command(tmp_path, *words)
        assert code == 64
        assert "Try: tessera-agent" in err
        assert "Traceback" not in err


async def test_the_first_sigterm_lets_the_run_finish(tmp_path: Path) -> None:
    async with _running(tmp_path, 1.0) as (plane, process):
        job_id = await plane.submit(_order())
        await plane.until(lambda: plane.seen("started"))
        process.send_signal(signal.SIGTERM)
        code, _, err = await _finish(process)
        assert code == 0, err
        assert len(plane.seen("complete", job_id)) == 1
        assert plane.files[job_id, 1, 0].startswith(b"\x89PNG")


async def test_the_second_sigterm_gives_the_leases_back_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with _running(tmp_path, 60.0) as (plane, process):
        job_id = await plane.submit(_order())
        await plane.until(lambda: plane.seen("started"))
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        await plane.until(lambda: plane.seen("heartbeat")[-1].detail.draining)
        process.send_signal(signal.SIGTERM)
        code, _, err = await _finish(process)
        assert code == 0, err
        assert plane.seen("release", job_id)[0].detail.reason == "shutdown"
        assert not [child for child in children if child.is_running()]
        assert not (tmp_path / "work").exists()


def _left(folder: Path) -> list[Path]:
    return [path for name in ("work", "leases") for path in (folder / name).iterdir()]


async def test_what_a_killed_agent_left_is_cleared_by_the_next_one(tmp_path: Path) -> None:
    async with _running(tmp_path, 60.0) as (plane, process):
        job_id = await plane.submit(_order())
        await plane.until(lambda: plane.seen("started"))
        process.kill()
        await process.communicate()
        assert list((tmp_path / "work").iterdir())
        assert [path.stat().st_mode & 0o777 for path in (tmp_path / "leases").iterdir()] == [0o600]
        await plane.revoke(job_id)
        again = await _start(tmp_path, "run", "--engine", "testcard")
        await plane.until(lambda: len(plane.seen("greeted")) == 2)
        await plane.until(lambda: plane.seen("heartbeat")[-1].detail.leases == [] and not _left(tmp_path))
        again.send_signal(signal.SIGTERM)
        assert (await _finish(again))[0] == 0


async def test_two_agents_never_share_a_state_folder(tmp_path: Path) -> None:
    async with _running(tmp_path, 1.0) as (plane, _):
        await plane.until(lambda: plane.seen("asked"))
        code, _, err = await _command(tmp_path, "run", "--engine", "testcard")
        assert code == 5
        assert "already running" in err


async def test_the_owner_sees_and_steers_the_running_agent(tmp_path: Path) -> None:
    async with _running(tmp_path, 1.0) as (plane, process):
        await plane.until(lambda: plane.seen("heartbeat"))
        code, out, _ = await _command(tmp_path, "status", "--json")
        assert (code, msgspec.json.decode(out)["pid"]) == (0, process.pid)
        code, out, _ = await _command(tmp_path, "drain")
        assert code == 0
        assert "draining" in out
        assert (await _finish(process))[0] == 0
        code, _, err = await _command(tmp_path, "status")
        assert code == 1
        assert "tessera-agent run" in err


async def test_the_doctor_draws_a_canary_and_names_a_cure(tmp_path: Path) -> None:
    async with _enrolled(tmp_path) as plane:
        code, out, err = await _command(tmp_path, "doctor", "--json")
        found = {check["name"]: check for check in msgspec.json.decode(out)}
        assert code == 0, out + err
        assert found["control plane"]["result"] == found["canary"]["result"] == "ok"
        plane.secret_sha256 = "somebody else's"
        code, out, _ = await _command(tmp_path, "doctor")
        assert code == 1
        assert "Enrol again" in out


async def test_every_workflow_says_what_keeps_it_from_running(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "comfyui") as machine:
        machine.process.nodes["UNETLoader"]["input"]["required"]["unet_name"][0] = []
        code, out, err = await _command(tmp_path, "workflows", "check", "--comfyui-url", machine.url)
        assert (code, err) == (0, "")
        assert "ready  sd15 " in out
        assert "lacks  wan22 " in out
        assert "diffusion_models/wan2.2_ti2v_5B_fp16.safetensors is not here." in out
    code, out, _ = await _command(tmp_path, "workflows", "--json", "--comfyui-url", machine.url)
    assert code == 0
    assert {row["missing"] for row in msgspec.json.decode(out)} == {None}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("run", "--engine", "comfyui", "--workflows", "/nowhere"), 78, "no workflow in /nowhere"),
        (("run", "--slots", "99"), 78, "a whole number from 1 to 16"),
        (("enroll", "ftp://example.org", TOKEN), 78, "is no address"),
    ],
)
async def test_what_cannot_be_configured_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    async with _enrolled(tmp_path):
        replacing = ("--replace",) if arguments[0] == "enroll" else ()
        found, _, err = await _command(tmp_path, *arguments, *replacing)
        assert found == code
        assert told in err
        assert "Traceback" not in err


async def test_an_agent_that_is_too_old_says_so_with_its_own_code(tmp_path: Path) -> None:
    async with _enrolled(tmp_path) as plane:
        plane.protocol = (2, 3)
        code, _, err = await _command(tmp_path, "run", "--engine", "testcard")
        assert code == 7
        assert "too old" in err


async def test_without_an_enrolment_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    code, _, err = await _command(tmp_path, "run")
    assert code == 78
    assert "tessera-agent enroll URL TOKEN" in err
