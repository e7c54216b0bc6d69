"""Budgets: how often a job may fail and be lost, when a slot is no longer trusted, and what waits too long."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from control_plane.errors import LeaseLost
from control_plane.queue.claims import OWNER_MESSAGES
from control_plane.states import BACKOFF_MAX_SECONDS, FAILURES_MAX, LOSSES_MAX
from control_plane.wire.worker import HeartbeatRequest, SlotReport
from control_plane.workers.slots import PROOF_AFTER_SECONDS, QUARANTINE_AFTER
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_lane,
    add_user,
    add_worker,
    lane_of_the_testcard,
    one,
    order,
    ordered,
    pass_time,
    process,
    rows,
    state,
)

# ------------------------------------------------------------------------------------------------ budgets


async def fail(slot: Slot, job: UUID | None = None) -> UUID:
    lease = await slot.start(await slot.take())
    assert job in (None, lease.job_id)
    await slot.dispatcher.fail(slot.fence(lease), "engine_crash", "")
    return lease.job_id


async def test_a_slot_that_fails_three_different_jobs_is_quarantined_when_others_can_do_its_work(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher:
        bad, good = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        assert await good.claim() is None  # so that it is known
        await ordered(dispatcher, sql, QUARANTINE_AFTER + 2)
        for _ in range(QUARANTINE_AFTER):
            await fail(bad)
        asked = await bad.ask()
        assert asked.skipped == {"quarantined": 1}
        assert asked.messages == [OWNER_MESSAGES["quarantined"]]
        assert await good.claim() is not None
        await dispatcher.resume(bad.worker_id)
        assert await bad.claim() is not None


async def test_a_slot_that_has_proven_itself_is_on_probation_until_it_completes_a_job(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher:
        bad, good = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        assert await good.claim() is None
        await ordered(dispatcher, sql, QUARANTINE_AFTER + 4)
        for _ in range(QUARANTINE_AFTER):
            await fail(bad)
        proven = HeartbeatRequest(leases=[], slots=[SlotReport(slot=0, proven=True)])
        await dispatcher.heartbeat(bad.worker_id, proven, asyncio.Event())
        assert (await bad.ask()).skipped == {"quarantined": 1}, "so soon it is not believed"
        sql.execute("update slots set quarantined_at = quarantined_at - %s * interval '1 s'", [PROOF_AFTER_SECONDS])
        await dispatcher.heartbeat(bad.worker_id, proven, asyncio.Event())
        await fail(bad)
        assert (await bad.ask()).skipped == {"quarantined": 1}
        sql.execute("update slots set quarantined_at = quarantined_at - %s * interval '1 s'", [PROOF_AFTER_SECONDS])
        await dispatcher.heartbeat(bad.worker_id, proven, asyncio.Event())
        await bad.serve(sql)
        await fail(bad)
        assert await bad.claim() is not None


async def test_the_last_live_slot_of_a_lane_is_never_quarantined(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        bad, gone = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        drained = Slot(dispatcher, add_worker(sql))
        assert await gone.claim() is None
        pass_time(sql, 120)
        assert await drained.claim() is None
        await dispatcher.drain(drained.worker_id)
        await ordered(dispatcher, sql, QUARANTINE_AFTER + 3)
        for _ in range(QUARANTINE_AFTER + 2):
            await fail(bad)
        assert await bad.claim() is not None


async def test_a_slot_that_alone_serves_one_of_its_lanes_is_not_quarantined(database_url: str, sql: Rows) -> None:
    add_lane(sql, "rare")
    async with process(database_url) as dispatcher:
        versatile, plain = Slot(dispatcher, add_worker(sql), ("testcard", "rare")), Slot(dispatcher, add_worker(sql))
        assert await plain.claim() is None
        await ordered(dispatcher, sql, QUARANTINE_AFTER + 1)
        for _ in range(QUARANTINE_AFTER):
            await fail(versatile)
        assert await versatile.claim() is not None


async def test_a_success_or_the_jobs_own_fault_does_not_count_against_the_slot(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        slot, other = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        assert await other.claim() is None
        await ordered(dispatcher, sql, 12)
        for _ in range(QUARANTINE_AFTER - 1):
            await fail(slot)
        await slot.serve(sql)
        for _ in range(QUARANTINE_AFTER - 1):
            await fail(slot)
        for _ in range(QUARANTINE_AFTER):
            lease = await slot.start(await slot.take())
            await dispatcher.fail(slot.fence(lease), "invalid_input", "")
        assert await slot.claim() is not None


async def test_the_third_failure_is_final_and_backoffs_grow_up_to_their_cap(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        slot = Slot(dispatcher, add_worker(sql))
        [job] = await ordered(dispatcher, sql)
        for failure in range(1, FAILURES_MAX + 1):
            await fail(slot, job)
            if failure < FAILURES_MAX:
                assert state(sql, job) == ("queued", None)
                assert await slot.claim() is None, "in backoff"
                pass_time(sql, BACKOFF_MAX_SECONDS)
                await dispatcher.tick()
        assert state(sql, job) == ("failed", "engine_crash")
        assert one(sql, "select count(*) from attempts where outcome = 'failed'") == FAILURES_MAX


async def test_a_job_that_two_workers_were_lost_with_is_poison(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        [job] = await ordered(dispatcher, sql)
        for lost in range(2):
            slot = Slot(dispatcher, add_worker(sql))
            await slot.start(await slot.take())
            pass_time(sql, 61)
            await dispatcher.tick()
            assert state(sql, job) == (("queued", None) if lost == 0 else ("failed", "worker_lost"))


async def test_a_job_that_one_worker_was_lost_with_three_times_is_poison(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        [job] = await ordered(dispatcher, sql)
        slot = Slot(dispatcher, add_worker(sql))
        for _ in range(LOSSES_MAX):
            assert state(sql, job) == ("queued", None)
            await slot.start(await slot.take())
            pass_time(sql, 61)
            await dispatcher.tick()
        assert state(sql, job) == ("failed", "worker_lost")


async def test_a_lease_that_is_not_acknowledged_goes_back_soon_and_counts_nowhere(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        [job] = await ordered(dispatcher, sql)
        for _ in range(LOSSES_MAX + 2):
            lease = await Slot(dispatcher, add_worker(sql)).take()
            assert lease.expires_in == pytest.approx(10)
            pass_time(sql, 10.1)
            await dispatcher.tick()
        assert state(sql, job) == ("queued", None)
        assert one(sql, "select failures + losses from jobs") == 0


async def test_a_job_that_did_not_start_in_time_is_never_given_out(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        user, lane = add_user(sql), lane_of_the_testcard(sql)
        hurried = (await dispatcher.submit(order(user, lane, max_wait=30))).job_id
        patient = (await dispatcher.submit(order(user, lane, max_wait=300))).job_id
        pass_time(sql, 31)
        assert (await Slot(dispatcher, add_worker(sql)).take()).job_id == patient, "even before it is swept"
        await dispatcher.tick()
        assert state(sql, hurried) == ("expired", "max_wait")
        assert state(sql, patient) == ("running", None)


async def test_a_repeated_report_hears_what_the_first_one_heard_whatever_came_after(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher:
        [job] = await ordered(dispatcher, sql)
        first, second = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        failed = await first.start(await first.take())
        assert await dispatcher.fail(first.fence(failed), "oom", "") == "queued"
        pass_time(sql, BACKOFF_MAX_SECONDS)
        await dispatcher.tick()
        released = await first.take()
        assert await dispatcher.release(first.fence(released), "drain") == "queued"
        final = await second.start(await second.take())
        assert await second.complete(sql, final) == "succeeded"
        assert await dispatcher.fail(first.fence(failed), "oom", "") == "queued"
        assert await dispatcher.release(first.fence(released), "drain") == "queued"
        assert await second.complete(sql, final) == "succeeded"
        with pytest.raises(LeaseLost):
            await first.complete(sql, failed)
        assert state(sql, job) == ("succeeded", None)


async def test_canceling_tells_its_story_once(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        user = add_user(sql)
        [job] = await ordered(dispatcher, sql, 1, user)
        slot = Slot(dispatcher, add_worker(sql))
        lease = await slot.start(await slot.take())
        for _ in range(5):
            await dispatcher.cancel(user, job)
        await dispatcher.cancel(add_user(sql), job)
        assert await dispatcher.release(slot.fence(lease), "canceled") == "canceled"
        story = [name for (name,) in sql.execute("select name from job_events order by seq")]
        assert story == ["job.submitted", "job.claimed", "job.started", "job.cancel_requested", "job.canceled"]


async def test_somebody_elses_job_cannot_be_canceled(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        [job] = await ordered(dispatcher, sql)
        await dispatcher.cancel(add_user(sql), job)
        await dispatcher.cancel(add_user(sql), uuid4())
        assert state(sql, job) == ("queued", None)


async def test_a_sweep_that_fails_does_not_keep_the_others_from_their_work(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher:
        await ordered(dispatcher, sql)
        await Slot(dispatcher, add_worker(sql)).take()
        job = (await dispatcher.submit(order(add_user(sql), lane_of_the_testcard(sql), max_wait=1))).job_id
        with rows(owner_url) as owner:  # a rule that makes every reaping fail
            owner.execute(
                """create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
                create trigger refuse before update on jobs for each row
                when (old.state = 'running' and new.state = 'queued') execute function refuse()"""
            )
        pass_time(sql, 30)
        await dispatcher.tick()
        assert state(sql, job) == ("expired", "max_wait")
