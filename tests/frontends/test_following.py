"""A job is followed to its end by our own client: by its stream, and by looking where no stream is to be had."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from uuid import UUID

import aiohttp
import pytest

from control_plane.events.feed import HELD_MAX
from control_plane.wire.job import JobView
from frontends.client import Client, connect
from frontends.following import Frame, after
from tests.fixtures.api import API, Plane
from tests.fixtures.streams import reading
from tests.fixtures.worker import Service, picture

STREAM_SECONDS = 3.0
"""Sooner than looking ever more rarely would tell, and yet enough for a busy machine."""


async def followed(client: Client, job_id: UUID, started: asyncio.Event) -> tuple[list[JobView], float]:
    seen: list[JobView] = []
    async for job in client.follow(await client.job(job_id)):
        seen.append(job)
        started.set()
    return seen, time.monotonic()


async def life(service: Service) -> float:
    """An agent takes the job, tells how far it is, and delivers."""
    [lease] = await service.hands.claim(wait=5)
    await service.hands.start(lease)
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    for n in range(1, 4):
        progress = {"value": n / 4, "step": n, "steps": 4}
        await service.hands.call("/heartbeat", {"leases": [{**report, "progress": progress}]})
        await asyncio.sleep(0.7)
    assert (await service.hands.upload(lease, picture())).status == 200
    assert (await service.hands.complete(lease)).status == 200
    return time.monotonic()


async def test_a_job_is_followed_by_its_stream(control_plane: Plane) -> None:
    service, started = control_plane.service, asyncio.Event()
    job_id = await service.order()
    async with connect(service.url, service.key) as client, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, job_id, started))
        await started.wait()
        ended_at = await life(service)
    seen, at = following.result()
    statuses = [job.status for job in seen]
    assert statuses == sorted(statuses, key=["queued", "running", "succeeded"].index)
    assert set(statuses) == {"queued", "running", "succeeded"}
    steps = [job.progress.step for job in seen if job.progress is not None]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 2, "progress was told"
    assert len(seen) <= 12, "nothing was looked at again and again"
    assert len(seen[-1].artifacts) == 1
    assert at - ended_at < STREAM_SECONDS


async def test_a_job_is_looked_at_when_no_stream_is_to_be_had(control_plane: Plane) -> None:
    service, started = control_plane.service, asyncio.Event()
    job_id = await service.order()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, AsyncExitStack() as stack:
        for _ in range(HELD_MAX):
            reader = await stack.enter_async_context(reading(session, f"{service.url}{API}/events", service.key))
            assert reader.status == 200
        async with connect(service.url, service.key, patience_seconds=2) as client, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(followed(client, job_id, started))
            await started.wait()
            await life(service)
    seen, _ = following.result()
    assert [seen[0].status, seen[-1].status] == ["queued", "succeeded"]


@pytest.mark.parametrize("name", ["preview", "opened", "", "something.new"])
async def test_a_frame_that_is_not_about_the_job_changes_nothing(name: str, control_plane: Plane) -> None:
    async with connect(control_plane.url, control_plane.service.key) as client:
        job = await client.job(await control_plane.service.order())
    assert after(job, Frame(name, b"{}", "")) is None
