"""Who is next: users share a lane by weight and cost, lanes share a slot, and nobody waits behind a flood."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from control_plane.queue.admission import URGENT_TOKENS
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.statements import AFFINITY_TOKENS, LAG_TOKENS, PATIENCE_SECONDS
from control_plane.wire.worker import Capability
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_backlog,
    add_lane,
    add_user,
    add_worker,
    lane_of_the_testcard,
    one,
    order,
    pass_time,
    process,
    rows,
    serve_in_order,
)


@pytest.fixture
def owner(owner_url: str) -> Iterator[Rows]:
    with rows(owner_url) as connection:
        yield connection


async def submit(dispatcher: Dispatcher, user: UUID, lane: int, jobs: int = 1, **fields: Any) -> list[UUID]:
    """One after the other, as a person would."""
    return [(await dispatcher.submit(order(user, lane, **fields))).job_id for _ in range(jobs)]


def owners(sql: Rows, jobs: list[UUID]) -> list[UUID]:
    found: dict[UUID, Any] = dict(sql.execute("select id, user_id from jobs where id = any (%s)", [jobs]).fetchall())
    return [found[job] for job in jobs]


def lanes_of(sql: Rows, jobs: list[UUID]) -> list[int]:
    found: dict[UUID, Any] = dict(sql.execute("select id, lane_id from jobs where id = any (%s)", [jobs]).fetchall())
    return [found[job] for job in jobs]


# ------------------------------------------------------------------------------------------------ inside a lane


async def test_ten_thousand_jobs_of_one_user_delay_nobody_else(database_url: str, sql: Rows) -> None:
    lane, crowd, newcomer = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    add_backlog(sql, crowd, lane, 10_000)
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        await serve_in_order(slot, 20)
        [job] = await submit(dispatcher, newcomer, lane)
        served = await serve_in_order(slot, 2)
    assert job in served, "one turn of everybody, then it is mine"


async def test_users_share_a_lane_by_the_weight_of_their_plans(database_url: str, sql: Rows, owner: Rows) -> None:
    owner.execute("update plans set weight = 4 where name = 'pro'")
    lane, pro, free = lane_of_the_testcard(sql), add_user(sql, plan="pro"), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, free, lane, 60)
        await submit(dispatcher, pro, lane, 60)
        served = Counter(owners(sql, await serve_in_order(Slot(dispatcher, add_worker(sql)), 50)))
    assert served[pro] == pytest.approx(40, abs=1)


async def test_users_share_a_lane_by_cost_not_by_number(database_url: str, sql: Rows) -> None:
    lane, videos, pictures = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, videos, lane, 10, cost=10)
        await submit(dispatcher, pictures, lane, 60)
        served = Counter(owners(sql, await serve_in_order(Slot(dispatcher, add_worker(sql)), 44)))
    assert served[videos] == pytest.approx(4, abs=1)


async def test_a_batch_of_one_user_stands_in_line_one_behind_the_other(database_url: str, sql: Rows) -> None:
    """Costs add up inside a batch as they do from one order to the next."""
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        await asyncio.gather(*(dispatcher.submit(order(user, lane, cost=cost)) for cost in (1, 2, 3, 4) * 5))
    tags = [tag for (tag,) in sql.execute("select tag from jobs order by tag")]
    assert tags[-1] == 50
    assert len(set(tags)) == 20


async def test_order_inside_a_lane_is_never_jumped(database_url: str, sql: Rows) -> None:
    lane, people = lane_of_the_testcard(sql), [add_user(sql) for _ in range(5)]
    async with process(database_url) as dispatcher:
        for n in range(60):
            await submit(dispatcher, people[n * n % 5], lane, cost=1 + n % 3)
        line = [job for (job,) in sql.execute("select id from jobs order by tag, id")]
        assert await serve_in_order(Slot(dispatcher, add_worker(sql)), 60) == line


async def test_a_flood_that_was_canceled_costs_its_user_no_place(database_url: str, sql: Rows) -> None:
    """100 jobs ordered and canceled, then one: it stands where the first would have stood."""
    lane, fickle, steady = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with process(database_url) as one_process, process(database_url) as other:
        for job in await submit(one_process, fickle, lane, 100):
            await other.cancel(fickle, job)
        await submit(one_process, steady, lane, 5)
        [job] = await submit(other, fickle, lane)
        assert job in await serve_in_order(Slot(one_process, add_worker(sql)), 2)


async def test_an_urgent_job_goes_first_and_the_head_start_is_used_up(database_url: str, sql: Rows) -> None:
    """A stream of urgent jobs, each ordered when the one before is done, holds the others up for a while only."""
    lane, operator, customer = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        [patient] = await submit(dispatcher, customer, lane)
        before = 0
        while True:
            await submit(dispatcher, operator, lane, cost=50, head_start=URGENT_TOKENS)
            [served] = await serve_in_order(slot, 1)
            if served == patient:
                break
            before += 1
        assert 1 <= before <= URGENT_TOKENS / 50 + 1


async def test_a_pile_of_urgent_jobs_has_one_head_start_not_one_each(database_url: str, sql: Rows) -> None:
    lane, operator, customer = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        [patient] = await submit(dispatcher, customer, lane)
        await submit(dispatcher, operator, lane, 40, cost=100, head_start=URGENT_TOKENS)
        served = await serve_in_order(Slot(dispatcher, add_worker(sql)), 15)
    assert 5 <= served.index(patient) <= URGENT_TOKENS / 100 + 1


async def test_a_retry_comes_back_at_the_head_of_the_line(database_url: str, sql: Rows) -> None:
    lane, unlucky, others = lane_of_the_testcard(sql), add_user(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        [job] = await submit(dispatcher, unlucky, lane)
        await submit(dispatcher, others, lane, 30)
        lease = await slot.take()
        assert lease.job_id == job
        assert await dispatcher.fail(slot.fence(lease), "oom", "") == "queued"
        assert job not in await serve_in_order(slot, 5), "in backoff nobody sees it"
        pass_time(sql, 10)
        await dispatcher.tick()
        assert (await slot.take()).job_id == job


# ------------------------------------------------------------------------------------------------ between lanes


async def test_a_slot_stays_with_its_model_until_another_lane_is_far_behind(database_url: str, sql: Rows) -> None:
    first, second, user = add_lane(sql, "first"), add_lane(sql, "second"), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, user, first, 60)
        await submit(dispatcher, user, second, 60)
        slot = Slot(dispatcher, add_worker(sql), ("first", "second"), loaded="first")
        served = lanes_of(sql, await serve_in_order(slot, int(AFFINITY_TOKENS) + 5))
    stayed = served.index(second)
    assert AFFINITY_TOKENS <= stayed <= AFFINITY_TOKENS + 1, "not sooner, and not later"
    assert served[:stayed] == [first] * stayed


async def test_patience_counts_from_when_a_lane_was_last_served(database_url: str, sql: Rows) -> None:
    """Under a backlog every head has waited for long; that alone has no slot load a model for each job."""
    first, second, user = add_lane(sql, "first"), add_lane(sql, "second"), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, user, first, 20)
        await submit(dispatcher, user, second, 20)
        pass_time(sql, 10 * PATIENCE_SECONDS)
        slot = Slot(dispatcher, add_worker(sql), ("first", "second"), loaded="first")
        await serve_in_order(Slot(dispatcher, add_worker(sql), ("second",)), 1)
        served = lanes_of(sql, await serve_in_order(slot, 15))
    assert served == [first] * 15


async def test_affinity_is_a_number_of_tokens_however_many_share_the_lane(database_url: str, sql: Rows) -> None:
    """With ten users in line the clock comes a tenth as far by each token."""
    first, second = add_lane(sql, "first"), add_lane(sql, "second")
    people = [add_user(sql) for _ in range(10)]
    async with process(database_url) as dispatcher:
        for person in people:
            await submit(dispatcher, person, first, 16)
            await submit(dispatcher, person, second, 2)
        await serve_in_order(Slot(dispatcher, add_worker(sql), ("first",)), 80)
        await serve_in_order(Slot(dispatcher, add_worker(sql), ("second",)), 10)
        slot = Slot(dispatcher, add_worker(sql), ("first", "second"), loaded="first")
        served = lanes_of(sql, await serve_in_order(slot, 75))
    assert second in served, "after the affinity, not ten times as late"


async def test_an_old_tag_moves_its_lane_neither_forward_nor_back(database_url: str, sql: Rows) -> None:
    """A retry or an urgent job stands before the clock; lanes are compared by where their lines are."""
    first, second, user = add_lane(sql, "first"), add_lane(sql, "second"), add_user(sql)
    async with process(database_url) as dispatcher:
        both = Slot(dispatcher, add_worker(sql), ("first", "second"))
        await submit(dispatcher, user, first, 120)
        await submit(dispatcher, user, second, 60)
        await serve_in_order(both, 80)
        before = dispatcher.board.lanes[first].tag_offset
        sql.execute(
            "update jobs set tag = 1 where id = (select id from jobs where lane_id = %s and state = 'queued' "
            "order by tag limit 1)",
            [first],
        )
        await dispatcher.tick()
        assert lanes_of(sql, await serve_in_order(Slot(dispatcher, add_worker(sql), ("first",)), 1)) == [first]
        assert dispatcher.board.lanes[first].tag_offset == before


async def test_patience_ends_affinity(database_url: str, sql: Rows) -> None:
    first, second, user = add_lane(sql, "first"), add_lane(sql, "second"), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, user, second)
        pass_time(sql, PATIENCE_SECONDS)
        await submit(dispatcher, user, first, 10)
        slot = Slot(dispatcher, add_worker(sql), ("first", "second"), loaded="first")
        served = lanes_of(sql, await serve_in_order(slot, 2))
    assert second in served


async def test_two_lanes_share_a_slot_by_cost(database_url: str, sql: Rows) -> None:
    cheap, dear, user = add_lane(sql, "cheap"), add_lane(sql, "dear"), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, user, cheap, 120)
        await submit(dispatcher, user, dear, 30, cost=4)
        served = lanes_of(sql, await serve_in_order(Slot(dispatcher, add_worker(sql), ("cheap", "dear")), 100))
    assert served.count(dear) == pytest.approx(20, abs=2)


@pytest.mark.parametrize("loaded", ["long_served", "returning", None])
async def test_a_lane_that_was_long_without_a_worker_neither_starves_nor_is_starved(
    database_url: str, sql: Rows, loaded: str | None
) -> None:
    """200 jobs of one lane were served while the other waited; then a slot in another process serves both."""
    models = {"long_served": add_lane(sql, "long_served"), "returning": add_lane(sql, "returning")}
    user = add_user(sql)
    for lane in models.values():
        add_backlog(sql, user, lane, 500)
    async with process(database_url) as one_process, process(database_url) as other:
        await serve_in_order(Slot(one_process, add_worker(sql), ("long_served",)), 200)
        await one_process.tick()
        await other.tick()
        slot = Slot(other, add_worker(sql), tuple(models), loaded=loaded)
        served = lanes_of(sql, await serve_in_order(slot, 300))
    returning = [place for place, lane in enumerate(served) if lane == models["returning"]]
    assert returning[0] <= AFFINITY_TOKENS + 1, "served at once"
    share = len(returning)
    slack = LAG_TOKENS + 2 * AFFINITY_TOKENS
    assert 150 - slack <= share <= 150 + slack, "and then both take turns"
    assert served.count(models["long_served"]) >= 150 - slack
    longest = max(len(run) for run in runs(served))
    assert longest <= LAG_TOKENS + 2 * AFFINITY_TOKENS + 1


def runs(served: list[int]) -> list[list[int]]:
    """The stretches in which the lane did not change."""
    found: list[list[int]] = []
    for lane in served:
        if found and found[-1][-1] == lane:
            found[-1].append(lane)
        else:
            found.append([lane])
    return found


async def test_a_lane_that_comes_back_again_and_again_gets_its_share_each_time(database_url: str, sql: Rows) -> None:
    """Its worker is there half of the time; neither lane gains by that."""
    steady, moody = add_lane(sql, "steady"), add_lane(sql, "moody")
    user = add_user(sql)
    add_backlog(sql, user, steady, 1_000)
    add_backlog(sql, user, moody, 1_000)
    async with process(database_url) as dispatcher:
        alone = Slot(dispatcher, add_worker(sql), ("steady",))
        both = Slot(dispatcher, add_worker(sql), ("steady", "moody"))
        shares = []
        for _ in range(3):
            await serve_in_order(alone, 60)
            shares.append(lanes_of(sql, await serve_in_order(both, 60)).count(moody))
    assert all(30 <= share <= 30 + LAG_TOKENS for share in shares), shares


async def test_a_claim_in_one_lane_leaves_the_bound_of_another_alone(database_url: str, sql: Rows) -> None:
    quiet, busy, user = add_lane(sql, "quiet"), add_lane(sql, "busy"), add_user(sql)
    async with process(database_url, hints=False) as one_process, process(database_url, hints=False) as other:
        [job] = await submit(one_process, user, quiet)
        await submit(one_process, user, busy, 40)
        slot = Slot(one_process, add_worker(sql), ("busy",))
        await serve_in_order(slot, 40)
        assert one_process.board.lanes[quiet].bound <= 1
        assert one_process.board.lanes[busy].bound == 40
        for dispatcher in (one_process, other):
            lease = await Slot(dispatcher, add_worker(sql), ("quiet", "busy")).take()
            assert lease.job_id == job
            await dispatcher.release(
                Slot(dispatcher, one(sql, "select worker_id from jobs where state = 'running'")).fence(lease), "drain"
            )


async def test_the_clock_of_a_lane_only_rises_whoever_writes_it_down(database_url: str, sql: Rows) -> None:
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with process(database_url) as one_process, process(database_url) as other:
        await submit(one_process, user, lane, 10)
        await serve_in_order(Slot(one_process, add_worker(sql)), 10)
        await one_process.tick()
        await other.tick()
        assert other.board.lanes[lane].clock == 10
        await submit(other, user, lane)
        await serve_in_order(Slot(other, add_worker(sql)), 1)
        await other.tick()
        await one_process.tick()
        assert one_process.board.lanes[lane].clock == 11
    assert one(sql, "select clock from lanes where id = %s", lane) == 11


async def test_a_process_that_starts_knows_what_the_others_learnt(database_url: str, sql: Rows) -> None:
    lane, user = lane_of_the_testcard(sql), add_user(sql)
    async with process(database_url) as dispatcher:
        await submit(dispatcher, user, lane, 10)
        await serve_in_order(Slot(dispatcher, add_worker(sql)), 4)
    async with process(database_url) as restarted:
        known = restarted.board.lanes[lane]
        assert (known.clock, known.bound) == (4, 4)
        [job] = await submit(restarted, add_user(sql), lane)
        assert one(sql, "select tag from jobs where id = %s", job) == 5


async def test_a_larger_slot_serves_the_smaller_lanes_too_and_not_the_other_way(database_url: str, sql: Rows) -> None:
    user = add_user(sql)
    small, large = add_lane(sql, "model", 8), add_lane(sql, "model", 24)
    async with process(database_url) as dispatcher:
        capability = [Capability(kind="image", model="model")]
        assert set(dispatcher.board.serving(capability, 24)) == {small, large}
        assert set(dispatcher.board.serving(capability, 8)) == {small}
        assert dispatcher.board.serving(capability, 4) == ()
        await submit(dispatcher, user, large)
        assert await Slot(dispatcher, add_worker(sql), ("model",)).claim() is None


async def test_a_lane_is_made_on_first_sight_once(database_url: str, sql: Rows) -> None:
    add_lane(sql, "model")
    async with process(database_url) as one_process, process(database_url) as other:
        made = await asyncio.gather(*(at.board.lane("image", "model", 16) for at in [one_process, other] * 4))
    assert len(set(made)) == 1
    assert one(sql, "select count(*) from lanes where model = 'model'") == 2
