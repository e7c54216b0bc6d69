"""How long an order takes while 200 of them come each second, with everything on.

Each order has an Idempotency-Key and comes at its own moment, whatever became of those before it; its clock starts at
that moment. Meanwhile agents take jobs and end twenty a second, as a large fleet would, every customer has a stream of
all their jobs open, and a webhook that is told of every end. All of it, the clients too, on the cores of one machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import aiohttp

from tests.bench import caller, fill, machine, service
from tests.bench.report import Row, percentile, within
from tests.bench.scratch import Scratch
from tests.fixtures.streams import reading

PER_SECOND = 200
CUSTOMERS = 20
AGENTS = 2
LATENCY_MS = 20.0
SETTLE_SECONDS = 3.0
"""Caches are filled, statements prepared."""
PACE_SECONDS = 0.1
"""What an agent takes for a job."""
ENDED_MIN = 5
"""A second, or the row says nothing."""


def measure(scratch: Scratch) -> list[Row]:
    seconds = 10.0 if scratch.quick else 30.0
    database = scratch.tessera("steady")
    with (
        _listener() as listener,
        service.control_plane(scratch.folder, scratch.url(database), webhook_networks="127.0.0.0/8") as plane,
        scratch.superuser(database) as connection,
    ):
        keys = [user.secret for user in fill.users(connection, CUSTOMERS)]
        workers = [worker.secret for worker in fill.workers(connection, AGENTS)]
        with _agents(plane.url, workers, SETTLE_SECONDS + seconds + 5):
            asyncio.run(_watched(plane.url, keys, listener, SETTLE_SECONDS))
            scratch.quiet()
            with machine.metered({"control plane": plane.pid, "postgres": scratch.postgres_pid}) as load:
                late, heard = asyncio.run(_watched(plane.url, keys, listener, seconds))
        ended = fill.ended(connection)
    if ended < ENDED_MIN * seconds or heard < len(late):
        raise RuntimeError(f"Only {ended:,} jobs ended, and {heard:,} events were heard.")
    notes = [
        f"{len(late):,} orders: p50 {percentile(late, 0.5) * 1e3:.2f}, p95 {percentile(late, 0.95) * 1e3:.2f},"
        f" p99 {percentile(late, 0.99) * 1e3:.2f}, at most {max(late) * 1e3:.1f} ms",
        f"{CUSTOMERS} streams heard {heard:,} events; {load.told(len(late))}",
    ]
    p99 = percentile(late, 0.99) * 1e3
    name = f"POST jobs at {PER_SECOND} a second, everything on, p99"
    return [within(name, p99, LATENCY_MS, "ms", notes=notes, figures={"p99_ms": p99})]


async def _watched(url: str, keys: list[str], listener: str, seconds: float) -> tuple[list[float], int]:
    """Seconds that each order took, and how many events the streams heard."""
    heard = 0

    async def follow(key: str) -> None:
        nonlocal heard
        async with reading(session, f"{url}/api/v1/events", key) as reader:
            while await reader.next(60) is not None:
                heard += 1

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        for key in keys:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post(f"{url}/api/v1/webhooks", json={"url": listener}, headers=headers) as answer:
                assert answer.status in (201, 409), await answer.text()
        following = [asyncio.create_task(follow(key)) for key in keys]
        try:
            return await _ordered(url, keys, seconds), heard
        finally:
            for one in following:
                one.cancel()
            await asyncio.gather(*following, return_exceptions=True)


async def _ordered(url: str, keys: list[str], seconds: float) -> list[float]:
    late: list[float] = []
    callers = [await _Line.open(url, key) for key in keys for _ in range(2)]
    free: asyncio.Queue[_Line] = asyncio.Queue()
    for one in callers:
        free.put_nowait(one)

    async def order(due: float) -> None:
        line = await free.get()
        try:
            await line.order()
            late.append(time.monotonic() - due)
        finally:
            free.put_nowait(line)

    began = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as tasks:
        for n in range(int(PER_SECOND * seconds)):
            due = began + n / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.create_task(order(due))
    for one in callers:
        one.close()
    return late


class _Line:
    """A kept-alive connection of one customer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, key: str) -> None:
        self._reader, self._writer = reader, writer
        self._requests = caller.Requests(url, key)

    @classmethod
    async def open(cls, url: str, key: str) -> _Line:
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)), url, key)

    async def order(self) -> None:
        key = f"{id(self)}-{time.monotonic_ns()}"
        self._writer.write(self._requests.request("/jobs", caller.ORDER, **{"Idempotency-Key": key}))
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = caller.ANSWER.match(head)
        assert found is not None
        caller.told(head + await self._reader.readexactly(int(found["length"])))

    def close(self) -> None:
        self._writer.close()


@contextmanager
def _listener() -> Iterator[str]:
    """The address of a receiver of webhooks."""
    command = [sys.executable, "-m", "tests.bench.caller", "listen", "", ""]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        service.stop(process)  # type: ignore[arg-type]  # text or bytes is all the same to it


@contextmanager
def _agents(url: str, workers: list[str], seconds: float) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.caller", "receive", url]
    started = [
        subprocess.Popen([*command, worker, str(seconds), str(PACE_SECONDS)], stdout=subprocess.DEVNULL)
        for worker in workers
    ]
    try:
        yield
    finally:
        for process in started:
            service.stop(process)
