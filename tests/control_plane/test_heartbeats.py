"""What is left of a lease when the connection of its heartbeat breaks."""

from __future__ import annotations

import asyncio

import psycopg

from control_plane.queue.dispatch import Dispatcher
from control_plane.wire.worker import HeartbeatAnswer, HeartbeatRequest, Lease, LeaseReport
from tests.fixtures.queue import Rows, Slot, add_user, add_worker, lane_of_the_testcard, one, order, process

GRACE_SECONDS = 2.0
SECONDS_LEFT = "select extract(epoch from lease_expires_at - now())::float8 from jobs where id = %s"


async def running(dispatcher: Dispatcher, sql: Rows) -> tuple[Slot, Lease]:
    await dispatcher.submit(order(add_user(sql), lane_of_the_testcard(sql)))
    slot = Slot(dispatcher, add_worker(sql))
    return slot, await slot.start(await slot.take())


async def beat(slot: Slot, lease: Lease, hold: float, gone: asyncio.Event) -> HeartbeatAnswer:
    report = LeaseReport(job_id=lease.job_id, attempt=lease.attempt, token=lease.token, phase="started")
    return await slot.dispatcher.heartbeat(slot.worker_id, HeartbeatRequest(leases=[report], hold=hold), gone)


async def test_a_broken_held_heartbeat_leaves_the_grace(database_url: str, sql: Rows) -> None:
    async with process(database_url, grace_seconds=GRACE_SECONDS) as dispatcher:
        slot, lease = await running(dispatcher, sql)
        gone = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(beat(slot, lease, 10, gone))
            await asyncio.sleep(0)
            assert one(sql, SECONDS_LEFT, lease.job_id) > GRACE_SECONDS
            gone.set()
        assert one(sql, SECONDS_LEFT, lease.job_id) <= GRACE_SECONDS


async def test_a_renewal_that_was_on_its_way_does_not_outlive_the_broken_connection(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    async with process(database_url, grace_seconds=GRACE_SECONDS) as dispatcher:
        slot, lease = await running(dispatcher, sql)
        gone = asyncio.Event()
        with psycopg.connect(owner_url) as slow:
            async with asyncio.TaskGroup() as tasks:
                held = tasks.create_task(beat(slot, lease, 10, gone))
                while not await _is_held(dispatcher, slot):
                    await asyncio.sleep(0.01)
                slow.execute("select 1 from jobs where id = %s for update", [lease.job_id])
                tasks.create_task(beat(slot, lease, 0, asyncio.Event()))
                await _until_somebody_waits(database_url)
                gone.set()
                while not await _somebody_shortens(database_url):
                    await asyncio.sleep(0.01)
                slow.rollback()
            assert held.done()
        assert one(sql, SECONDS_LEFT, lease.job_id) <= GRACE_SECONDS


async def test_an_agent_that_is_heard_again_has_its_whole_lease_again(database_url: str, sql: Rows) -> None:
    async with process(database_url, grace_seconds=GRACE_SECONDS) as dispatcher:
        slot, lease = await running(dispatcher, sql)
        gone = asyncio.Event()
        gone.set()
        await beat(slot, lease, 10, gone)
        assert one(sql, SECONDS_LEFT, lease.job_id) <= GRACE_SECONDS
        await beat(slot, lease, 0, asyncio.Event())
        assert one(sql, SECONDS_LEFT, lease.job_id) > GRACE_SECONDS


async def test_an_agent_that_starts_anew_leaves_its_former_leases_the_grace(database_url: str, sql: Rows) -> None:
    async with process(database_url, grace_seconds=GRACE_SECONDS) as dispatcher:
        slot, lease = await running(dispatcher, sql)
        assert one(sql, SECONDS_LEFT, lease.job_id) > GRACE_SECONDS
        await dispatcher.greet(slot.worker_id)
        assert one(sql, SECONDS_LEFT, lease.job_id) <= GRACE_SECONDS


WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


async def _waiting(database_url: str) -> int:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute(WAITING)).fetchone()
        assert row is not None
        return int(row[0])


async def _until_somebody_waits(database_url: str) -> None:
    async with asyncio.timeout(10):
        while await _waiting(database_url) < 1:
            await asyncio.sleep(0.01)


async def _somebody_shortens(database_url: str) -> bool:
    return await _waiting(database_url) >= 2


async def _is_held(dispatcher: Dispatcher, slot: Slot) -> bool:
    """Whether a heartbeat of this worker has been renewed and waits for news."""
    await asyncio.sleep(0.05)
    return slot.worker_id in dispatcher.heartbeats._held
