"""What the agent tells and obeys on its own machine."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agent.agent import Agent
from agent.console import NotRunning, ask
from agent.engine import EngineError
from agent.local import PortTaken
from agent.settings import Settings
from tests.fixtures.agent import Rig, order, rig
from tests.standins.control_plane import PATIENCE_SECONDS


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _call(it: Rig, method: str, path: str, **options: Any) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{it.agent.duty.settings.local_port}{path}"
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        aiohttp.ClientSession() as session,
        session.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.read()


def _settings(agent: Agent) -> Settings:
    return agent.duty.settings


async def test_status_tells_what_runs_and_how_the_control_plane_is_reached(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True) as it:
        job_id = await it.order("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("started"))
        await it.plane.until(lambda: it.agent.duty.answered_at)
        status = await ask(_settings(it.agent), "status")
        assert (status.state, status.name, status.url) == ("working", "stand-in", it.plane.url)
        assert [(lease.job_id, lease.stage) for lease in status.slots[0].leases] == [(str(job_id), "running")]
        it.engine.finish("a lighthouse")


async def test_the_control_socket_pauses_resumes_and_drains(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        assert (await ask(_settings(it.agent), "pause")).state == "paused"
        assert (await ask(_settings(it.agent), "resume")).state == "waiting"
        assert (await ask(_settings(it.agent), "drain")).state == "draining"
        await it.end()


async def test_only_the_owner_may_open_the_control_socket_and_it_goes_with_the_agent(tmp_path: Path) -> None:
    async with rig(tmp_path / ("deep" * 30)) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        file = _settings(it.agent).socket_file
        assert file.stat().st_mode & 0o077 == 0
        assert (await ask(_settings(it.agent), "status")).state == "waiting"
    assert not file.exists()
    with pytest.raises(NotRunning, match="No agent is running"):
        await ask(_settings(it.agent), "status")


async def test_a_job_can_be_tried_without_a_control_plane_and_its_file_is_there(tmp_path: Path) -> None:
    async with rig(tmp_path, settings={"local_port": _free_port()}) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        status, body = await _call(
            it, "POST", "/run_job", data=msgspec.json.encode(order("x")), headers={"Content-Type": "application/json"}
        )
        file = msgspec.json.decode(body)["files"][0]
        assert status == 200
        assert Path(file["path"]).stat().st_size == file["bytes"]
        it.engine.error = EngineError("oom", "too large")
        status, body = await _call(it, "POST", "/run_job", json=msgspec.to_builtins(order("x")))
        assert (status, msgspec.json.decode(body)["code"]) == (502, "oom")


async def test_a_bad_job_is_refused_with_the_reason_and_a_busy_engine_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path, patient=True, settings={"local_port": _free_port()}) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        status, body = await _call(it, "POST", "/run_job", json={"kind": "image"})
        assert status == 422
        assert b"missing required field" in body
        await it.order("long")
        await it.running("long")
        status, _ = await _call(it, "POST", "/run_job", json=msgspec.to_builtins(order("x")))
        assert status == 409


async def test_web_pages_cannot_use_the_endpoint(tmp_path: Path) -> None:
    async with rig(tmp_path, settings={"local_port": _free_port()}) as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        status, _ = await _call(it, "GET", "/health", headers={"Host": "rebound.example:80"})
        assert status == 403
        status, _ = await _call(it, "POST", "/run_job", data=b"{}", headers={"Content-Type": "text/plain"})
        assert status == 415
        for verb in ("drain", "pause", "resume"):
            status, _ = await _call(it, "POST", f"/{verb}")
            assert status == 404


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def begin() -> None:
            async with rig(tmp_path, settings={"local_port": port}) as it:
                await it.end()

        with pytest.raises(ExceptionGroup) as caught:
            await begin()
        assert caught.group_contains(PortTaken, match=f"Port {port}")


async def test_health_capabilities_and_metrics_are_told(tmp_path: Path) -> None:
    async with rig(tmp_path, settings={"local_port": _free_port()}) as it:
        await it.plane.until(lambda: it.agent.duty.answered_at)
        status, body = await _call(it, "GET", "/health")
        assert (status, msgspec.json.decode(body)["healthy"]) == (200, True)
        status, body = await _call(it, "GET", "/capabilities")
        assert msgspec.json.decode(body)[0]["capabilities"] == [{"kind": "image", "model": "fake", "tasks": []}]
        status, body = await _call(it, "GET", "/metrics")
        assert b"tessera_agent_idle_gap_seconds_count 0" in body
