"""What agents and operators meet at a process: wake-ups, prefetch, drains, pauses, budgets, quarantine."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import LeaseLost, Paused, QueueFull, Suspended, Unauthorized
from control_plane.queue.dispatch import TICK_SECONDS, Dispatcher
from control_plane.wire.worker import Lease
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_user,
    add_worker,
    broken_laws,
    connected,
    lane_of_the_testcard,
    one,
    order,
    ordered,
    process,
    rows,
    state,
    until,
)


def looks(dispatcher: Dispatcher) -> int:
    """How often agents have looked for work here."""
    return dispatcher.claims.places.calls


# ------------------------------------------------------------------------------------------------ wake-ups


@pytest.mark.slow
async def test_one_job_wakes_one_agent_among_a_thousand(database_url: str, sql: Rows) -> None:
    async with process(database_url, size=10) as dispatcher, process(database_url) as other:
        waiting = [asyncio.ensure_future(Slot(dispatcher, add_worker(sql)).claim(wait=25)) for _ in range(1_000)]
        await until(lambda: len(dispatcher.waiters) == 1_000 and looks(dispatcher) >= 1_000)
        await asyncio.sleep(2 * TICK_SECONDS)  # whoever looked a second time has done so
        for source in (dispatcher, other):
            before = looks(dispatcher)
            [job] = await ordered(source, sql)
            done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [lease.job_id for claim in done if (lease := claim.result())] == [job]
            await asyncio.sleep(2 * TICK_SECONDS)
            assert looks(dispatcher) - before <= 2, "one look, and one more when the wake-up was passed on"
            waiting = list(rest)
        dispatcher.waiters.close()
        assert set(await asyncio.gather(*waiting)) == {None}


async def test_as_many_agents_wake_as_there_are_jobs_in_whichever_process_they_wait(
    database_url: str, sql: Rows
) -> None:
    """Several users' first jobs have the same tag: equal hints are still several jobs."""
    async with process(database_url) as one_process, process(database_url) as other:
        await connected(one_process, other)
        waiting = [asyncio.ensure_future(Slot(other, add_worker(sql)).claim(wait=20)) for _ in range(12)]
        await until(lambda: looks(other) >= 12)
        jobs = await asyncio.gather(*(ordered(one_process, sql) for _ in range(8)))
        async with asyncio.timeout(10):
            while sum(claim.done() for claim in waiting) < 8:
                await asyncio.sleep(0.01)
        other.waiters.close()
        leases = await asyncio.gather(*waiting)
        assert {lease.job_id for lease in leases if lease} == {job for [job] in jobs}


async def test_an_agent_that_vanished_claims_nothing_and_passes_its_wake_up_on(database_url: str, sql: Rows) -> None:
    async with process(database_url, hints=False) as dispatcher:
        vanishing, patient = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        first = asyncio.ensure_future(vanishing.claim(wait=20))
        await until(lambda: looks(dispatcher) >= 1)
        second = asyncio.ensure_future(patient.claim(wait=20))
        await until(lambda: looks(dispatcher) >= 2)
        lane, user = lane_of_the_testcard(sql), add_user(sql)
        async with process(database_url, hints=False) as elsewhere:
            job = (await elsewhere.submit(order(user, lane))).job_id
        vanishing.gone.set()
        dispatcher.offer_work(lane, 1.0)
        lease = await second
        assert lease is not None
        assert (lease.job_id, lease.attempt) == (job, 1), "nobody else was offered it before"
        assert await first is None


