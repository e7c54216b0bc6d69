"""The scheduler's own traps, each with two control-plane processes on one database.

A job may be invisible to a process for a moment (a stale bound, a lost hint, somebody else's row lock), never longer
than the written bound (`control_plane/queue/bound.py`, derived in ARCHITECTURE.md, "The wait bound"), which has one
second for everything that a hint, a bound or a sweep may have missed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec import structs

from control_plane.database import SESSION_OPTIONS, statements
from control_plane.queue.bound import Rivals, tokens_before
from control_plane.queue.dispatch import TICK_SECONDS, Dispatcher
from control_plane.queue.statements import AFFINITY_TOKENS, LAG_TOKENS
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_backlog,
    add_lane,
    add_user,
    add_worker,
    alone,
    broken_laws,
    lane_of_the_testcard,
    one,
    order,
    pass_time,
    process,
    serve_in_order,
)

SLACK_SECONDS = 4.0
"""What a busy test machine may add to a bound that is measured in seconds."""


@asynccontextmanager
async def pair(url: str, **settings: Any) -> AsyncIterator[tuple[Dispatcher, Dispatcher]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(process(url, **settings)),
            await stack.enter_async_context(process(url, **settings)),
        )


def longest_wait(sql: Rows) -> float:
    """Seconds from order to first lease, of the job that waited longest."""
    return float(
        one(
            sql,
            """select max(extract(epoch from a.offered_at - j.created_at)) from jobs j
            join attempts a on a.job_id = j.id and a.number = 1""",
        )
    )


async def serve_until(slot: Slot, sql: Rows, enough: asyncio.Event) -> int:
    """An agent that polls and serves until told to stop."""
    served = 0
    while not enough.is_set():
        if lease := await slot.claim(wait=2):
            await slot.complete(sql, lease)
            served += 1
    return served


async def test_a_tag_computed_before_and_committed_after_a_later_claim_is_served_within_a_tick(
    database_url: str, sql: Rows
) -> None:
    """The submit's transaction is slow: when it commits, both processes have moved their bounds past its tag."""
    lane, slow, quick = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with pair(database_url, hints=False) as (one_process, other):
        wish = structs.asdict(order(slow, lane))
        with psycopg.connect(database_url) as late:
            row = late.execute(
                statements()["admission.submit"][1],
                {**{name: [value] for name, value in wish.items()}, "spent_plans": []},
            ).fetchone()
            assert row is not None
            add_backlog(sql, quick, lane, 200)
            slots = [Slot(dispatcher, add_worker(sql)) for dispatcher in (one_process, other)]
            for slot in slots:
                await slot.dispatcher.tick()
                await serve_in_order(slot, 20)
            assert min(slot.dispatcher.board.lanes[lane].bound for slot in slots) > row[3], "both bounds are too high"
            late.commit()
        job = row[2]
        for slot in slots:
            await slot.dispatcher.tick()
            lease = await slot.take()
            assert lease.job_id == job, "after one look at the heads the oldest tag is first"
            await slot.dispatcher.release(slot.fence(lease), "drain")


async def test_without_notify_fifty_submits_a_second_wait_a_tick_at_most(database_url: str, sql: Rows) -> None:
    """Orders come to both processes, agents poll both, and neither tells the other anything."""
    lane, people = lane_of_the_testcard(sql), [add_user(sql) for _ in range(5)]
    async with pair(database_url, hints=False) as processes:
        enough = asyncio.Event()
        agents = [
            asyncio.ensure_future(serve_until(Slot(dispatcher, add_worker(sql)), sql, enough))
            for dispatcher in processes
            for _ in range(3)
        ]
        for n in range(150):
            await processes[n % 2].submit(order(people[n % 5], lane))
            await asyncio.sleep(0.02)
        async with asyncio.timeout(TICK_SECONDS + SLACK_SECONDS):
            while one(sql, "select count(*) from jobs where state = 'queued'"):
                await asyncio.sleep(0.02)
        enough.set()
        served = await asyncio.gather(*agents)
        assert [dispatcher.bus.heard for dispatcher in processes] == [0, 0]
    assert sum(served) == 150
    assert min(sum(served[:3]), sum(served[3:])) >= 10, "both processes served"
    assert longest_wait(sql) <= TICK_SECONDS + SLACK_SECONDS
    assert broken_laws(sql) == {}


async def test_orders_to_one_process_reach_agents_that_wait_at_the_other_without_notify(
    database_url: str, sql: Rows
) -> None:
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with pair(database_url, hints=False) as (one_process, other):
        waiting = asyncio.ensure_future(Slot(other, add_worker(sql)).take(wait=10))
        await asyncio.sleep(0.1)
        job = (await one_process.submit(order(user, lane))).job_id
        async with asyncio.timeout(TICK_SECONDS + SLACK_SECONDS):
            assert (await waiting).job_id == job


