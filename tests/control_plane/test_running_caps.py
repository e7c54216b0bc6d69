"""No user has more jobs running than their plan allows, however many agents ask in the same instant."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.wire.worker import Lease
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_lane,
    add_user,
    add_worker,
    broken_laws,
    lane_of_the_testcard,
    one,
    order,
    process,
    rows,
)

CAP = 2
ROUNDS = 15


@pytest.fixture
def capped(owner_url: str) -> str:
    """The name of a plan of which two jobs may run at once."""
    with rows(owner_url) as owner:
        owner.execute(
            "insert into plans (name, tokens_per_day, weight, queued_max, running_max, submits_per_minute,"
            " retention_days) values ('capped', 100000, 1, 1000, %s, 100000, 1)",
            [CAP],
        )
    return "capped"


async def test_claims_in_the_same_instant_seat_nobody_beyond_the_plan(
    database_url: str, sql: Rows, capped: str
) -> None:
    lane, users = lane_of_the_testcard(sql), [add_user(sql, plan=capped) for _ in range(2)]
    async with process(database_url) as one_process, process(database_url) as other:
        for number in range(40):
            await one_process.submit(order(users[number % 2], lane))
        slots = [Slot([one_process, other][n % 2], add_worker(sql)) for n in range(12)]
        for _ in range(ROUNDS):
            leases = await asyncio.gather(*(slot.claim() for slot in slots))
            held = [(slot, lease) for slot, lease in zip(slots, leases, strict=True) if lease]
            assert len(held) == CAP * len(users), "as many as may, and not one more"
            assert broken_laws(sql) == {}
            await asyncio.gather(*(slot.dispatcher.release(slot.fence(lease), "drain") for slot, lease in held))
    assert one(sql, "select count(*) from attempts") == ROUNDS * CAP * len(users)


async def test_a_user_at_the_cap_holds_up_nobody_else(database_url: str, sql: Rows, capped: str) -> None:
    lane, busy, other = lane_of_the_testcard(sql), add_user(sql, plan=capped), add_user(sql)
    async with process(database_url) as dispatcher:
        for _ in range(10):
            await dispatcher.submit(order(busy, lane))
        for _ in range(3):
            await dispatcher.submit(order(other, lane, cost=100))
        slots = [Slot(dispatcher, add_worker(sql)) for _ in range(8)]
        leases = [lease for slot in slots if (lease := await slot.claim())]
        served = [one(sql, "select user_id from jobs where id = %s", lease.job_id) for lease in leases]
        assert (served.count(busy), served.count(other)) == (CAP, 3)
    assert broken_laws(sql) == {}


async def test_what_was_passed_over_is_taken_when_a_seat_is_free_again(
    database_url: str, sql: Rows, capped: str
) -> None:
    """The scan's bound stays below the jobs that were passed over, so nothing waits for the slow poll."""
    lanes = lane_of_the_testcard(sql), add_lane(sql, "second")
    busy, other = add_user(sql, plan=capped), add_user(sql)
    async with process(database_url, hints=False) as dispatcher:
        await dispatcher.board.refresh()
        for number in range(6):
            await dispatcher.submit(order(busy, lanes[number % 2]))
        for _ in range(20):
            await dispatcher.submit(order(other, lanes[0], cost=50))
        slots = [Slot(dispatcher, add_worker(sql), models=("testcard", "second")) for _ in range(4)]
        held: list[tuple[Slot, Lease]] = [(slot, await slot.take()) for slot in slots]
        mine = [
            (slot, lease)
            for slot, lease in held
            if one(sql, "select user_id from jobs where id = %s", lease.job_id) == busy
        ]
        assert len(mine) == CAP
        slot, lease = mine[0]
        await slot.start(lease)
        await slot.complete(sql, lease)
        again = await slot.take()
        assert one(sql, "select user_id from jobs where id = %s", again.job_id) == busy
    assert broken_laws(sql) == {}
