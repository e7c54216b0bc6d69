"""Artifacts in a bucket: the real control plane, the agent's own code and real clients on a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import aiohttp
import pytest
from msgspec.structs import replace

import frontends.client
from agent.agent import Agent
from agent.client import Client, Problem, connect
from agent.engine import Offer, Output, Preview
from agent.settings import Settings
from agent.transfer import Uploads
from control_plane import audit
from control_plane.conduct import quarantine
from control_plane.store.objects import ADDRESS_SECONDS
from control_plane.sweeper import Sweeper
from control_plane.wire.job import JobSpec, JobView, Progress
from control_plane.wire.worker import (
    ARTIFACT_SHA256_HEADER,
    DIRECT_BYTES_MIN,
    Capability,
    DirectRequest,
    Lease,
)
from tests.fixtures.bucket import SECRET_KEY, Bucket, gate
from tests.fixtures.marks import picture
from tests.fixtures.worker import Service, enrolled, serving, weighty

PATIENCE_SECONDS = 20.0
LARGE = weighty(DIRECT_BYTES_MIN)
PREFIX = "some/prefix/"


class Draughtsman:
    """An engine that draws one large picture at once."""

    name = "draughtsman"

    async def start(self) -> None:
        """Nothing to begin."""

    async def offer(self) -> Offer:
        return Offer(capabilities=[Capability(kind="image", model="testcard")], vram_gib=0, device="imagination")

    async def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Output, None]:
        (folder / "0.png").write_bytes(LARGE)
        yield Output(index=0, path=folder / "0.png", mime_type="image/png")

    def loaded(self) -> Capability | None:
        return None

    def worn(self) -> str | None:
        return None

    async def stop(self) -> None:
        """Nothing to end."""


@pytest.fixture
async def service(database_url: str, tmp_path: Path, bucket: Bucket) -> AsyncIterator[Service]:
    async with serving(database_url, tmp_path, artifacts_url=bucket.url) as made:
        yield made


@asynccontextmanager
async def agent_of(service: Service) -> AsyncIterator[Client]:
    async with connect(service.url, service.hands.secret) as client:
        yield client


def output(folder: Path, data: bytes) -> Output:
    path = folder / f"{uuid4().hex}.png"
    path.write_bytes(data)
    return Output(index=0, path=path, mime_type="image/png")


def announced(data: bytes) -> DirectRequest:
    return DirectRequest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 2**20):
        yield data[start : start + 2**20]


async def put(url: str, data: bytes) -> int:
    async with aiohttp.ClientSession() as session, session.put(url, data=io.BytesIO(data)) as response:
        return response.status


async def test_a_file_is_kept_in_the_bucket_and_fetched_from_there_by_redirect(
    service: Service, bucket: Bucket, capfd: pytest.CaptureFixture[str]
) -> None:
    job = await service.done(picture("gold"))
    [name] = bucket.names()
    assert name.startswith(f"{PREFIX}jobs/{job['id']}/1/0-")
    url = job["artifacts"][0]["url"]

    sent = await service.get(url)
    assert (sent.status, sent.body, sent.headers["Cache-Control"]) == (302, b"", "no-store")
    there = urlsplit(sent.headers["Location"])
    assert there.path == f"/{bucket.name}/{name}"
    assert parse_qs(there.query)["X-Amz-Expires"] == [str(ADDRESS_SECONDS)]
    async with service.session.get(url) as followed:  # as a browser does
        assert (followed.status, await followed.read()) == (200, picture("gold"))
        assert followed.url.path == there.path
        assert followed.headers["Content-Type"] == "image/png"
        assert followed.headers["Content-Disposition"] == f'inline; filename="tessera-{job["id"][-12:]}-0.png"'
        assert followed.headers["Cache-Control"] == "private, max-age=5"
    assert bucket.names() == [name], "the trial of the addresses has left nothing"

    logged = "".join(capfd.readouterr())
    assert "artifact.stored" in logged
    assert SECRET_KEY not in logged
    assert "X-Amz-Signature" not in logged


async def test_ranges_and_what_is_known_already_are_answered_from_here(service: Service) -> None:
    data = weighty(5 * 1024**2)
    lease = await service.leased()
    assert (await service.hands.upload(lease, data, chunks=parts(data))).status == 200
    await service.hands.complete(lease)
    url = (await service.job(lease.job_id))["artifacts"][0]["url"]
    part = await service.get(url, Range="bytes=4000000-4500000")
    assert (part.status, part.body) == (206, data[4_000_000:4_500_001])
    etag = part.headers["ETag"]
    assert etag == f'"{hashlib.sha256(data).hexdigest()}"'
    assert (await service.get(url, **{"Range": "bytes=5-", "If-Range": etag})).body == data[5:]
    whole = await service.get(url, **{"Range": "bytes=5-", "If-Range": '"other"'})
    assert (whole.status, whole.body) == (200, data)
    for known in (etag, f'"x", W/{etag}', "*"):
        assert (await service.get(url, **{"If-None-Match": known})).status == 304
    assert (await service.get(url, **{"If-None-Match": '"x"'})).status == 302
    head = await service.get(url, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.headers["ETag"]) == (200, str(len(data)), etag)
    assert (await service.get(url, Range=f"bytes={len(data)}-")).status == 416


async def test_a_wrong_hash_never_reaches_the_bucket(service: Service, bucket: Bucket) -> None:
    lease = await service.leased()
    refused = await service.hands.upload(lease, picture(), headers={ARTIFACT_SHA256_HEADER: "0" * 64})
    assert (refused.status, refused.code) == (422, "artifact-mismatch")
    assert (await service.hands.upload(lease, b"<html>" * 10)).code == "unsupported-media-type"
    assert bucket.names() == []
    assert list((service.context.settings.data_dir / "spool").iterdir()) == []


async def test_what_is_withdrawn_or_erased_is_sent_to_nobody(service: Service, bucket: Bucket) -> None:
    one, two = await service.done(picture("red")), await service.done(picture("blue"))
    url = one["artifacts"][0]["url"]
    assert (await service.get(url)).status == 302
    await quarantine.quarantine(service.context.database, UUID(one["id"]), 0, audit.OPERATOR)
    for headers in ({}, {"Range": "bytes=0-3"}):
        assert (await service.get(url, **headers)).status == 410
    assert (await service.as_customer(f"/api/v1/jobs/{two['id']}/artifacts", "DELETE")).status == 204
    assert [name for name in bucket.names() if two["id"] in name] == []
    assert (await service.get(two["artifacts"][0]["url"])).status == 410


async def test_an_agent_puts_a_large_file_there_itself(database_url: str, tmp_path: Path, bucket: Bucket) -> None:
    async with gate(bucket.endpoint) as (seen, endpoint):
        address = bucket.url.replace(bucket.endpoint, endpoint)
        async with (
            serving(database_url, tmp_path, artifacts_url=address) as service,
            agent_of(service) as client,
        ):
            lease = await service.leased()
            assert await Uploads(client).send(lease, output(tmp_path, LARGE)) == len(LARGE)
            [request] = seen.staged
            assert request.path.startswith(f"/{bucket.name}/{PREFIX}staging/{lease.job_id}/1/0-")
            assert "Authorization" not in request.headers, "the bucket must not see the secret of the worker"
            assert str(lease.token) not in request.raw_path
            assert (await service.hands.complete(lease)).json["state"] == "succeeded"
            [artifact] = (await service.job(lease.job_id))["artifacts"]
            assert artifact["sha256"] == hashlib.sha256(LARGE).hexdigest()
            async with service.session.get(artifact["url"]) as followed:
                assert await followed.read() == LARGE
                assert followed.headers["Content-Type"] == "image/png"
            [name] = bucket.names()
            assert name.startswith(f"{PREFIX}jobs/")


async def test_a_whole_agent_delivers_a_large_file_through_the_bucket(
    service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From claim to completion by the agent's own loops, and on by our own client, which follows the redirect."""
    chosen = Settings(dir=tmp_path / "agent", disk_free_gib_min=0.0)
    chosen.work_folder.mkdir(parents=True)
    async with agent_of(service) as client, asyncio.TaskGroup() as tasks:
        agent = Agent(chosen, client, [Draughtsman()])
        tasks.create_task(agent.run())
        job_id = await service.order()
        async with frontends.client.connect(service.url, service.key) as person:
            job = await _ended(person, job_id)
            assert job.status == "succeeded"
            await person.download(job.artifacts[0], tmp_path / "out.png")
        agent.signalled()
        agent.signalled()
    assert (tmp_path / "out.png").read_bytes() == LARGE
    assert agent.duty.metrics.uploaded_bytes == len(LARGE)
    logged = "".join(capfd.readouterr())
    assert "{index:int}/collect" in logged
    assert "X-Amz-Signature" not in logged, "an address is a key"