async def test_a_claim_that_is_rolled_back_hides_the_job_only_while_it_lasts(database_url: str, sql: Rows) -> None:
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with pair(database_url, hints=False) as (one_process, other):
        jobs = [(await one_process.submit(order(user, lane))).job_id for _ in range(6)]
        with psycopg.connect(database_url) as stuck:
            stuck.execute(
                """update jobs set state = 'running', attempt = 1, phase = 'offered', worker_id = %(w)s, slot = 0,
                claim_id = %(w)s, lease_token = %(w)s, lease_expires_at = now() where id = %(j)s""",
                {"w": add_worker(sql), "j": jobs[0]},
            )
            for slot in (Slot(one_process, add_worker(sql)), Slot(other, add_worker(sql))):
                served = await serve_in_order(slot, 2)
                assert jobs[0] not in served
                await slot.dispatcher.tick()
            stuck.rollback()
        for dispatcher in (one_process, other):
            slot = Slot(dispatcher, add_worker(sql))
            lease = await slot.take()
            assert lease.job_id == jobs[0], "it never lost its place, in neither process"
            await dispatcher.release(slot.fence(lease), "drain")


async def test_agents_that_wait_while_a_claim_is_stuck_get_the_job_when_it_is_rolled_back(
    database_url: str, sql: Rows
) -> None:
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with pair(database_url) as (one_process, other):
        job = (await one_process.submit(order(user, lane))).job_id
        with psycopg.connect(database_url) as stuck:
            stuck.execute("select from jobs where id = %s for update", [job])
            waiting = [
                asyncio.ensure_future(Slot(dispatcher, add_worker(sql)).claim(wait=8))
                for dispatcher in (one_process, other)
            ]
            await asyncio.sleep(2 * TICK_SECONDS)
            assert not any(claim.done() for claim in waiting)
            stuck.rollback()
        async with asyncio.timeout(TICK_SECONDS + SLACK_SECONDS):
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [lease.job_id for claim in done if (lease := claim.result())] == [job]
        one_process.waiters.close()
        other.waiters.close()
        await asyncio.wait(waiting)


async def test_a_claim_in_another_lane_hides_nothing(database_url: str, sql: Rows) -> None:
    """One process works through a busy lane; a job in a quiet lane comes from the other process, without a hint."""
    quiet, busy, user = add_lane(sql, "quiet"), add_lane(sql, "busy"), add_user(sql)
    add_backlog(sql, user, busy, 300, first_tag=1_000)
    async with pair(database_url, hints=False) as (one_process, other):
        slot = Slot(one_process, add_worker(sql), ("quiet", "busy"), loaded="busy")
        await serve_in_order(slot, 100)
        job = (await other.submit(order(user, quiet))).job_id
        alone = Rivals(weights=1, dearest=1)
        assert job in await serve_in_order(slot, int(tokens_before(1, alone, [alone])) + 1)


async def test_a_thousand_retries_in_backoff_are_neither_seen_nor_lost(database_url: str, sql: Rows) -> None:
    lane, unlucky, user = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    add_backlog(sql, unlucky, lane, 1_000)
    sql.execute("update jobs set tag = null, failures = 1, due_at = now() + interval '1 hour'")
    async with pair(database_url) as (one_process, other):
        slot = Slot(one_process, add_worker(sql))
        job = (await other.submit(order(user, lane))).job_id
        assert (await slot.take(wait=5)).job_id == job
        for name in CLAIMS:
            assert visited(name, one_process, lane, slot.worker_id)["rows"] <= 5
        assert await Slot(other, add_worker(sql)).claim() is None
        pass_time(sql, 3_600)
        await asyncio.gather(one_process.tick(), other.tick())
        assert one(sql, "select count(*) from jobs where failures = 1 and tag is not null and due_at is null") == 1_000
        another = Slot(other, add_worker(sql))
        assert len(await serve_in_order(another, 20)) == 20


@pytest.mark.parametrize("hints", [True, False])
async def test_a_newcomer_is_served_within_the_bound_however_busy_the_others_are(
    database_url: str, sql: Rows, hints: bool
) -> None:
    """Ten users with long lines in two lanes, slots in both processes, and one order in the middle of it."""
    first, second = add_lane(sql, "first"), add_lane(sql, "second")
    for n in range(10):
        add_backlog(sql, add_user(sql), (first, second)[n % 2], 200)
    async with pair(database_url, hints=hints) as processes:
        slots = [
            Slot(dispatcher, add_worker(sql), ("first", "second"), loaded=loaded)
            for dispatcher in processes
            for loaded in ("first", "second")
        ]
        for _ in range(10):
            for slot in slots:
                await serve_in_order(slot, 1)
        job = (await processes[0].submit(order(add_user(sql), second))).job_id
        bound = tokens_before(
            1, Rivals(weights=6, dearest=6), [Rivals(weights=5, dearest=5)], pace=processes[0].board.pace
        )
        served: list[UUID] = []
        for dispatcher in processes:
            await dispatcher.tick()
        while job not in served:
            assert len(served) <= bound, "served too late"
            served += await serve_in_order(slots[len(served) % 4], 1)


