"""A thousand open streams on one control plane: memory stays small, and everybody hears of their own job in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import aiohttp
import psutil
import pytest

from control_plane.database import Database
from control_plane.events.feed import HELD_MAX
from control_plane.people import credentials
from tests.fixtures.api import API
from tests.fixtures.queue import Rows, add_user
from tests.fixtures.services import Services
from tests.fixtures.streams import Reader, reading

STREAMS = 1_000
MEMORY_MIB_MAX = 250.0
BESIDE_SECONDS = 2.0
"""What a busy test machine may add to the end of a thousand jobs; the bench measures how fast one event comes."""
ORDER = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1}


class Crowd:
    """Customers with as many jobs and streams as one of them may hold."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.keys: list[str] = []
        self.jobs: list[tuple[str, str]] = []
        self.readers: list[Reader] = []

    async def open(self, stack: AsyncExitStack, count: int) -> None:
        for n in range(count):
            key = self.keys[n // HELD_MAX]
            headers = {"Authorization": f"Bearer {key}"}
            async with self.session.post(f"{self.url}{API}/jobs", json=ORDER, headers=headers) as response:
                assert response.status == 201, await response.text()
                self.jobs.append((key, (await response.json())["urls"]["self"]))
            reader = await stack.enter_async_context(reading(self.session, f"{self.jobs[n][1]}/events", key))
            first = await reader.next()
            assert first is not None
            assert first.data["status"] == "queued"
            self.readers.append(reader)

    async def cancel(self) -> None:
        for key, url in self.jobs:
            async with self.session.delete(url, headers={"Authorization": f"Bearer {key}"}) as response:
                assert response.status == 200

    async def ends(self) -> list[float]:
        """When each reader heard the end of its job."""

        async def end(reader: Reader) -> float:
            names = [frame.name for frame in await reader.rest(60)]
            assert names.count("job.canceled") == 1
            return time.monotonic()

        return list(await asyncio.gather(*map(end, self.readers)))


async def keys_of(database_url: str, users: Sequence[UUID]) -> list[str]:
    database = Database(database_url)
    await database.open()
    try:
        return [
            (await credentials.create_key(database, name="crowd", user_id=user, scopes=["read", "submit"])).key
            for user in users
        ]
    finally:
        await database.close()


@pytest.mark.slow
async def test_a_thousand_streams_of_one_process_take_little_memory_and_all_hear_their_end(
    database_url: str, tmp_path: Path, sql: Rows
) -> None:
    users = [add_user(sql) for _ in range(STREAMS // HELD_MAX + 1)]
    with Services(database_url, tmp_path, count=1) as services:
        await services.ready()
        plane = psutil.Process(services.pid(0))
        alone = resident_mib(plane)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, AsyncExitStack() as stack:
            crowd = Crowd(session, services.urls[0])
            crowd.keys = await keys_of(database_url, users)
            await crowd.open(stack, STREAMS)
            open_mib, busy_before = resident_mib(plane), sum(plane.cpu_times()[:2])
            idle_seconds = 6.0
            await asyncio.sleep(idle_seconds)
            idle_share = (sum(plane.cpu_times()[:2]) - busy_before) / idle_seconds
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(crowd.ends())
                await crowd.cancel()
                canceled_at = time.monotonic()
            ended = ending.result()
            after_mib = resident_mib(plane)
    late_seconds = max(ended) - canceled_at
    print(
        f"\n{STREAMS} streams: {alone:.0f} MiB before, {open_mib:.0f} MiB open, {after_mib:.0f} MiB after their ends;"
    )
    print(
        f"{idle_share:.2f} cores while nothing happens; the last end {late_seconds:.3f} s after the last cancellation"
    )
    assert len(ended) == STREAMS
    assert max(open_mib, after_mib) < MEMORY_MIB_MAX
    assert late_seconds < BESIDE_SECONDS


def resident_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20