async def test_a_newer_poll_of_a_worker_ends_the_older_one(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        older = asyncio.ensure_future(slot.claim(wait=20))
        await until(lambda: looks(dispatcher) >= 1)
        newer = asyncio.ensure_future(slot.claim(wait=20))
        assert await asyncio.wait_for(older, 10) is None
        [job] = await ordered(dispatcher, sql)
        lease = await newer
        assert lease is not None
        assert lease.job_id == job


async def test_idle_slots_are_woken_before_those_that_ask_ahead_and_loaded_ones_first(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url, hints=False) as dispatcher:
        ahead, cold, warm = (
            Slot(dispatcher, add_worker(sql), loaded=loaded) for loaded in ("testcard", None, "testcard")
        )
        waiting: dict[asyncio.Future[Lease | None], str] = {}
        for name, slot in (("ahead", ahead), ("cold", cold), ("warm", warm)):
            before = looks(dispatcher)
            waiting[asyncio.ensure_future(slot.claim(wait=20, ahead=name == "ahead"))] = name
            await until(lambda: looks(dispatcher) > before)  # noqa: B023
        woken = []
        while waiting:
            await ordered(dispatcher, sql)
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            woken += [waiting.pop(claim) for claim in done]
        assert woken == ["warm", "cold", "ahead"]


async def test_an_agent_hears_of_a_job_that_was_ordered_while_it_looked(database_url: str, sql: Rows) -> None:
    """Polls and orders in lockstep, with ticks too rare to help: no order falls between a look and the wait."""
    async with process(database_url, hints=False) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        for _ in range(40):
            claim = asyncio.ensure_future(slot.claim(wait=20))
            [job] = await ordered(dispatcher, sql)
            lease = await claim
            assert lease is not None
            assert lease.job_id == job
            await dispatcher.fail(slot.fence(lease), "invalid_input", "")


async def test_a_poll_ends_empty_after_its_wait(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        claimed = await Slot(dispatcher, add_worker(sql)).ask(wait=0.1)
    assert (claimed.leases, claimed.skipped) == ([], {"no_job": 1})


async def test_a_process_that_stops_answers_everybody_who_waits(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        slot, busy = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        await ordered(dispatcher, sql)
        lease = await busy.take()
        waiting = asyncio.ensure_future(slot.claim(wait=25))
        held = asyncio.ensure_future(busy.beat(lease, hold=10))
        await until(lambda: looks(dispatcher) >= 2 and bool(dispatcher.heartbeats._held))
        await dispatcher.stop()
        assert await asyncio.wait_for(waiting, 10) is None
        assert [renewal.job_id for renewal in (await asyncio.wait_for(held, 5)).renewed] == [lease.job_id]


# ------------------------------------------------------------------------------------------------ prefetch


async def test_an_idle_slot_takes_over_what_waits_behind_another_slots_run(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        await ordered(one_process, sql, 2)
        busy, idle = Slot(one_process, add_worker(sql)), Slot(other, add_worker(sql))
        running = await busy.start(await busy.take())
        ahead = await busy.take(ahead=True)
        assert await idle.claim() is None, "offered, but not acknowledged: it may still be on its way"
        await busy.beat(running, ahead, phase="held")
        held = asyncio.ensure_future(busy.beat(running, ahead, phase="held", hold=10))
        await until(lambda: bool(one_process.heartbeats._held))
        taken = await idle.take()
        assert (taken.job_id, taken.attempt) == (ahead.job_id, ahead.attempt + 1)
        assert (await held).revoke == [ahead.job_id], "its holder hears at once, in the other process"
        with pytest.raises(LeaseLost):
            await busy.complete(sql, ahead)
        await idle.start(taken)
        assert await idle.complete(sql, taken) == "succeeded"
        assert await busy.complete(sql, running) == "succeeded"
    assert broken_laws(sql) == {}


async def test_a_slot_that_asks_ahead_takes_nothing_over_and_a_started_job_is_nobodys(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher:
        await ordered(dispatcher, sql, 2)
        busy, other = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        running = await busy.start(await busy.take())
        ahead = await busy.take(ahead=True)
        await busy.beat(ahead)
        assert await other.claim(ahead=True) is None
        await busy.start(ahead)
        assert await other.claim() is None
        assert (await busy.beat(running, ahead, phase="started")).revoke == []


async def test_a_held_lease_of_a_slot_that_runs_nothing_is_left_alone(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        await ordered(dispatcher, sql)
        first, second = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        await first.beat(await first.take())
        assert await second.claim() is None


# ------------------------------------------------------------------------------------------------ the operator


async def test_a_draining_worker_keeps_what_it_has_and_gets_no_more(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        await ordered(one_process, sql)
        slot = Slot(one_process, add_worker(sql))
        lease = await slot.start(await slot.take())
        poll = asyncio.ensure_future(slot.ask(wait=20, ahead=True))
        await until(lambda: looks(one_process) >= 2)
        await other.drain(slot.worker_id)
        assert (await asyncio.wait_for(poll, 10)).skipped == {"draining": 1}
        await ordered(one_process, sql)
        assert await slot.claim() is None
        answer = await slot.beat(lease, phase="started")
        assert answer.drain
        assert [renewal.job_id for renewal in answer.renewed] == [lease.job_id]
        assert await slot.complete(sql, lease) == "succeeded"
        await other.resume(slot.worker_id)
        assert await slot.claim() is not None


async def test_a_process_ends_the_run_of_a_lane_that_it_has_not_met_yet(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        await ordered(one_process, sql)
        slot = Slot(one_process, add_worker(sql))
        lease = await slot.start(await slot.take())
        other.board.lanes.clear()  # what it knows until its next look, when the lane is a moment old
        assert await slot.at(other).complete(sql, lease) == "succeeded"


async def test_revoking_a_worker_ends_its_leases_and_whatever_it_says_afterwards(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        [job, unwanted] = await ordered(one_process, sql, 2, user := add_user(sql))
        slot = Slot(one_process, add_worker(sql))
        lease, doomed = await slot.start(await slot.take()), await slot.start(await slot.take(ahead=True))
        await other.cancel(user, unwanted)
        poll = asyncio.ensure_future(Slot(one_process, slot.worker_id, slot=1).claim(wait=20))
        await until(lambda: looks(one_process) >= 3)
        await other.revoke(slot.worker_id)
        with pytest.raises(Unauthorized):
            await asyncio.wait_for(poll, 10)
        assert (state(sql, job), state(sql, unwanted)) == (("queued", None), ("canceled", None))
        assert one(sql, "select losses + failures from jobs where id = %s", job) == 0, "not the job's fault"
        for call in (slot.complete(sql, lease), one_process.fail(slot.fence(lease), "oom", "")):
            with pytest.raises(LeaseLost):
                await call
        with pytest.raises(Unauthorized):
            await slot.beat(lease)
        with pytest.raises(Unauthorized):
            await slot.claim()
        assert doomed.job_id == unwanted
        assert (await Slot(other, add_worker(sql)).take()).job_id == job, "at its old place, for somebody else"
    assert broken_laws(sql) == {}


@pytest.mark.parametrize(
    ("pause", "resume"),
    [
        ("update lanes set paused_at = now()", "update lanes set paused_at = null"),
        ("update models set paused_at = now()", "update models set paused_at = null"),
    ],
)
async def test_what_is_paused_takes_no_orders_and_gives_no_work(
    database_url: str, sql: Rows, pause: str, resume: str
) -> None:
    async with process(database_url) as dispatcher:
        user = add_user(sql)
        [job, _] = await ordered(dispatcher, sql, 2, user)
        slot = Slot(dispatcher, add_worker(sql))
        lease = await slot.start(await slot.take())
        sql.execute(pause)
        with pytest.raises(Paused):
            await ordered(dispatcher, sql, 1, user)
        assert await slot.claim(ahead=True) is None
        assert await slot.complete(sql, lease) == "succeeded", "what runs goes on"
        assert lease.job_id == job
        waiting = asyncio.ensure_future(slot.claim(wait=20))
        await asyncio.sleep(1.5 * TICK_SECONDS)
        assert not waiting.done()
        sql.execute(resume)
        assert await asyncio.wait_for(waiting, 10) is not None
        await ordered(dispatcher, sql, 1, user)


async def test_paused_submits_refuse_orders_and_serve_what_waits(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        await ordered(dispatcher, sql)
        sql.execute("update switches set paused_at = now() where name = 'submits'")
        with pytest.raises(Paused):
            await ordered(dispatcher, sql)
        assert await Slot(dispatcher, add_worker(sql)).claim() is not None


async def test_a_suspended_user_orders_nothing_and_a_full_line_says_so(
    database_url: str, sql: Rows, owner_url: str
) -> None:
    with rows(owner_url) as owner:
        owner.execute(
            "insert into plans (name, tokens_per_day, weight, queued_max, retention_days)"
            " values ('small', 100, 1, 2, 1)"
        )
    async with process(database_url) as dispatcher:
        user = add_user(sql, plan="small")
        jobs = await ordered(dispatcher, sql, 2, user)
        with pytest.raises(QueueFull):
            await ordered(dispatcher, sql, 1, user)
        await dispatcher.cancel(user, jobs[0])
        await ordered(dispatcher, sql, 1, user)
        sql.execute("update users set status = 'suspended' where id = %s", [user])
        with pytest.raises(Suspended):
            await ordered(dispatcher, sql, 1, user)