CLAIMS = ("queue.claim", "queue.claim_one")


def visited(
    name: str, dispatcher: Dispatcher, lane: int, worker: UUID, *, bound: float | None = None
) -> dict[str, int]:
    """What a claim would look at: buffers, and rows of `jobs` that it fetched. Rolled back."""
    hints = dispatcher.board.hints((lane,))
    parameters: dict[str, Any] = {
        "worker_id": [worker],
        "slot": [0],
        "claim_id": [uuid4()],
        "is_full": [False],
        "loaded_lane_id": None,
        "lane_id": [lane],
        "bound": [hints[0].bound if bound is None else bound],
        "clock": [hints[0].clock],
        "tag_offset": [hints[0].tag_offset],
        "served_at": [hints[0].served_at],
        "pool_clock": dispatcher.board.pool_clock((lane,)),
        "offer_seconds": 10.0,
        "affinity": AFFINITY_TOKENS,
        "patience": 20.0,
        "lag": LAG_TOKENS,
    }
    if name == "queue.claim_one":
        parameters = alone(parameters)
    text = statements()[name][1]
    with psycopg.connect(dispatcher.database.url, options=SESSION_OPTIONS) as connection:
        explained = f"explain (analyze, buffers, format json) {text}"
        with connection.transaction(force_rollback=True):
            connection.execute(explained, parameters)  # what functions plan is planned
        found = connection.execute(explained, parameters).fetchone()
        connection.rollback()
    assert found is not None
    plan = found[0][0]["Plan"] if not isinstance(found[0], str) else json.loads(found[0])[0]["Plan"]
    return {
        "buffers": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "rows": sum(
            int(node["Actual Rows"] * node["Actual Loops"])
            for node in nodes(plan)
            if node.get("Relation Name") == "jobs"
        ),
    }


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


LEASE_THEM = """
    update jobs set state = 'running', attempt = 1, phase = 'started', slot = 0, claim_id = gen_random_uuid(),
        worker_id = (%(workers)s::uuid[])[1 + tag::integer %% 8], lease_token = gen_random_uuid(),
        lease_expires_at = now()
    where tag <= 20000"""
COUNT_THEM = "update balances set queued = queued - 20000, running = running + 20000 where queued >= 20000"
END_THEM = """
    update jobs set state = 'succeeded', finished_at = now(), worker_id = null, slot = null, claim_id = null,
        lease_token = null, phase = null, lease_expires_at = null where state = 'running'"""


@pytest.mark.parametrize("name", CLAIMS)
async def test_claims_do_not_collapse_under_an_old_snapshot(database_url: str, sql: Rows, name: str) -> None:
    """20,000 jobs are claimed and done while somebody's transaction stays open, so nothing of them can be cleaned."""
    lane, user, workers = lane_of_the_testcard(sql), add_user(sql), [add_worker(sql) for _ in range(8)]
    add_backlog(sql, user, lane, 20_100)
    sql.execute("analyze jobs")
    async with pair(database_url) as (one_process, other):
        clean = visited(name, one_process, lane, workers[0])
        with psycopg.connect(database_url) as old:
            old.execute("set transaction isolation level repeatable read")
            old.execute("select count(*) from jobs")
            sql.execute(LEASE_THEM, {"workers": workers})
            sql.execute(COUNT_THEM)
            sql.execute(END_THEM)
            for dispatcher in (one_process, other):
                await dispatcher.tick()
                await serve_in_order(Slot(dispatcher, add_worker(sql)), 2)
                bounded = visited(name, dispatcher, lane, workers[0])
                unbounded = visited(name, dispatcher, lane, workers[0], bound=float("-inf"))
                assert bounded["buffers"] <= 2 * clean["buffers"], (clean, bounded, unbounded)
                assert bounded["rows"] <= 2 * clean["rows"]
                assert unbounded["buffers"] > 5 * clean["buffers"], "the trap is set"


async def test_the_bound_falls_when_a_job_with_an_older_tag_comes_back(database_url: str, sql: Rows) -> None:
    """A released lease keeps its place, in the process that hears of it at once and in the other within a tick."""
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with pair(database_url, hints=False) as (one_process, other):
        add_backlog(sql, user, lane, 50)
        slot = Slot(one_process, add_worker(sql))
        old = await slot.take()
        await serve_in_order(Slot(one_process, add_worker(sql)), 10)
        await other.tick()
        assert one_process.board.lanes[lane].bound > 1
        await one_process.release(slot.fence(old), "drain")
        assert one_process.board.lanes[lane].bound == 1
        await other.tick()
        assert (await Slot(other, add_worker(sql)).take()).job_id == old.job_id
