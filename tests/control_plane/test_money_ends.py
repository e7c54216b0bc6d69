"""Every way in which a job can end, and what it costs then; each with the books in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from control_plane import audit
from control_plane.errors import LeaseLost
from control_plane.money import ledger
from control_plane.queue.dispatch import Dispatcher
from control_plane.states import FAILURES_MAX
from control_plane.wire.worker import Lease
from tests.fixtures.money import account, in_order, report, settled
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_file,
    add_user,
    add_worker,
    lane_of_the_testcard,
    one,
    order,
    pass_time,
    process,
)

Life = Callable[[Dispatcher, Rows, UUID, UUID], Awaitable[None]]
"""Leads the only job (cost 8, of which 6 are daily) of a user from the line to its end."""


async def _started(plane: Dispatcher, sql: Rows, progress: float | None = None) -> tuple[Slot, Lease]:
    slot = Slot(plane, add_worker(sql))
    lease = await slot.start(await slot.take())
    if progress is not None:
        report(sql, lease, progress)
    return slot, lease


async def succeeds(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, lease = await _started(plane, sql, 0.5)
    assert await slot.complete(sql, lease) == "succeeded"


async def is_canceled_in_line(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    await plane.cancel(user, job_id)
    await plane.cancel(user, job_id)


async def is_canceled_before_it_starts(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot = Slot(plane, add_worker(sql))
    await slot.beat(await slot.take())
    await plane.cancel(user, job_id)


async def is_canceled_at_a_quarter(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, lease = await _started(plane, sql, 0.25)
    await plane.cancel(user, job_id)
    assert await plane.complete(slot.fence(lease), 1) == "canceled"


async def is_canceled_at_the_very_end(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, lease = await _started(plane, sql, 1.0)
    await plane.cancel(user, job_id)
    assert await plane.release(slot.fence(lease), "drain") == "canceled"


async def is_canceled_and_its_worker_dies(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    await _started(plane, sql, 0.5)
    await plane.cancel(user, job_id)
    pass_time(sql, 61)
    await plane.tick()


async def is_canceled_after_an_earlier_attempt_had_come_far(
    plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID
) -> None:
    """What a lost attempt had done is nobody's to pay."""
    slot, lease = await _started(plane, sql, 0.75)
    assert await plane.release(slot.fence(lease), "drain") == "queued"
    slot, lease = await _started(plane, sql)
    await plane.cancel(user, job_id)
    assert await plane.complete(slot.fence(lease), 1) == "canceled"


async def fails_for_good(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, lease = await _started(plane, sql, 0.9)
    assert await plane.fail(slot.fence(lease), "invalid_input", "") == "failed"


async def fails_until_its_budget_is_spent(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    for _ in range(FAILURES_MAX):
        slot, lease = await _started(plane, sql, 0.9)
        await plane.fail(slot.fence(lease), "oom", "")
        pass_time(sql, 301)
        await plane.tick()


async def is_poison(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    for _ in range(2):
        await _started(plane, sql, 0.9)
        pass_time(sql, 61)
        await plane.tick()


async def expires(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    sql.execute("update jobs set start_by = now() where id = %s", [job_id])
    await plane.tick()


async def is_lost_after_its_upload(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    """The picture was there, its worker was not heard again; another one draws it and is paid for once."""
    slot, lease = await _started(plane, sql, 1.0)
    add_file(sql, lease)
    pass_time(sql, 61)
    await plane.tick()
    second, again = await _started(plane, sql)
    with pytest.raises(LeaseLost):
        await plane.complete(slot.fence(lease), 1)
    assert await second.complete(sql, again) == "succeeded"
    with pytest.raises(LeaseLost):
        await plane.complete(slot.fence(lease), 1)


async def is_taken_over(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    """It waits behind another's job, and an idle worker takes it."""
    other = add_user(sql)
    busy = Slot(plane, add_worker(sql))
    sql.execute("update jobs set tag = tag + 1000 where id = %s", [job_id])
    await plane.submit(order(other, lane_of_the_testcard(sql)))
    first = await busy.start(await busy.take())
    held = await busy.take(ahead=True)
    assert held.job_id == job_id
    await busy.beat(first, phase="started")
    await busy.beat(held)
    idle = Slot(plane, add_worker(sql))
    lease = await idle.start(await idle.take(wait=2))
    assert lease.job_id == job_id
    assert await idle.complete(sql, lease) == "succeeded"
    assert await busy.complete(sql, first) == "succeeded"


async def loses_its_revoked_worker(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, _ = await _started(plane, sql, 0.5)
    await plane.revoke(slot.worker_id)
    assert (await Slot(plane, add_worker(sql)).serve(sql)).job_id == job_id


async def is_canceled_and_its_worker_revoked(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, _ = await _started(plane, sql, 0.5)
    await plane.cancel(user, job_id)
    await plane.revoke(slot.worker_id)


async def succeeds_for_a_suspended_user(plane: Dispatcher, sql: Rows, user: UUID, job_id: UUID) -> None:
    slot, lease = await _started(plane, sql)
    sql.execute("update users set status = 'suspended' where id = %s", [user])
    assert await slot.complete(sql, lease) == "succeeded"


ENDS: dict[Life, tuple[str, int]] = {
    succeeds: ("succeeded", 8),
    is_canceled_in_line: ("canceled", 0),
    is_canceled_before_it_starts: ("canceled", 0),
    is_canceled_at_a_quarter: ("canceled", 2),
    is_canceled_at_the_very_end: ("canceled", 8),
    is_canceled_and_its_worker_dies: ("canceled", 4),
    is_canceled_after_an_earlier_attempt_had_come_far: ("canceled", 0),
    fails_for_good: ("failed", 0),
    fails_until_its_budget_is_spent: ("failed", 0),
    is_poison: ("failed", 0),
    expires: ("expired", 0),
    is_lost_after_its_upload: ("succeeded", 8),
    is_taken_over: ("succeeded", 8),
    loses_its_revoked_worker: ("succeeded", 8),
    is_canceled_and_its_worker_revoked: ("canceled", 4),
    succeeds_for_a_suspended_user: ("succeeded", 8),
}


@pytest.mark.parametrize("life", ENDS, ids=lambda life: life.__name__)
async def test_a_job_is_paid_for_what_came_of_it(database_url: str, owner: Rows, sql: Rows, life: Life) -> None:
    """A job of 8 tokens, 6 of the day and 2 bought: charged as told, the bought ones come back first."""
    async with process(database_url) as plane:
        user, lane = add_user(sql, plan="ten"), lane_of_the_testcard(sql)
        await ledger.grant(plane.database, user, 5, "bought", audit.OPERATOR)
        before = (await plane.submit(order(user, lane, cost=4))).job_id
        await plane.cancel(user, before)
        filler = (await plane.submit(order(user, lane, cost=4, max_wait=None))).job_id
        await Slot(plane, add_worker(sql)).serve(sql)
        assert settled(sql, filler) == (4, 0)
        job_id = (await plane.submit(order(user, lane, cost=8))).job_id
        assert account(sql, user) == (3, 8, 10)
        await life(plane, sql, user, job_id)
        state, charged = ENDS[life]
        assert one(sql, "select state from jobs where id = %s", job_id) == state
        assert settled(sql, job_id) == (charged, 8 - charged)
        bought = min(2, 8 - charged)
        assert account(sql, user) == (3 + bought, 0, 10 - (8 - charged - bought))
        await in_order(plane.database, sql)
