"""Files on their way in, over HTTP, by the real control plane on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace

from control_plane.files.artifacts import UPLOADS_PER_WORKER_MAX
from control_plane.wire.worker import ARTIFACT_SHA256_HEADER, LEASE_TOKEN_HEADER
from tests.fixtures.worker import Service, attempt, enrolled, picture, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 10.0


class Slowly:
    """A body that is sent in two halves: the second when the test says so."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.halfway = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        middle = len(self.data) // 2
        yield self.data[:middle]
        self.halfway.set()
        await self.go_on.wait()
        yield self.data[middle:]


async def until_stored(service: Service, files: int) -> None:
    """Wait until so many files, temporary ones too, lie in the store."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(service.files()) != files:  # a folder tells nobody
            await asyncio.sleep(0.01)


async def test_what_an_agent_uploads_is_what_its_customer_downloads(service: Service) -> None:
    job = await service.done(picture("gold"))
    [artifact] = job["artifacts"]
    assert (artifact["mime_type"], artifact["width"], artifact["height"]) == ("image/png", 40, 24)
    assert artifact["sha256"] == hashlib.sha256(picture("gold")).hexdigest()
    got = await service.get(artifact["url"])
    assert (got.status, got.body) == (200, picture("gold"))


async def test_a_file_lies_under_a_name_of_the_servers_making(service: Service) -> None:
    job = await service.done()
    [name] = service.files()
    assert re.fullmatch(rf"jobs/{job['id']}/1/0-[0-9a-f]{{16}}", name)


async def test_a_wrong_hash_is_refused_and_nothing_stays(service: Service) -> None:
    lease = await service.leased()
    answered = await service.hands.upload(lease, picture(), headers={ARTIFACT_SHA256_HEADER: "0" * 64})
    assert (answered.status, answered.code) == (422, "artifact-mismatch")
    assert service.files() == []
    assert (await service.hands.complete(lease)).code == "artifacts-missing"


async def test_an_upload_that_breaks_off_leaves_nothing_and_may_be_repeated(service: Service) -> None:
    lease = await service.leased()
    slowly = Slowly(picture())
    upload = asyncio.create_task(service.hands.upload(lease, slowly.data, chunks=slowly))
    await slowly.halfway.wait()
    await until_stored(service, 1)
    upload.cancel()
    await until_stored(service, 0)
    assert (await service.hands.upload(lease, picture())).status == 200


@pytest.mark.parametrize("data", [b"<html><script>alert(1)</script></html>", b"GIF89a" + b"\0" * 50, picture()[:-3]])
async def test_a_file_of_another_type_is_refused_whatever_it_is_called(service: Service, data: bytes) -> None:
    lease = await service.leased()
    answered = await service.hands.upload(lease, data, headers={"Content-Type": "image/png"})
    assert (answered.status, answered.code) == (415, "unsupported-media-type")
    assert service.files() == []


async def test_length_and_hash_must_be_announced(service: Service) -> None:
    lease = await service.leased()
    path, token = f"{attempt(lease)}/artifacts/0", {LEASE_TOKEN_HEADER: str(lease.token)}
    sha256 = {ARTIFACT_SHA256_HEADER: "0" * 64}

    async def body() -> AsyncIterator[bytes]:
        yield picture()

    for headers, pointer in ((token, "Tessera-Content-SHA256"), (sha256, "Tessera-Lease-Token")):
        answered = await service.hands.request("PUT", path, headers, picture())
        assert (answered.status, answered.json["errors"][0]["pointer"]) == (422, pointer)
    answered = await service.hands.request("PUT", path, {**token, **sha256}, body())
    assert (answered.status, answered.json["errors"][0]["pointer"]) == (422, "Content-Length")


async def test_only_as_many_files_as_were_ordered_are_taken(service: Service) -> None:
    lease = await service.leased(count=2)
    assert [(await service.hands.upload(lease, picture(), index)).status for index in (0, 1, 2, 63, 64, 10**9)] == [
        200,
        200,
        422,
        422,
        422,
        422,
    ]
    assert (await service.hands.complete(lease, 2)).json["state"] == "succeeded"


async def test_the_same_file_again_gets_the_same_answer_and_another_one_is_refused(service: Service) -> None:
    lease = await service.leased()
    first = await service.hands.upload(lease, picture())
    again = await service.hands.upload(lease, picture())
    assert (first.status, first.json) == (again.status, again.json)
    other = await service.hands.upload(lease, picture("red"))
    assert (other.status, other.code) == (422, "artifact-mismatch")
    assert len(service.files()) == 1


@pytest.mark.parametrize("colour", ["teal", "red"])
async def test_of_two_uploads_of_one_index_at_once_one_file_stays(service: Service, colour: str) -> None:
    lease = await service.leased()
    one, two = Slowly(picture("teal")), Slowly(picture(colour))
    async with asyncio.TaskGroup() as tasks:
        uploads = [tasks.create_task(service.hands.upload(lease, slow.data, chunks=slow)) for slow in (one, two)]
        await until_stored(service, 2)
        one.go_on.set()
        two.go_on.set()
    statuses = sorted(upload.result().status for upload in uploads)
    assert statuses == ([200, 200] if colour == "teal" else [200, 422])
    assert len(service.files()) == 1
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"


async def test_a_stale_fence_uploads_nothing(service: Service) -> None:
    lease = await service.leased()
    other = await enrolled(service.context, service.session, "other")
    wrong = [
        replace(lease, token=uuid4()),
        replace(lease, attempt=2),
        replace(lease, job_id=uuid4()),
    ]
    answers = [await service.hands.upload(stale, picture()) for stale in wrong]
    answers.append(await other.upload(lease, picture()))
    assert {(answered.status, answered.code) for answered in answers} == {(409, "lease-lost")}
    await service.hands.release(lease)
    assert (await service.hands.upload(lease, picture())).code == "lease-lost"
    assert service.files() == []


@pytest.mark.parametrize("claimed_again", [False, True], ids=["and-stays-lost", "and-the-same-worker-runs-it-anew"])
async def test_a_lease_that_is_lost_during_the_upload_leaves_no_file(service: Service, claimed_again: bool) -> None:
    lease = await service.leased()
    slowly = Slowly(picture())
    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(service.hands.upload(lease, slowly.data, chunks=slowly))
        await until_stored(service, 1)
        await service.hands.release(lease)
        anew = await service.hands.claim(wait=5) if claimed_again else []
        slowly.go_on.set()
    assert (upload.result().status, upload.result().code) == (409, "lease-lost")
    assert service.files() == []
    assert [(await service.hands.complete(second)).code for second in anew] == ["artifacts-missing"] * claimed_again


async def test_a_worker_that_is_revoked_during_the_upload_leaves_no_file(service: Service) -> None:
    lease = await service.leased()
    slowly = Slowly(picture())
    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(service.hands.upload(lease, slowly.data, chunks=slowly))
        await until_stored(service, 1)
        await service.context.dispatcher.revoke(service.hands.worker_id)
        slowly.go_on.set()
    assert upload.result().status == 409
    assert service.files() == []


async def test_nothing_of_a_stale_attempt_is_ever_seen(service: Service) -> None:
    first = await service.leased()
    assert (await service.hands.upload(first, picture("red"))).status == 200
    assert (await service.get(service.signed(first.job_id))).status == 404
    await service.hands.release(first)
    [second] = await service.hands.claim(wait=5)
    assert second.attempt > first.attempt
    assert (await service.hands.complete(second)).code == "artifacts-missing"
    assert (await service.hands.upload(second, picture("green"))).status == 200
    assert (await service.hands.complete(second)).json["state"] == "succeeded"
    [artifact] = (await service.job(second.job_id))["artifacts"]
    assert (await service.get(artifact["url"])).body == picture("green")
    assert (await service.hands.upload(second, picture("blue"))).code == "lease-lost"


async def test_an_upload_that_stalls_is_given_up(service: Service) -> None:
    lease = await service.leased()
    service.context.uploads.idle_seconds = 0.1
    slowly = Slowly(picture())
    answered = await service.hands.upload(lease, slowly.data, chunks=slowly)
    assert (answered.status, answered.code) == (504, "deadline-exceeded")
    assert service.files() == []


async def test_a_worker_has_so_many_uploads_at_once_and_no_more(service: Service) -> None:
    lease = await service.leased(count=4)
    slow = [Slowly(picture("teal")) for _ in range(UPLOADS_PER_WORKER_MAX)]
    async with asyncio.TaskGroup() as tasks:
        uploads = [
            tasks.create_task(service.hands.upload(lease, one.data, number % 4, chunks=one))
            for number, one in enumerate(slow)
        ]
        await until_stored(service, UPLOADS_PER_WORKER_MAX)
        one_more = await service.hands.upload(lease, picture())
        for one in slow:
            one.go_on.set()
    assert (one_more.status, one_more.code) == (429, "too-many-waiting")
    assert int(one_more.headers["Retry-After"]) >= 1
    assert [upload.result().status for upload in uploads] == [200] * UPLOADS_PER_WORKER_MAX
    assert (await service.hands.complete(lease, 4)).json["state"] == "succeeded"


async def test_a_file_that_is_too_large_is_refused_unread(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, artifact_bytes_max=64) as service:
        lease = await service.leased()
        answered = await service.hands.upload(lease, picture())
        assert (answered.status, answered.code) == (413, "too-large")


async def test_while_the_disk_is_low_nothing_new_is_taken_and_what_was_taken_is_brought_home(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path) as service:
        lease, disk = await service.leased(), service.context.disk
        assert await told_of_disk(service) == ("ok", 0.0)
        disk.reserve_bytes = 2**60
        answered = await service.hands.upload(lease, picture())
        assert (answered.status, answered.code) == (503, "disk-low"), "not even the database's own share is free"
        assert int(answered.headers["Retry-After"]) >= 1
        disk.reserve_bytes = disk.free_bytes() * 2
        assert await told_of_disk(service) == ("low", 1.0)
        refused = await service.session.post(
            service.url + "/api/v1/jobs",
            json={"prompt": "x"},
            headers={"Authorization": f"Bearer {service.key}"},
        )
        assert (refused.status, (await refused.json())["code"]) == (503, "disk-low")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await service.hands.upload(lease, picture())).status == 200
        assert (await service.hands.complete(lease)).json["state"] == "succeeded"
        disk.reserve_bytes = 0
        assert await told_of_disk(service) == ("ok", 0.0)


async def told_of_disk(service: Service) -> tuple[str, float]:
    """What readiness and the gauge say."""
    said = (await service.get("/metrics")).body.decode()
    [low] = [line.split()[1] for line in said.splitlines() if line.startswith("tessera_disk_low ")]
    return str((await service.get("/readyz")).json["disk"]), float(low)
