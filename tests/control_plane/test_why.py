"""`tessera job why`: the reason with its numbers, from the same rows as the claim."""

from __future__ import annotations

from uuid import UUID

import pytest

from control_plane.operator import why
from control_plane.operator.tables import JOB
from control_plane.queue.dispatch import Dispatcher
from tests.fixtures.queue import Rows, Slot, add_lane, add_user, add_worker, lane_of_the_testcard, order, process


async def told(dispatcher: Dispatcher, job_id: UUID) -> tuple[why.Answer, str]:
    job = await dispatcher.database.one(JOB, {"job_id": job_id})
    assert job is not None
    await dispatcher.board.write_down()
    found = await why.answer(dispatcher.database, job, 60.0)
    return found, "\n".join(why.sentences(found, found.waiting.reason))


async def test_who_is_ahead_what_the_slots_do_and_the_bound(database_url: str, sql: Rows) -> None:
    lane, crowd, last = lane_of_the_testcard(sql), add_user(sql, "crowd"), add_user(sql)
    worker = add_worker(sql)
    sql.execute("update workers set name = 'box' where id = %s", [worker])
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, worker)
        for _ in range(3):
            await dispatcher.submit(order(crowd, lane, cost=4))
        await slot.serve(sql)
        job = (await dispatcher.submit(order(last, lane, cost=9))).job_id
        await slot.start(await slot.take())
        found, sentences = await told(dispatcher, job)
    assert found.waiting.reason == "all_workers_busy"
    assert (found.ahead[0].user, found.ahead[0].jobs, found.ahead[0].tokens) == ("crowd", 1, 4)
    assert "Ahead of it in line: 1 job, 4 tokens: crowd (house) 4." in sentences
    assert "  box/0: runs 4 tokens of testcard, for 0 s" in sentences
    assert found.bound_seconds is not None
    assert found.waiting.eta is not None
    assert found.bound_seconds >= found.waiting.eta.p50_seconds - 9
    assert "By the wait bound it starts within" in sentences


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("update slots set quarantined_at = now()", "in quarantine"),
        ("update workers set drain_requested_at = now()", "drained"),
        ("update slots set last_seen_at = now() - interval '10 minutes'", "not heard of lately"),
        ("update slots set healthy = false", "not healthy"),
    ],
)
async def test_a_slot_that_takes_nothing_says_why(database_url: str, sql: Rows, trouble: str, words: str) -> None:
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        assert await slot.claim() is None
        job = (await dispatcher.submit(order(add_user(sql), lane_of_the_testcard(sql)))).job_id
        sql.execute(trouble.encode())
        found, sentences = await told(dispatcher, job)
    assert f"/0: {words}" in sentences
    assert found.bound_seconds is None
    assert found.waiting.reason in ("workers_quarantined", "workers_draining", "no_worker_for_model")


async def test_a_user_at_the_cap_and_a_slot_with_another_model(database_url: str, owner_url: str, sql: Rows) -> None:
    first, second, user = add_lane(sql, "first"), add_lane(sql, "second"), add_user(sql)
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql), ("first", "second"), loaded="first")
        await dispatcher.submit(order(user, first))
        await slot.start(await slot.take())
        job = (await dispatcher.submit(order(user, second))).job_id
        found, sentences = await told(dispatcher, job)
        assert found.waiting.reason == "model_not_loaded"
        assert "has first loaded" not in sentences, "it is what it runs"
        sql.execute("update balances set running = 100000 where user_id = %s", [user])
        sql.execute("update jobs set running_max = 100 where id = %s", [job])
        found, sentences = await told(dispatcher, job)
    assert found.waiting.reason == "plan_limit_running"
    assert "Its user has 100000 running, and the plan allows 100." in sentences
