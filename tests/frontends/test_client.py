"""The client of the public API against a service that misbehaves: a real server that fails on demand."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from control_plane.wire.job import ArtifactView, Cost, JobUrls, JobView, SubmitRequest
from frontends.client import Client, connect
from frontends.problems import Damaged, Refused, Unreachable

JOB_ID = UUID(int=7)
FILE = bytes(range(256)) * 4096
JOB = JobView(
    id=JOB_ID,
    status="queued",
    kind="image",
    model="testcard",
    prompt="x",
    negative_prompt="",
    width=64,
    height=64,
    steps=1,
    guidance=7.0,
    seed=1,
    count=1,
    frames=None,
    fps=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    started_at=None,
    finished_at=None,
    waiting=None,
    progress=None,
    artifacts=[],
    cost=Cost(held=1, charged=0),
    error=None,
    metadata={},
    urls=JobUrls(self="", cancel=""),
)


class Fault(msgspec.Struct, frozen=True):
    """How one request is answered instead of properly."""

    status: int = 503
    body: bytes = b""
    headers: dict[str, str] = {}
    hang_up: bool = False


class Standin:
    """A service that knows one job and one file, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.faults: deque[Fault] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.file = FILE
        self.cut_at: deque[int] = deque()
        """After how many bytes the next downloads break off."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, dict(request.headers)))
        if self.faults:
            return await self._fail(request, self.faults.popleft())
        if request.path == "/file":
            return await self._file(request)
        return web.Response(body=msgspec.json.encode(JOB), content_type="application/json")

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang_up:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=fault.status, body=fault.body, headers=fault.headers)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        rest = self.file[start:]
        response = web.StreamResponse(status=206 if found else 200, headers={"Content-Length": str(len(rest))})
        await response.prepare(request)
        if self.cut_at:
            await response.write(rest[: self.cut_at.popleft()])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(rest)
        return response

    @property
    def artifact(self) -> ArtifactView:
        return ArtifactView(
            index=0,
            url=f"{self.url}/file",
            mime_type="image/png",
            width=1,
            height=1,
            bytes=len(FILE),
            sha256=hashlib.sha256(FILE).hexdigest(),
        )


@asynccontextmanager
async def _standin() -> AsyncIterator[Standin]:
    standin = Standin()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", standin.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    standin.url = site.name if not site.name.endswith(":0") else f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield standin
    finally:
        await runner.cleanup()


@pytest.fixture
async def standin() -> AsyncIterator[Standin]:
    async with _standin() as service:
        yield service


@pytest.fixture
async def client(standin: Standin) -> AsyncIterator[Client]:
    async with connect(standin.url, "tsk_key", patience_seconds=10.0) as client:
        yield client


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503),
        Fault(500, b"not json"),
        Fault(429, headers={"Retry-After": "0"}),
        Fault(200, b'{"half an ans'),
        Fault(200, b'{"id": 5}'),
        Fault(hang_up=True),
    ],
)
async def test_an_order_is_repeated_under_one_key_until_the_answer_is_known(
    standin: Standin, client: Client, fault: Fault
) -> None:
    standin.faults.extend([fault, fault])
    job = await client.submit(SubmitRequest(prompt="x"))
    assert job.id == JOB_ID
    keys = {headers["Idempotency-Key"] for _, headers in standin.requests}
    assert len(standin.requests) == 3
    assert len(keys) == 1
    await client.submit(SubmitRequest(prompt="x"))
    assert standin.requests[-1][1]["Idempotency-Key"] not in keys


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_is_final_and_tells_why(standin: Standin, client: Client, status: int) -> None:
    problem = {
        "detail": "too big",
        "errors": [{"pointer": "/width", "detail": "at most 4096"}] if status == 422 else [],
    }
    standin.faults.append(Fault(status, msgspec.json.encode(problem)))
    with pytest.raises(Refused) as refused:
        await client.submit(SubmitRequest(prompt="x"))
    assert len(standin.requests) == 1
    expected = {401: "does not know this API key", 422: "width: at most 4096"}.get(status, "too big")
    assert expected in refused.value.sentence


async def test_a_wait_longer_than_our_patience_is_not_waited(standin: Standin, client: Client) -> None:
    standin.faults.append(Fault(429, b'{"detail": "slow down"}', {"Retry-After": "3600"}))
    with pytest.raises(Refused, match="slow down"):
        await client.job(JOB_ID)
    assert len(standin.requests) == 1


async def test_a_page_that_is_no_service_of_ours_is_a_sentence(standin: Standin, client: Client) -> None:
    standin.faults.append(Fault(404, b"<html>nginx</html>"))
    with pytest.raises(Refused, match="is this the right address"):
        await client.job(JOB_ID)


async def test_nobody_there_is_a_sentence() -> None:
    async with connect("http://127.0.0.1:9", "tsk_key", patience_seconds=0.5) as client:
        with pytest.raises(Unreachable, match=r"http://127.0.0.1:9 does not answer \(connect"):
            await client.job(JOB_ID)


async def test_an_address_that_is_none_is_a_sentence() -> None:
    async with connect("not an address", "tsk_key", patience_seconds=0.5) as client:
        with pytest.raises(Unreachable, match="not an address"):
            await client.job(JOB_ID)


async def test_a_download_goes_on_where_it_broke_off(standin: Standin, client: Client, tmp_path: Path) -> None:
    standin.cut_at.extend([300_000, 200_000])
    await client.download(standin.artifact, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == FILE
    ranges = [headers.get("Range") for _, headers in standin.requests]
    assert ranges[0] is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:] if asked]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] <= 500_000
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


async def test_a_download_sends_no_credential_beyond_the_signed_address(
    standin: Standin, client: Client, tmp_path: Path
) -> None:
    await client.download(standin.artifact, tmp_path / "out.png")
    assert "Authorization" not in standin.requests[-1][1]


@pytest.mark.parametrize("file", [FILE[:-1] + b"x", FILE + b"more"])
async def test_a_file_that_is_not_as_announced_never_appears(
    standin: Standin, client: Client, tmp_path: Path, file: bytes
) -> None:
    standin.file = file
    with pytest.raises(Damaged):
        await client.download(standin.artifact, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


async def test_a_download_that_brings_nothing_is_given_up(standin: Standin, tmp_path: Path) -> None:
    standin.cut_at.extend([0] * 1_000)
    async with connect(standin.url, "tsk_key", patience_seconds=1.0) as client:
        with pytest.raises(Unreachable):
            await client.download(standin.artifact, tmp_path / "out.png")
    assert len(standin.requests) >= 2
    assert list(tmp_path.iterdir()) == []


async def test_a_service_that_announces_loopback_is_called_where_we_found_it() -> None:
    async with connect("http://gpu.lan:8000", "tsk_key") as client:
        assert client._reachable("http://127.0.0.1:8000/file?s=1") == "http://gpu.lan:8000/file?s=1"
        assert client._reachable("/file?s=1") == "http://gpu.lan:8000/file?s=1"
        assert client._reachable("https://bucket.example/file") == "https://bucket.example/file"
    async with connect("http://127.0.0.1:8000", "tsk_key") as client:
        assert client._reachable("http://127.0.0.1:8000/file") == "http://127.0.0.1:8000/file"
        here = "http://127.0.0.1:8000/artifacts/1/0?s=1"
        assert client._reachable("https://192.168.1.5:8443/artifacts/1/0?s=1") == here
        assert client._reachable("https://bucket.example/file") == "https://bucket.example/file"
