"""A lone order and the lease of the agent that waits for it are one commit; nothing is lost where that goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from control_plane.errors import Suspended, TesseraError, Unavailable
from control_plane.queue.dispatch import Dispatcher
from tests.fixtures.people import violations
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_user,
    add_worker,
    broken_laws,
    lane_of_the_testcard,
    one,
    order,
    pass_time,
    process,
    rows,
    state,
    until,
)

LOCK_SECONDS = 5.0
"""How long a session waits for a lock."""
HANDED: LiteralString = """select count(*) from job_events s join job_events c on c.job_id = s.job_id
    where s.name = 'job.submitted' and c.name = 'job.claimed' and c.xmin::text = s.xmin::text"""
"""Jobs whose order and first lease were written by the same transaction."""


async def resting(dispatcher: Dispatcher, slot: Slot) -> asyncio.Future[UUID]:
    """A claim of this slot that has looked and found nothing. Its outcome: the job of its lease, which then ends."""

    async def job() -> UUID:
        lease = await slot.take(wait=20)
        await dispatcher.fail(slot.fence(lease), "invalid_input", "")
        return lease.job_id

    asked = len(dispatcher.waiters)
    claim = asyncio.ensure_future(job())
    await until(lambda: len(dispatcher.waiters) > asked and all(w.rests for w in dispatcher.waiters.all()))
    return claim


async def test_a_lone_order_and_its_lease_are_one_commit(database_url: str, sql: Rows) -> None:
    async with process(database_url, hints=False) as dispatcher:
        lane, slot = lane_of_the_testcard(sql), Slot(dispatcher, add_worker(sql))
        for turn in range(1, 4):
            claim = await resting(dispatcher, slot)
            looks = dispatcher.claims.places.calls
            job = (await dispatcher.submit(order(add_user(sql), lane))).job_id
            assert await claim == job
            assert one(sql, HANDED) == turn
            assert dispatcher.claims.places.calls == looks, "nobody looked for it"
    assert broken_laws(sql) == {}


async def test_an_urgent_order_far_below_the_bound_is_handed_over_too(database_url: str, sql: Rows) -> None:
    async with process(database_url, hints=False) as dispatcher:
        lane, slot, user = lane_of_the_testcard(sql), Slot(dispatcher, add_worker(sql)), add_user(sql)
        for _ in range(3):
            await dispatcher.submit(order(user, lane, cost=50))
            await slot.serve(sql)
        claim = await resting(dispatcher, slot)
        urgent = await dispatcher.submit(order(user, lane, head_start=1_000.0))
        assert await claim == urgent.job_id
        assert one(sql, HANDED) == 1


async def test_a_refused_order_leaves_the_agent_waiting(database_url: str, owner_url: str, sql: Rows) -> None:
    async with process(database_url, hints=False) as dispatcher:
        lane, user, slot = lane_of_the_testcard(sql), add_user(sql), Slot(dispatcher, add_worker(sql))
        with rows(owner_url) as owner:
            owner.execute("update users set status = 'suspended' where id = %s", [user])
        claim = await resting(dispatcher, slot)
        looks = dispatcher.claims.places.calls
        for _ in range(3):
            with pytest.raises(Suspended):
                await dispatcher.submit(order(user, lane))
        assert (claim.done(), dispatcher.claims.places.calls) == (False, looks)
        job = (await dispatcher.submit(order(add_user(sql), lane))).job_id
        assert (await claim, one(sql, HANDED)) == (job, 1)


async def test_an_order_stands_though_the_claim_in_its_transaction_failed(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    with rows(owner_url) as owner:
        owner.execute(
            """create function stumble() returns trigger language plpgsql as $$ begin
                if (select created_at from jobs where id = new.job_id) = now() then raise 'not by this transaction';
                end if;
                return new; end $$""",
        )
        owner.execute("create trigger stumble before insert on attempts for each row execute function stumble()")
    async with process(database_url, hints=False) as dispatcher:
        lane, slot = lane_of_the_testcard(sql), Slot(dispatcher, add_worker(sql))
        claim = await resting(dispatcher, slot)
        placed = await dispatcher.submit(order(add_user(sql), lane, key="once"))
        assert (placed.replayed, await claim) == (False, placed.job_id)
        assert one(sql, "select count(*) from jobs") == 1
        assert one(sql, HANDED) == 0
    assert (broken_laws(sql), violations(owner_url)) == ({}, [])


@pytest.mark.parametrize("strangers", [False, True])
async def test_what_is_handed_over_is_what_is_next_in_line(
    database_url: str, owner_url: str, sql: Rows, strangers: bool
) -> None:
    """A job that came through another process, unheard of here, is served before the order that finds the agent."""
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with process(database_url, hints=False) as here, process(database_url, hints=False) as elsewhere:
        claims = [await resting(here, Slot(here, add_worker(sql))) for _ in range(2)]
        earlier = (await elsewhere.submit(order(add_user(sql) if strangers else user, lane))).job_id
        later = (await here.submit(order(user, lane, cost=20))).job_id
        assert {await claim for claim in claims} == {earlier, later}
        served = sql.execute("select job_id from attempts order by offered_at").fetchall()
        assert [job for (job,) in served] == [earlier, later]
    assert (broken_laws(sql), violations(owner_url)) == ({}, [])


async def test_an_order_does_not_wait_for_the_books_of_whoever_is_first_in_line(database_url: str, sql: Rows) -> None:
    """It holds its own user's; waiting for others' as well, in whatever order, is how deadlocks are made."""
    lane, stranger = lane_of_the_testcard(sql), add_user(sql)
    async with process(database_url, hints=False) as here, process(database_url, hints=False) as elsewhere:
        claims = [await resting(here, Slot(here, add_worker(sql))) for _ in range(2)]
        earlier = (await elsewhere.submit(order(stranger, lane))).job_id
        with psycopg.connect(database_url) as busy:
            busy.execute("select from balances where user_id = %s for no key update", [stranger])
            async with asyncio.timeout(LOCK_SECONDS / 2):
                later = (await here.submit(order(add_user(sql), lane, cost=20))).job_id
        assert {await claim for claim in claims} == {earlier, later}


async def test_a_worker_that_may_not_work_is_handed_nothing(database_url: str, sql: Rows) -> None:
    async with process(database_url, hints=False) as here, process(database_url, hints=False) as elsewhere:
        slot, other = Slot(here, add_worker(sql)), Slot(here, add_worker(sql))
        draining = asyncio.ensure_future(slot.ask(wait=20))
        await until(lambda: any(w.rests for w in here.waiters.all()))
        await elsewhere.drain(slot.worker_id)
        claim = await resting(here, other)
        job = (await here.submit(order(add_user(sql), lane_of_the_testcard(sql)))).job_id
        assert (await draining).skipped == {"draining": 1}
        assert await claim == job, "the wake-up was passed on"


async def test_an_agent_that_leaves_at_that_instant_holds_an_offer_that_comes_back(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    ended = Counter[str]()
    async with process(database_url, hints=False) as dispatcher:
        lane, user = lane_of_the_testcard(sql), add_user(sql)
        turn = 0
        while turn < 24 or (turn < 240 and one(sql, HANDED) < 12):
            slot = Slot(dispatcher, add_worker(sql))
            claim = asyncio.ensure_future(slot.claim(wait=20))
            await until(lambda: any(w.rests for w in dispatcher.waiters.all()))
            ordering = asyncio.ensure_future(dispatcher.submit(order(user, lane)))
            for _ in range(turn // 3 % 8):
                await asyncio.sleep(0)
            if turn % 3 == 0:
                slot.gone.set()
            elif turn % 3 == 1:
                claim.cancel()
            else:
                dispatcher.waiters.supersede(slot.worker_id, {0})
            job = (await ordering).job_id
            with suppress(asyncio.CancelledError):
                await claim
            assert len(dispatcher.waiters) == 0
            pass_time(sql, 11)
            await dispatcher.reap()
            ended[state(sql, job)[0]] += 1
            heir = await Slot(dispatcher, add_worker(sql)).take()
            assert heir.job_id == job
            await dispatcher.cancel(user, job)
            turn += 1
    assert ended == {"queued": turn}
    assert one(sql, HANDED) >= 12
    assert (broken_laws(sql), violations(owner_url)) == ({}, [])


async def test_orders_cancels_agents_and_lost_connections_at_once_lose_nothing(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    """Two processes without NOTIFY. Every job that a customer was told of is there, and the books agree."""
    lane, users = lane_of_the_testcard(sql), [add_user(sql) for _ in range(4)]
    told: list[UUID] = []
    killed, unknown = 0, 0
    over = asyncio.Event()

    async def agent(slot: Slot) -> None:
        while not over.is_set():
            with suppress(TesseraError, psycopg.Error):
                if lease := await slot.claim(wait=0.5):
                    await slot.dispatcher.fail(slot.fence(lease), "invalid_input", "")

    async def customer(dispatcher: Dispatcher, user: UUID) -> None:
        nonlocal unknown
        for _ in range(40):
            await asyncio.sleep(random.uniform(0, 0.05))
            try:
                job = (await dispatcher.submit(order(user, lane))).job_id
                told.append(job)
            except Unavailable:
                unknown += 1
                continue
            if random.random() < 0.3:
                with suppress(Unavailable):
                    await dispatcher.cancel(user, job)

    async def kill() -> None:
        nonlocal killed
        while not over.is_set():
            await asyncio.sleep(0.1)
            killed += one(
                sql,
                """select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                and backend_type = 'client backend' order by random() limit 1) a""",
            )

    async with process(database_url, hints=False) as here, process(database_url, hints=False) as other:
        async with asyncio.TaskGroup() as tasks:
            for dispatcher in (here, other):
                for _ in range(3):
                    tasks.create_task(agent(Slot(dispatcher, add_worker(sql))))
            tasks.create_task(kill())
            async with asyncio.TaskGroup() as ordering:
                for n, user in enumerate(users):
                    ordering.create_task(customer((here, other)[n % 2], user))
            over.set()
            other.waiters.close()
            here.waiters.close()
        missing = one(sql, "select count(*) from unnest(%s::uuid[]) t (id) where id not in (select id from jobs)", told)
    assert missing == 0
    assert len(told) + unknown == 160
    assert one(sql, "select count(*) from jobs") <= len(told) + unknown
    assert (one(sql, HANDED) >= 20, killed >= 3, len(told) >= 100) == (True, True, True)
    assert (broken_laws(sql), violations(owner_url)) == ({}, [])
