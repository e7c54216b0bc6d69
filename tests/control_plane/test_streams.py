"""The stream of one job: a snapshot, every event once, progress as a last value, and an end; waiting without one."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from control_plane.events.feed import HELD_MAX
from control_plane.wire.worker import Lease
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.streams import Frame, reading
from tests.fixtures.worker import Service, picture, running

Json = dict[str, Any]


def events_of(url: str, job_id: object) -> str:
    return f"{url}{API}/jobs/{job_id}/events"


async def finish(service: Service, lease: Lease) -> None:
    assert (await service.hands.upload(lease, picture())).status == 200
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


async def test_a_stream_tells_the_story_of_a_job_and_ends_with_it(control_plane: Plane) -> None:
    service = control_plane.service
    job_id = await service.order()
    job = await service.job(job_id)
    async with reading(service.session, job["urls"]["events"], service.key) as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream"
        first = await reader.next()
        assert first is not None
        assert (first.name, first.data["id"], first.data["status"]) == ("snapshot", str(job_id), "queued")
        [lease] = await service.hands.claim(wait=5)
        await service.hands.start(lease)
        told = [first, *await reader.until("job.started")]
        assert told[-1].data["job"]["status"] == "running"
        await finish(service, lease)
        told += await reader.rest()
    assert names(told)[-1] == "job.succeeded"
    assert [name for name in names(told) if name == "job.started"] == ["job.started"]
    assert told[-1].data["job"]["artifacts"][0]["url"]
    ids = [frame.id for frame in told if frame.id]
    assert len(set(ids)) == len(ids) >= 3


async def test_a_cut_stream_goes_on_in_another_process_without_a_gap_or_a_repetition(
    control_plane: Plane, database_url: str, tmp_path: Path
) -> None:
    service = control_plane.service
    job_id = await service.order()
    seen: list[Frame] = []
    async with running(database_url, tmp_path / "other") as other:
        places = [service.url, other.settings.base_url]
        async with reading(service.session, events_of(places[0], job_id), service.key) as reader:
            [lease] = await service.hands.claim(wait=5)
            seen += await reader.until("job.claimed")
            last = reader.id
        await service.hands.start(lease)
        assert (await service.hands.release(lease)).status == 200
        for n in (1, 0, 1):
            async with reading(service.session, events_of(places[n], job_id), service.key, last=last) as reader:
                first = await reader.next()
                assert first is not None
                assert (first.name, first.id) == ("snapshot", last)
                while "job.released" not in names(seen):
                    seen += [await reader.next() or first]
                last = reader.id
        [lease] = await service.hands.claim(wait=5)
        await service.hands.start(lease)
        await finish(service, lease)
        async with reading(service.session, events_of(places[1], job_id), service.key, last=last) as reader:
            seen += (await reader.rest())[1:]
            last = reader.id
        story = [name.removeprefix("job.") for name in names(seen) if name.startswith("job.")]
        assert story[-6:] == ["claimed", "started", "released", "claimed", "started", "succeeded"]
        async with reading(service.session, events_of(places[0], job_id), service.key, last=last) as reader:
            assert reader.status == 204, "a browser is told not to come back"


async def test_a_job_that_is_over_has_a_snapshot_and_its_end(control_plane: Plane) -> None:
    service = control_plane.service
    job_id = (await service.done())["id"]
    for last in ("", "0123abcd-5-5"):  # from nowhere, and from a cluster that is no more
        async with reading(service.session, events_of(service.url, job_id), service.key, last=last) as reader:
            frames = await reader.rest()
        assert names(frames) == ["snapshot", "job.succeeded"]
        assert frames[0].data["status"] == "succeeded"
    refused = await control_plane.call(
        "GET", f"{API}/jobs/{job_id}/events", service.key, headers={"Last-Event-ID": "7"}
    )
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "Last-Event-ID")


async def test_progress_comes_at_most_twice_a_second_and_only_as_the_last_value(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased()
    started, told = time.monotonic(), list[Frame]()
    sent = 0
    async with reading(service.session, events_of(service.url, lease.job_id), service.key) as reader:
        told += await reader.until("snapshot")
        while time.monotonic() - started < 2.5:
            sent += 1
            report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
            shown = {"progress": {"value": min(1.0, sent / 100), "step": sent, "steps": 100}, "preview": picture()}
            await service.hands.call("/heartbeat", {"leases": [report | shown]})
            await asyncio.sleep(0.02)
        while not told or told[-1].name != "progress" or told[-1].data["step"] < sent:
            frame = await reader.next()
            assert frame is not None
            told.append(frame)
        took = time.monotonic() - started
        await finish(service, lease)
        told += await reader.rest()
    progress = [frame for frame in told if frame.name == "progress"]
    assert sent >= 20
    assert 2 <= len(progress) <= 2 * took + 1
    assert [frame.data["step"] for frame in progress] == sorted({frame.data["step"] for frame in progress})
    assert not any(frame.id for frame in progress)
    previews = [frame for frame in told if frame.name == "preview"]
    assert 1 <= len(previews) <= len(progress)
    assert previews[0].data["mime_type"] == "image/png"


async def test_a_silent_stream_shows_that_it_lives(control_plane: Plane) -> None:
    service = control_plane.service
    control_plane.context.dispatcher.feed.keep_alive_seconds = 0.05
    job_id = await service.order()
    for url in (events_of(service.url, job_id), f"{service.url}{API}/events"):
        async with reading(service.session, url, service.key) as reader:
            assert await reader.next() is not None
            with pytest.raises(TimeoutError):
                await reader.next(0.6)
            assert reader.comments >= 3


async def test_one_caller_may_hold_so_many_requests_open_and_no_more(control_plane: Plane) -> None:
    service = control_plane.service
    job_id = await service.order()
    url, key = f"{service.url}{API}/events", service.key
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, AsyncExitStack() as stack:
        for _ in range(HELD_MAX):
            reader = await stack.enter_async_context(reading(session, url, key))
            assert reader.status == 200
        for path in (f"{API}/events", f"{API}/jobs/{job_id}/events", f"{API}/jobs/{job_id}?wait=1"):
            refused = await control_plane.call("GET", path, key)
            assert (refused.status, refused.code) == (429, "too-many-waiting")
            assert refused.headers["Retry-After"]
        stranger = await control_plane.user_key()
        async with reading(session, url, stranger) as other:
            assert other.status == 200, "it is a limit for each caller"
        placed = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x"}, headers={"Prefer": "wait=5"})
        assert placed.status == 201
        assert "Preference-Applied" not in placed.headers, "an order is placed, whether one may wait for it or not"

    async def one_more() -> int:
        async with reading(service.session, url, key) as reader:
            return reader.status

    assert await eventually(one_more, lambda status: status == 200) == 200


async def test_a_stream_ends_when_its_key_is_revoked(control_plane: Plane) -> None:
    service = control_plane.service
    job_id = await service.order()
    async with AsyncExitStack() as stack:
        urls = (events_of(service.url, job_id), f"{service.url}{API}/events")
        readers = [await stack.enter_async_context(reading(service.session, url, service.key)) for url in urls]
        for reader in readers:
            assert await reader.next() is not None
        async with control_plane.context.database.connection() as connection:
            await connection.execute("update api_keys set revoked_at = now() where user_id = %s", [service.user_id])
        control_plane.context.credentials.forget_user(service.user_id)
        began = time.monotonic()
        for reader in readers:
            assert await reader.rest() == []
        assert time.monotonic() - began < 10


async def test_streams_and_long_polls_end_when_the_process_is_asked_to(
    control_plane: Plane, database_url: str, tmp_path: Path
) -> None:
    service, job_id = control_plane.service, await control_plane.service.order()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        async with running(database_url, tmp_path / "other") as other:
            url = other.settings.base_url
            opened = [events_of(url, job_id), f"{url}{API}/events"]
            readers = [await stack.enter_async_context(reading(service.session, one, service.key)) for one in opened]
            for reader in readers:
                assert await reader.next() is not None
            waiting = tasks.create_task(
                service.get(f"{url}{API}/jobs/{job_id}?wait=60", Authorization=f"Bearer {service.key}")
            )
            await eventually(lambda: asyncio.sleep(0, len(other.dispatcher.feed)), lambda count: count == 3)
            began = time.monotonic()
        assert [await reader.rest() for reader in readers] == [[], []]
        assert (await waiting).json["status"] == "queued"
        assert time.monotonic() - began < 5


async def test_a_long_poll_answers_when_the_job_is_over(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased()

    async def wait(path: str, **headers: str) -> tuple[Any, float]:
        answered = await control_plane.call("GET", f"{API}/jobs/{lease.job_id}{path}", service.key, headers=headers)
        return answered, time.monotonic()

    async with asyncio.TaskGroup() as tasks:
        polls = [tasks.create_task(wait("?wait=30")), tasks.create_task(wait("", Prefer="respond-async, wait=30"))]
        short, ended_at = await wait("?wait=1")
        assert (short.status, short.json["status"]) == (200, "running")
        assert not any(poll.done() for poll in polls)
        assert ended_at > 0
        await finish(service, lease)
        finished_at = time.monotonic()
    for poll in polls:
        answered, at = poll.result()
        assert (answered.status, answered.json["status"]) == (200, "succeeded")
        assert at - finished_at < 2
    assert [poll.result()[0].headers.get("Preference-Applied") for poll in polls] == [None, "wait=30"]
    over, at = await wait("?wait=60")
    assert (over.json["status"], time.monotonic() - at < 1) == ("succeeded", True)
    refused = await control_plane.call("GET", f"{API}/jobs/{lease.job_id}?wait=61", service.key)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "wait")


async def test_an_order_may_wait_for_its_result(control_plane: Plane) -> None:
    service = control_plane.service

    async def work() -> None:
        [lease] = await service.hands.claim(wait=10)
        await service.hands.start(lease)
        await finish(service, lease)

    body = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1}
    prefer = {"Prefer": "wait=20", "Idempotency-Key": "once"}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        placed = await control_plane.call("POST", f"{API}/jobs", service.key, body, headers=prefer)
    assert (placed.status, placed.json["status"]) == (201, "succeeded")
    assert placed.headers["Preference-Applied"] == "wait=20"
    again = await control_plane.call("POST", f"{API}/jobs", service.key, body, headers=prefer)
    assert (again.json["id"], again.json["status"]) == (placed.json["id"], "succeeded")
    unread = await control_plane.call("POST", f"{API}/jobs", service.key, body, headers={"Prefer": "wait=soon"})
    assert (unread.status, unread.json["status"], "Preference-Applied" in unread.headers) == (201, "queued", False)


async def test_who_waits_holds_no_connection_of_the_database(control_plane: Plane) -> None:
    """More callers wait than the pool has connections, and the service goes on as ever."""
    service, plane = control_plane.service, control_plane
    job_id: UUID = await service.order()
    waiting = HELD_MAX - 2
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as tasks:
        headers = {"Authorization": f"Bearer {service.key}"}

        async def wait() -> Json:
            async with session.get(f"{service.url}{API}/jobs/{job_id}?wait=20", headers=headers) as response:
                found: Json = await response.json()
                return found

        polls = [tasks.create_task(wait()) for _ in range(waiting)]
        feed = plane.context.dispatcher.feed
        await eventually(lambda: asyncio.sleep(0, feed.holding(service.user_id)), lambda count: count == waiting)
        async with plane.context.database.connection() as connection:
            cursor = await connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
            )
            assert await cursor.fetchone() == (0,)
        for _ in range(10):
            assert (await plane.call("GET", f"{API}/jobs/{job_id}", service.key)).status == 200
        assert (await plane.call("DELETE", f"{API}/jobs/{job_id}", service.key)).json["status"] == "canceled"
    assert {poll.result()["status"] for poll in polls} == {"canceled"}
