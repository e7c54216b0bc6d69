"""A quarantined file is nowhere: by no address, in no list, in no process; and it comes back as what it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane import audit
from control_plane.api import artifacts as downloads
from control_plane.conduct import quarantine
from control_plane.errors import NotFound
from tests.fixtures.api import API, Plane
from tests.fixtures.worker import Service, picture, serving, weighty

PROMISE_SECONDS = 5.0


@pytest.fixture
async def other(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A second control plane on the same database and store; neither hears the other."""
    store = tmp_path / "artifacts"
    async with serving(database_url, tmp_path / "other", artifacts_dir=store, hints=False) as service:
        yield service


@pytest.fixture
async def plane(database_url: str, tmp_path: Path) -> AsyncIterator[Plane]:
    async with serving(database_url, tmp_path, artifacts_dir=tmp_path / "artifacts", hints=False) as service:
        admin = Plane(service, service.user_id, "")
        yield Plane(service, service.user_id, await admin.key_of(service.user_id, ["read", "submit", "admin"]))


async def act(plane: Plane, verb: str, job: dict[str, Any], body: object = None, index: int = 0) -> Any:
    path = f"{API}/admin/artifacts/{job['id']}/{index}/{verb}"
    return await plane.call("POST", path, plane.admin_key, body)


async def test_a_quarantined_file_leaves_every_address_and_list_in_every_process(plane: Plane, other: Service) -> None:
    job = await plane.service.done()
    url = job["artifacts"][0]["url"]
    elsewhere = other.url + url.removeprefix(plane.url)
    assert (await other.get(elsewhere)).status == (await plane.service.get(url)).status == 200

    before = time.monotonic()
    assert (await act(plane, "quarantine", job, {"reason": "a real person"})).status == 204
    for service, address in ((plane.service, url), (other, elsewhere)):
        gone = await service.get(address)
        assert (gone.status, gone.code) == (410, "gone")
        assert (await service.get(address, "HEAD")).status == 410
        assert (await service.get(address, Range="bytes=0-3")).status == 410
        key = plane.service.key
        assert (await service.as_customer(f"{API}/jobs/{job['id']}/artifacts/0", key=key)).status == 410
        seen = (await service.as_customer(f"{API}/jobs/{job['id']}", key=key)).json
        listed = (await service.as_customer(f"{API}/jobs", key=key)).json["data"]
        assert (seen["status"], seen["artifacts"]) == ("succeeded", [])
        assert [found["artifacts"] for found in listed if found["id"] == job["id"]] == [[]]
    assert time.monotonic() - before < PROMISE_SECONDS

    assert (await act(plane, "restore", job)).status == 204
    for service, address in ((plane.service, url), (other, elsewhere)):
        assert (await service.get(address)).body == picture()
        seen = (await service.as_customer(f"{API}/jobs/{job['id']}", key=plane.service.key)).json
        assert len(seen["artifacts"]) == 1


async def test_a_browser_keeps_a_file_no_longer_than_the_promise(plane: Plane) -> None:
    url = (await plane.service.done())["artifacts"][0]["url"]
    answered = await plane.service.get(url)
    directives = dict(part.strip().partition("=")[::2] for part in answered.headers["Cache-Control"].split(","))
    assert float(directives["max-age"]) <= PROMISE_SECONDS
    assert (await plane.service.get(url, **{"If-None-Match": answered.headers["ETag"]})).status == 304


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 2**20):
        yield data[start : start + 2**20]


async def test_a_download_that_is_under_way_ends(plane: Plane) -> None:
    """A slow reader of a large file gets no more of it than what was already on the way."""
    large = weighty(64 * 1024**2)
    lease = await plane.service.leased()
    assert (await plane.service.hands.upload(lease, large, chunks=parts(large))).status == 200
    await plane.service.hands.complete(lease)
    job = await plane.service.job(lease.job_id)
    address = urlsplit(job["artifacts"][0]["url"])
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**16)
    writer.write(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    received = len(await reader.read(2**16))
    await act(plane, "quarantine", job, {})
    until = time.monotonic() + downloads.LOOK_SECONDS + PROMISE_SECONDS
    while time.monotonic() < until and (data := await reader.read(2**16)):
        received += len(data)
        await asyncio.sleep(0.02)  # at this pace the whole would take twenty seconds
    assert await reader.read(1) == b""
    writer.close()
    assert 2**16 < received < len(large)


@pytest.mark.parametrize("before", ["private", "shared"])  # published: see the gallery
async def test_a_file_comes_back_as_what_it_was(plane: Plane, owner_url: str, before: str) -> None:
    job = await plane.service.done()
    with psycopg.connect(owner_url, autocommit=True) as sql:
        sql.execute("update artifacts set visibility = %s where job_id = %s", [before, job["id"]])
        for _ in range(2):  # twice is once
            assert (await act(plane, "quarantine", job, {})).status == 204
        found = sql.execute("select visibility, visibility_before from artifacts where job_id = %s", [job["id"]])
        assert found.fetchall() == [("quarantined", before)]
        for _ in range(2):
            assert (await act(plane, "restore", job)).status == 204
        found = sql.execute("select visibility, visibility_before from artifacts where job_id = %s", [job["id"]])
        assert found.fetchall() == [(before, None)]
    lines = await audit.entries(plane.context.database, object=("artifact", f"{job['id']}/0"), limit=10)
    assert [(line.actor_kind, line.actor_id, line.verb) for line in lines] == [
        ("user", str(plane.admin_id), "restore"),
        ("user", str(plane.admin_id), "quarantine"),
    ]


async def test_what_is_not_there_is_not_quarantined(plane: Plane) -> None:
    done, queued = await plane.service.done(), {"id": str(await plane.service.order())}
    for verb, body in (("quarantine", {}), ("restore", None)):
        assert (await act(plane, verb, done, body, index=1)).status == 404
        assert (await act(plane, verb, done, body, index=64)).status == 404
        assert (await act(plane, verb, queued, body)).status == 404
        assert (await act(plane, verb, {"id": uuid4()}, body)).status == 404
    too_long = await act(plane, "quarantine", done, {"reason": "x" * 301})
    assert (too_long.status, too_long.code) == (422, "invalid")
    assert await audit.entries(plane.context.database, kind="artifact", limit=10) == []


async def test_a_quarantined_file_may_still_be_erased_by_its_owner(plane: Plane) -> None:
    job = await plane.service.done()
    await act(plane, "quarantine", job, {})
    assert (await plane.service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204
    with pytest.raises(NotFound):
        await quarantine.restore(plane.context.database, UUID(job["id"]), 0, audit.OPERATOR)
    assert plane.service.files() == []
