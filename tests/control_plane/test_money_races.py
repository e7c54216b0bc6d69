"""Nobody pays twice or for nothing, whatever comes at the same moment: real PostgreSQL, real processes, and floors.

Each test ends with the books in order. Time is helped along by moving the dates of rows.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import aiohttp
import msgspec
import pytest

from control_plane import audit
from control_plane.errors import LeaseLost, QueueFull, TokensShort
from control_plane.money import ledger
from control_plane.people import credentials
from control_plane.queue import statements
from control_plane.queue.admission import Order
from control_plane.queue.dispatch import Dispatcher
from control_plane.wire.worker import FailCause, Lease
from tests.fixtures.money import account, in_order, midnight, report, settled
from tests.fixtures.queue import (
    DEADLINE_SECONDS,
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
from tests.fixtures.services import Services


async def told(submit: Awaitable[object]) -> str:
    try:
        await submit
    except (TokensShort, QueueFull) as error:
        return error.slug
    return "admitted"


# ------------------------------------------------------------------------------------------ concurrent submits


@pytest.mark.parametrize("purchased", [0, 4])
async def test_of_200_orders_at_once_exactly_those_that_can_be_paid_are_taken(
    database_url: str, owner: Rows, sql: Rows, tmp_path: Path, purchased: int
) -> None:
    """Over HTTP, to two control planes: ten jobs and a balance of zero, or of what was bought on top."""
    user = add_user(sql, plan="ten")
    async with process(database_url) as plane:
        if purchased:
            await ledger.grant(plane.database, user, purchased, "bought", audit.OPERATOR)
        made = await credentials.create_key(plane.database, name="k", user_id=user, scopes=["submit"])
        with Services(database_url, tmp_path, count=2) as services:
            await services.ready()
            answers = await _orders(services.urls, made.key, 200)
        statuses = Counter(status for status, _ in answers)
        assert statuses == {201: 10 + purchased, 402: 190 - purchased}
        refused = [body for status, body in answers if status == 402]
        assert {(body["needed"], body["available"]) for body in refused} == {(1, 0)}
        assert all(body["resets_at"].endswith("T00:00:00Z") for body in refused)
        assert account(sql, user) == (0, 10 + purchased, 10)
        assert one(sql, "select count(*) from jobs") == 10 + purchased
        assert one(sql, "select sum(purchased) from jobs") == purchased
        await in_order(plane.database, sql)


async def _orders(urls: list[str], key: str, count: int) -> list[tuple[int, dict[str, Any]]]:
    body = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(url: str) -> tuple[int, dict[str, Any]]:
            async with session.post(f"{url}/api/v1/jobs", json=body, headers=headers) as response:
                return response.status, msgspec.json.decode(await response.read())

        return await asyncio.gather(*(post(url) for url in itertools.islice(itertools.cycle(urls), count)))


async def test_what_is_refused_beside_a_smaller_order_is_decided_by_what_is_left(
    planes: tuple[Dispatcher, Dispatcher], owner: Rows, sql: Rows
) -> None:
    """Orders of all sizes at once: never overdrawn, and nothing refused that would still have fitted at the end."""
    for round_ in range(8):
        user, lane = add_user(sql, plan="twenty"), lane_of_the_testcard(sql)
        costs = [1, 2, 3, 5, 8, 13] * 4
        random.Random(round_).shuffle(costs)
        orders = [order(user, lane, cost=cost) for cost in costs]
        answers = await asyncio.gather(*(told(planes[n % 2].submit(one)) for n, one in enumerate(orders)))
        taken = sum(cost for cost, answer in zip(costs, answers, strict=True) if answer == "admitted")
        left = 20 - taken
        assert left >= 0
        assert all(cost > left for cost, answer in zip(costs, answers, strict=True) if answer == "tokens-short")
        assert account(sql, user) == (0, taken, taken)
    await in_order(planes[0].database, sql)


# ------------------------------------------------------------------------------------------ midnight


async def test_what_was_held_yesterday_adds_nothing_to_today(
    planes: tuple[Dispatcher, Dispatcher], owner: Rows, sql: Rows
) -> None:
    """Yesterday's jobs end while today's burst comes: today has its ten tokens, not one more."""
    here, there = planes
    user, lane, slot = add_user(sql, plan="ten"), lane_of_the_testcard(sql), Slot(here, add_worker(sql))
    await ledger.grant(here.database, user, 3, "bought", audit.OPERATOR)
    old = [(await here.submit(order(user, lane))).job_id for _ in range(13)]
    done = await slot.serve(sql)
    owner.execute("select a_day_passes()")
    assert account(sql, user) == (0, 12, 0)
    waiting = [job for job in old if job != done.job_id]
    submits = [told(planes[n % 2].submit(order(user, lane))) for n in range(40)]
    cancels = [there.cancel(user, job) for job in waiting[:8]]
    answers, _ = await asyncio.gather(asyncio.gather(*submits), asyncio.gather(*cancels))
    returned = int(one(sql, "select coalesce(sum(returned), 0) from settlements"))
    bought = one(sql, "select sum(amount) from ledger_transfers where kind = 'return' and credit = 'purchased'") or 0
    admitted = Counter(answers)["admitted"]
    assert returned == 8
    assert 10 <= admitted <= 10 + bought
    assert account(sql, user)[2] == 10
    days = sql.execute("select day - utc_day(now()), jobs, daily, purchased from usage_daily order by day").fetchall()
    assert [row[:2] for row in days] == [(-1, 13), (0, admitted)]
    assert days[0][2] + days[0][3] == 13 - 8
    assert days[1][2:] == (10, admitted - 10)
    await in_order(here.database, sql)


async def test_midnight_in_the_middle_of_a_burst_opens_exactly_one_more_day(
    planes: tuple[Dispatcher, Dispatcher], owner: Rows, sql: Rows
) -> None:
    """Three days' tokens for two midnights, whenever they strike; every day's usage is that of its own jobs."""
    lane = lane_of_the_testcard(sql)
    for user in [add_user(sql, plan="ten") for _ in range(3)]:
        over, answers = asyncio.Event(), Counter[str]()
        async with asyncio.TaskGroup() as tasks:
            for n in range(8):
                tasks.create_task(burst(planes[n % 2], order(user, lane), over, answers))
            for day in (1, 2, 3):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while answers["admitted"] < 10 * day or answers["tokens-short"] < 10 * day:
                        await asyncio.sleep(0.005)
                if day < 3:
                    await asyncio.to_thread(midnight, owner)
            over.set()
        assert answers["admitted"] == 30
        days = sql.execute("select jobs, daily, purchased from usage_daily where user_id = %s", [user]).fetchall()
        assert days == [(10, 10, 0)] * 3
        assert account(sql, user) == (0, 30, 10)
    await in_order(planes[0].database, sql)


async def burst(plane: Dispatcher, wanted: Order, over: asyncio.Event, answers: Counter[str]) -> None:
    while not over.is_set():
        answers[await told(plane.submit(wanted))] += 1


# ------------------------------------------------------------------------------------------ races

ROUNDS = 60
CAUSES: tuple[FailCause, ...] = ("oom", "invalid_input")


async def test_a_cancel_that_races_a_completion_is_charged_as_it_was_told(
    planes: tuple[Dispatcher, Dispatcher], sql: Rows
) -> None:
    """Whoever comes first: what the worker was told, what the job says and what was charged are one thing."""
    here, there = planes
    user, lane, slot = add_user(sql), lane_of_the_testcard(sql), Slot(here, add_worker(sql))
    ends: Counter[str] = Counter()
    for round_ in range(ROUNDS):
        job_id = (await here.submit(order(user, lane, cost=4))).job_id
        lease = await slot.start(await slot.take())
        add_file(sql, lease)
        report(sql, lease, 0.5)

        async def late(turns: int, call: Awaitable[Any]) -> Any:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await call

        turns = random.Random(round_).choice([(0, 0), (0, 20), (20, 0), (0, 200), (200, 0)])
        answer, _ = await asyncio.gather(
            late(turns[0], here.complete(slot.fence(lease), 1)), late(turns[1], there.cancel(user, job_id))
        )
        state = one(sql, "select state from jobs where id = %s", job_id)
        assert state == answer
        assert settled(sql, job_id) == ((4, 0) if state == "succeeded" else (2, 2))
        ends[state] += 1
    assert min(ends["succeeded"], ends["canceled"]) >= 5, ends
    await in_order(here.database, sql)


async def test_one_job_ended_by_everybody_at_once_is_settled_once(
    planes: tuple[Dispatcher, Dispatcher], sql: Rows
) -> None:
    here, there = planes
    user, lane = add_user(sql), lane_of_the_testcard(sql)
    ends: Counter[str] = Counter()
    for round_ in range(30):
        slot = Slot(here, add_worker(sql))
        job_id = (await here.submit(order(user, lane, cost=4))).job_id
        lease = await slot.start(await slot.take())
        add_file(sql, lease)
        sql.execute("update jobs set lease_expires_at = now() - interval '1 s' where id = %s", [job_id])
        calls: list[Awaitable[object]] = [
            here.complete(slot.fence(lease), 1),
            there.complete(slot.fence(lease), 1),
            there.fail(slot.fence(lease), "invalid_input", ""),
            here.release(slot.fence(lease), "drain"),
            here.cancel(user, job_id),
            there.reap(),
            here.revoke(slot.worker_id),
        ]
        random.Random(round_).shuffle(calls)
        await asyncio.gather(*calls, return_exceptions=True)
        await here.cancel(user, job_id)
        state = one(sql, "select state from jobs where id = %s", job_id)
        assert settled(sql, job_id) == ((4, 0) if state == "succeeded" else (0, 4))
        ends[state] += 1
    assert len(ends) >= 2, ends
    await in_order(here.database, sql)


STORM_SECONDS = 6.0
Answer = TypeVar("Answer")
STORM_FLOORS = {"admitted": 100, "tokens-short": 20, "succeeded": 30, "canceled": 20, "failed": 3, "midnight": 2}


@pytest.mark.slow
async def test_everything_at_once_leaves_the_books_in_order(
    planes: tuple[Dispatcher, Dispatcher], owner: Rows, sql: Rows
) -> None:
    """Customers, workers, an operator and midnight, all in each other's way; then everything is let go."""
    chance, lane = random.Random(7), lane_of_the_testcard(sql)
    people = [add_user(sql, plan="twenty") for _ in range(4)]
    happened: Counter[str] = Counter()
    over = asyncio.get_running_loop().time() + STORM_SECONDS
    placed: list[tuple[UUID, UUID]] = []

    def going() -> bool:
        return asyncio.get_running_loop().time() < over

    async def customer(plane: Dispatcher) -> None:
        while going():
            who = chance.choice(people)
            try:
                cost, max_wait = chance.choice([1, 1, 2, 3]), chance.choice([None, 1])
                job = await plane.submit(order(who, lane, cost=cost, max_wait=max_wait))
            except (TokensShort, QueueFull) as error:
                happened[error.slug] += 1
                await asyncio.sleep(0.02)
            else:
                happened["admitted"] += 1
                placed.append((who, job.job_id))
            if placed and chance.random() < 0.3:
                await plane.cancel(*chance.choice(placed[-20:]))

    async def beside(statement: Callable[..., Answer], *parameters: object) -> Answer:
        """Rows that others hold must not stop everybody here, nor must who waits for them on the same connection."""
        return await asyncio.to_thread(statement, *parameters)

    async def worker(plane: Dispatcher) -> None:
        slot = Slot(plane, await beside(add_worker, sql))
        while going():
            if (lease := await slot.claim(wait=0.05)) is None:
                continue
            try:
                await _work(slot, lease)
            except (LeaseLost, AssertionError):
                happened["lease lost"] += 1
            if chance.random() < 0.05:
                await plane.revoke(slot.worker_id)
                slot = Slot(plane, await beside(add_worker, sql))

    async def _work(slot: Slot, lease: Lease) -> None:
        await slot.start(lease)
        await beside(report, sql, lease, chance.random())
        await asyncio.sleep(chance.choice([0, 0, 0.01]))
        match chance.choice(["complete", "complete", "complete", "fail", "release", "vanish"]):
            case "complete":
                await beside(add_file, sql, lease)
                happened[await slot.dispatcher.complete(slot.fence(lease), 1)] += 1
            case "fail":
                fence, cause = slot.fence(lease), chance.choice(CAUSES)
                happened[await slot.dispatcher.fail(fence, cause, "")] += 1
            case "release":
                await slot.dispatcher.release(slot.fence(lease), "drain")
            case _:
                late: LiteralString = "update jobs set lease_expires_at = now() where lease_token = %s"
                await beside(sql.execute, late, [lease.token])

    async def operator(plane: Dispatcher) -> None:
        while going():
            who, amount = chance.choice(people), chance.choice([-12, 3, 5, 8])
            await ledger.adjust(plane.database, who, amount, "storm", audit.OPERATOR)
            await asyncio.sleep(0.05)

    async def nights() -> None:
        while going():
            await asyncio.sleep(STORM_SECONDS / 4)
            await asyncio.to_thread(midnight, owner)
            happened["midnight"] += 1

    async with asyncio.TaskGroup() as tasks:
        for n in range(6):
            tasks.create_task(customer(planes[n % 2]))
            tasks.create_task(worker(planes[n % 2]))
        tasks.create_task(operator(planes[0]))
        tasks.create_task(nights())
    happened["canceled"] = one(sql, "select count(*) from jobs where state = 'canceled'")
    assert {what: happened[what] for what, floor in STORM_FLOORS.items() if happened[what] < floor} == {}, happened
    await in_order(planes[0].database, sql)
    await _let_go(planes[0], sql)
    assert one(sql, "select sum(held) from balances") == 0
    assert one(sql, "select count(*) from settlements") == one(sql, "select count(*) from jobs") == happened["admitted"]
    await in_order(planes[0].database, sql)


async def _let_go(plane: Dispatcher, sql: Rows) -> None:
    for user, job_id in sql.execute("select user_id, id from jobs where state in ('queued', 'running')").fetchall():
        await statements.cancel(plane.database, user, job_id)
    pass_time(sql, 301)
    while await plane.reap():
        pass
