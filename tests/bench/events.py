"""How soon an event reaches an open stream, on the process that committed it and on another, beside a thousand streams.

The clock starts with the commit, whose moment PostgreSQL notes (`track_commit_timestamp`, hence a server of its own),
and stops when the customer's program has read the frame; both clocks are this machine's.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import psycopg

from control_plane import embedded
from control_plane.events.feed import HELD_MAX
from control_plane.events.tail import Position
from tests.bench import fill, machine, service
from tests.bench.report import Row, percentile, within
from tests.bench.scratch import TUNING, Scratch
from tests.fixtures.streams import Reader, reading

STREAMS = 1_000
QUICK_STREAMS = 100
PER_SECOND = 25
"""Orders; each is canceled at once, which makes two events."""
LATENCY_MS = 50.0
MEMORY_MIB = 250.0
SETTLE_SECONDS = 1.0
ORDER = {"prompt": "a red fox", "width": 64, "height": 64, "steps": 1}


def measure(scratch: Scratch) -> list[Row]:
    folder = scratch.folder / "events"
    folder.mkdir()
    server = embedded.start(folder, TUNING | {"track_commit_timestamp": "on"})
    try:
        return _measured(Scratch(folder, server, quick=scratch.quick))
    finally:
        server.stop()


def _measured(scratch: Scratch) -> list[Row]:
    database = scratch.tessera("events")
    with (
        service.control_plane(scratch.folder, scratch.url(database)) as plane,
        service.control_plane(scratch.folder, scratch.url(database)) as other,
        scratch.superuser(database) as connection,
    ):
        streams = QUICK_STREAMS if scratch.quick else STREAMS
        keys = [user.secret for user in fill.users(connection, 2 + streams // HELD_MAX)]
        alone = machine.resident_mib(plane.pid)
        scratch.quiet()
        with machine.metered({"control plane": plane.pid, "postgres": scratch.postgres_pid}) as load:
            found = asyncio.run(_race(plane, other, keys, streams, 4.0 if scratch.quick else 20.0))
        late = {name: _late(connection, heard) for name, heard in found.heard.items()}
    notes = [f"{streams} streams open; others took {load.foreign:.2f} cores"]
    return [
        *(_row(name, seconds, notes) for name, seconds in late.items()),
        within(
            f"control plane with {streams} open streams, resident",
            found.resident_mib,
            MEMORY_MIB,
            "MiB",
            notes=[f"{alone:.0f} MiB before they came"],
            figures={"resident_mib": found.resident_mib, "alone_mib": alone},
        ),
    ]


class _Found:
    def __init__(self) -> None:
        self.heard: dict[str, dict[int, float]] = {"the same process": {}, "another process": {}}
        """Transaction → when its event arrived."""
        self.resident_mib = 0.0


async def _race(
    plane: service.Service, other: service.Service, keys: list[str], streams: int, seconds: float
) -> _Found:
    found, customer = _Found(), keys[-1]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, AsyncExitStack() as stack:
        await _crowd(session, stack, plane, keys, streams)
        readers = {
            name: await stack.enter_async_context(reading(session, f"{url}/api/v1/events", customer))
            for name, url in (("the same process", plane.url), ("another process", other.url))
        }
        for reader in readers.values():
            await reader.until("opened")
        await asyncio.sleep(SETTLE_SECONDS)  # the processes have told each other that somebody listens
        orders = int(PER_SECOND * seconds)
        async with asyncio.TaskGroup() as tasks:
            for name, reader in readers.items():
                tasks.create_task(_hear(reader, 2 * orders, found.heard[name]))
            await _order(session, plane.url, customer, orders)
        found.resident_mib = machine.resident_mib(plane.pid)
    return found


async def _crowd(
    session: aiohttp.ClientSession, stack: AsyncExitStack, plane: service.Service, keys: list[str], streams: int
) -> None:
    """Jobs that wait for nobody, and a stream for each."""
    for n in range(streams):
        key = keys[n // HELD_MAX]
        headers = {"Authorization": f"Bearer {key}"}
        async with session.post(f"{plane.url}/api/v1/jobs", json=ORDER, headers=headers) as response:
            url = (await response.json())["urls"]["self"]
        reader = await stack.enter_async_context(reading(session, f"{url}/events", key))
        await reader.until("snapshot")


async def _order(session: aiohttp.ClientSession, url: str, key: str, orders: int) -> None:
    headers, started = {"Authorization": f"Bearer {key}"}, time.monotonic()
    for n in range(orders):
        await asyncio.sleep(started + n / PER_SECOND - time.monotonic())
        async with session.post(f"{url}/api/v1/jobs", json=ORDER, headers=headers) as response:
            job = await response.json()
        async with session.delete(job["urls"]["self"], headers=headers) as response:
            await response.read()


async def _hear(reader: Reader, events: int, heard: dict[int, float]) -> None:
    for _ in range(events):
        frame = await reader.next()
        assert frame is not None, "the stream ended"
        position = Position.parse(frame.id)
        assert position is not None
        heard[position.xid] = time.time()


def _late(connection: psycopg.Connection[Any], heard: dict[int, float]) -> list[float]:
    """Seconds from each commit to the arrival of its event."""
    found = connection.execute(
        "select x, extract(epoch from pg_xact_commit_timestamp(x::text::xid))::float8 from unnest(%s::bigint[]) x",
        [list(heard)],
    ).fetchall()
    return [heard[xid] - committed for xid, committed in found]


def _row(name: str, late: list[float], notes: list[str]) -> Row:
    values = {share: percentile(late, share) * 1e3 for share in (0.5, 0.95, 0.99)}
    told = ", ".join(f"p{share * 100:.0f} {value:.1f}" for share, value in values.items())
    return within(
        f"event to a stream of {name}, p99",
        values[0.99],
        LATENCY_MS,
        "ms",
        notes=[f"{told} ms over {len(late)} events", *notes],
        figures={"p50_ms": values[0.5], "p95_ms": values[0.95], "p99_ms": values[0.99]},
    )