async def test_our_client_gets_its_file_also_where_it_may_not_reach_the_bucket(
    database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    async with gate(bucket.endpoint) as (seen, endpoint):
        address = bucket.url.replace(bucket.endpoint, endpoint)
        async with serving(database_url, tmp_path, artifacts_url=address) as service:
            job_id = (await service.done(picture("gold")))["id"]
            async with frontends.client.connect(service.url, service.key) as person:
                job = await person.job(UUID(job_id))
                seen.unread = True
                for name in ("one.png", "two.png"):
                    await person.download(job.artifacts[0], tmp_path / name)
                    assert (tmp_path / name).read_bytes() == picture("gold")
            assert seen.turned_away == 1, "what has failed is not tried again"


async def test_an_agent_that_may_not_reach_the_bucket_sends_the_file_through_here(
    database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    async with gate(bucket.endpoint) as (seen, endpoint):
        address = bucket.url.replace(bucket.endpoint, endpoint)
        async with (
            serving(database_url, tmp_path, artifacts_url=address) as service,
            agent_of(service) as client,
        ):
            seen.closed = True
            uploads = Uploads(client)
            for _ in range(2):
                lease = await service.leased()
                await uploads.send(lease, output(tmp_path, LARGE))
                assert (await service.hands.complete(lease)).json["state"] == "succeeded"
            assert len(seen.staged) == 1, "what has failed is not tried again at once"


async def test_small_files_are_not_put_anywhere_else(service: Service, tmp_path: Path) -> None:
    lease = await service.leased()
    async with agent_of(service) as client:
        assert (await client.direct(lease, 0, announced(picture()))).url is None
        assert (await client.direct(lease, 0, announced(LARGE))).url is not None
        await Uploads(client).send(lease, output(tmp_path, picture()))
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"


async def test_a_folder_takes_large_files_through_here(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as folder, agent_of(folder) as client:
        lease = await folder.leased()
        assert (await client.direct(lease, 0, announced(LARGE))).url is None
        await Uploads(client).send(lease, output(tmp_path, LARGE))
        assert (await folder.hands.complete(lease)).json["state"] == "succeeded"


async def test_direct_no_keeps_everybody_away_from_the_bucket(
    database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    async with serving(database_url, tmp_path, artifacts_url=bucket.url + "&direct=no") as service:
        job = await service.done(picture("gold"))
        got = await service.get(job["artifacts"][0]["url"])
        assert (got.status, got.body) == (200, picture("gold"))
        async with agent_of(service) as client:
            assert (await client.direct(await service.leased(), 0, announced(LARGE))).url is None


async def test_what_an_agent_has_put_there_is_verified_before_the_job_may_succeed(
    service: Service, bucket: Bucket
) -> None:
    lease, other = await service.leased(), weighty(DIRECT_BYTES_MIN + 1)
    async with agent_of(service) as client:
        place = await client.direct(lease, 0, announced(LARGE))
        assert place.url is not None
        for wrong in (None, LARGE[:-1], LARGE + b"x", LARGE[:-1] + b"x", other):
            if wrong is not None:
                assert await put(place.url, wrong) == 200
            with pytest.raises(Problem) as refused:
                await client.collect(lease, 0, announced(LARGE))
            assert refused.value.code == "artifact-mismatch"
            assert bucket.names() == [], "what was refused is gone"
        html = b"<html>" * (DIRECT_BYTES_MIN // 6 + 1)
        place_of_html = await client.direct(lease, 0, announced(html))
        assert await put(place_of_html.url or "", html) == 200
        with pytest.raises(Problem, match="unsupported-media-type"):
            await client.collect(lease, 0, announced(html))
        assert (await service.hands.complete(lease)).code == "artifacts-missing"
        assert await put(place.url, LARGE) == 200
        first = await client.collect(lease, 0, announced(LARGE))
        assert await put(place.url, other) == 200, "the address is good for a minute"
        assert await client.collect(lease, 0, announced(LARGE)) == first
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"
    async with service.session.get((await service.job(lease.job_id))["artifacts"][0]["url"]) as followed:
        assert await followed.read() == LARGE


async def test_a_stale_attempt_can_make_nothing_visible(service: Service, bucket: Bucket) -> None:
    first = await service.leased()
    async with agent_of(service) as client:
        place = await client.direct(first, 0, announced(LARGE))
        await service.hands.release(first)
        second = await _claimed(service)
        assert await put(place.url or "", LARGE) == 200
        for stale in (first, _with_attempt(first, second.attempt)):
            with pytest.raises(Problem, match="lease-lost"):
                await client.collect(stale, 0, announced(LARGE))
            with pytest.raises(Problem, match="lease-lost"):
                await client.direct(stale, 0, announced(LARGE))
        with pytest.raises(Problem, match="artifact-mismatch"):
            await client.collect(second, 0, announced(LARGE))
    other = await enrolled(service.context, service.session, "other")
    async with connect(service.url, other.secret) as stranger:
        for ask in (stranger.direct, stranger.collect):
            with pytest.raises(Problem, match="lease-lost"):
                await ask(second, 0, announced(LARGE))
    assert (await service.hands.complete(second)).code == "artifacts-missing"
    assert [name.removeprefix(PREFIX).partition("/")[0] for name in bucket.names()] == ["staging"]


async def test_what_nobody_collects_or_knows_is_swept_and_nothing_else(service: Service, bucket: Bucket) -> None:
    job, context = await service.done(), service.context
    await service.done(picture("red"))
    kept = bucket.names()
    lease = await service.leased()
    async with agent_of(service) as client:
        place = await client.direct(lease, 0, announced(LARGE))
        assert await put(place.url or "", LARGE) == 200
    orphan = kept[0][:-4] + "ffff"
    bucket.put(orphan)
    bucket.put(f"{PREFIX}notes.txt")
    sweeper = Sweeper(context.database, context.store, context.signing_keys, context.settings)
    assert await sweeper.temporary_files() + await sweeper.orphan_files() == 0, "all of it is young"
    sweeper.temporary_seconds = sweeper.orphan_seconds = -60.0
    assert (await sweeper.temporary_files(), await sweeper.orphan_files()) == (1, 1)
    assert bucket.names() == sorted([*kept, f"{PREFIX}notes.txt"])
    assert (await service.get(job["artifacts"][0]["url"])).status == 302


async def test_a_bucket_that_is_away_loses_nothing_and_what_was_to_go_goes_when_it_is_back(
    database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    async with gate(bucket.endpoint) as (seen, endpoint):
        address = bucket.url.replace(bucket.endpoint, endpoint) + "&direct=no"
        async with serving(database_url, tmp_path, artifacts_url=address) as service:
            job, lease, context = await service.done(), await service.leased(), service.context
            seen.away = True
            refused = await service.hands.upload(lease, picture("red"))
            assert (refused.status, refused.code) == (503, "unavailable")
            assert (await service.get(job["artifacts"][0]["url"])).status == 503
            assert (await service.as_customer(f"/api/v1/jobs/{job['id']}/artifacts", "DELETE")).status == 204
            assert (await service.get(job["artifacts"][0]["url"])).status == 410, "nobody waits for the bucket"
            assert len(bucket.names()) == 1
            sweeper = Sweeper(context.database, context.store, context.signing_keys, context.settings)
            assert await sweeper.sweep(sweeper.tasks["discards"]) == 60
            seen.away = False
            assert await sweeper.discards() == 1
            assert bucket.names() == []
            assert (await service.hands.upload(lease, picture("red"))).status == 200
            assert (await service.hands.complete(lease)).json["state"] == "succeeded"


async def _claimed(service: Service) -> Lease:
    [lease] = await service.hands.claim(wait=5)
    return lease


def _with_attempt(lease: Lease, attempt: int) -> Lease:
    return replace(lease, attempt=attempt)


async def _ended(person: frontends.client.Client, job_id: UUID) -> JobView:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (job := await person.job(job_id)).status in ("queued", "running"):
            await asyncio.sleep(0.05)
    return job
