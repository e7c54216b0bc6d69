"""A heartbeat is held open until there is news, and news is told at once, whichever process it comes from."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from control_plane.errors import Unauthorized
from control_plane.queue.dispatch import Dispatcher
from control_plane.wire.worker import HeartbeatAnswer, Lease
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_user,
    add_worker,
    connected,
    lane_of_the_testcard,
    order,
    pass_time,
    process,
    until,
)

HOLD = 10.0
AT_ONCE = 5.0
"""Far below the hold, far above what a busy machine needs."""


class Scene:
    """An agent at one process with a running job, its customer, and another process."""

    def __init__(self, here: Dispatcher, there: Dispatcher, slot: Slot, lease: Lease, user: UUID) -> None:
        self.here, self.there, self.slot, self.lease, self.user = here, there, slot, lease, user

    async def hold(self, *leases: Lease, **fields: bool) -> asyncio.Future[HeartbeatAnswer]:
        """A heartbeat that is being held; returns once it has been answered or waits."""
        beat = asyncio.ensure_future(self.slot.beat(*(leases or (self.lease,)), phase="started", hold=HOLD, **fields))
        before = len(self.here.heartbeats._held)
        await until(lambda: beat.done() or len(self.here.heartbeats._held) >= max(1, before))
        await asyncio.sleep(0.1)
        return beat


async def scene(here: Dispatcher, there: Dispatcher, sql: Rows) -> Scene:
    await connected(here, there)
    user = add_user(sql)
    await there.submit(order(user, lane_of_the_testcard(sql)))
    slot = Slot(here, add_worker(sql))
    lease = await slot.start(await slot.take(wait=5))
    return Scene(here, there, slot, lease, user)


@pytest.mark.parametrize("from_there", [True, False])
async def test_a_wish_to_cancel_is_told_at_once_and_once(database_url: str, sql: Rows, from_there: bool) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        assert not held.done(), "nothing to tell yet"
        await (there if from_there else here).cancel(at.user, at.lease.job_id)
        assert (await asyncio.wait_for(held, AT_ONCE)).cancel == [at.lease.job_id]
        again = await at.hold()
        assert not again.done(), "the agent knows it already"
        here.heartbeats.close()
        assert (await asyncio.wait_for(again, AT_ONCE)).cancel == [at.lease.job_id], "and every answer repeats it"


async def test_a_wish_that_was_there_before_is_told_by_the_first_heartbeat(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        await there.cancel(at.user, at.lease.job_id)
        assert (await asyncio.wait_for(await at.hold(), AT_ONCE)).cancel == [at.lease.job_id]


async def test_an_answer_that_nobody_heard_is_told_again(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        at.slot.gone.set()
        await there.cancel(at.user, at.lease.job_id)
        await asyncio.wait_for(held, AT_ONCE)
        at.slot.gone = asyncio.Event()
        assert (await asyncio.wait_for(await at.hold(), AT_ONCE)).cancel == [at.lease.job_id]


async def test_a_drain_is_told_at_once_and_a_draining_agent_is_left_in_peace(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        await there.drain(at.slot.worker_id)
        assert (await asyncio.wait_for(held, AT_ONCE)).drain
        again = await at.hold(draining=True)
        assert not again.done()
        here.heartbeats.close()
        assert (await asyncio.wait_for(again, AT_ONCE)).drain


async def test_a_lease_that_is_lost_is_told_at_once(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        await there.release(at.slot.fence(at.lease), "drain")
        there.nudge(at.slot.worker_id)
        answer = await asyncio.wait_for(held, AT_ONCE)
        assert answer.revoke == [at.lease.job_id]
        late = await asyncio.wait_for(await at.hold(), AT_ONCE)
        assert (late.renewed, late.revoke) == ([], [at.lease.job_id])


async def test_a_revoked_worker_is_told_at_once(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        await there.revoke(at.slot.worker_id)
        with pytest.raises(Unauthorized):
            await asyncio.wait_for(held, AT_ONCE)


async def test_somebody_who_looks_is_told_at_once_and_forgotten_after_a_while(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        held = await at.hold()
        there.watch(at.lease.job_id)
        assert (await asyncio.wait_for(held, AT_ONCE)).watched == [at.lease.job_id]
        again = await at.hold()
        assert not again.done()
        here.heartbeats.close()
        await again


async def test_without_news_it_is_answered_when_its_time_is_over_and_the_lease_is_whole(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as here, process(database_url) as there:
        at = await scene(here, there, sql)
        pass_time(sql, 30)
        answer = await at.slot.beat(at.lease, phase="started", hold=0.3)
        assert [renewal.expires_in for renewal in answer.renewed] == [here.settings.lease_seconds]
        assert (answer.cancel, answer.revoke, answer.watched, answer.drain) == ([], [], [], False)
        pass_time(sql, 50)
        await there.tick()
        assert sql.execute("select state from jobs").fetchall() == [("running",)], "renewed on arrival"
