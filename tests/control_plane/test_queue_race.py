"""Many at once: claims, reports, cancels and repeated requests that meet in the same instant, in two processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec import structs

from control_plane.errors import IdempotencyMismatch, LeaseLost
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.statements import Fence
from control_plane.wire.worker import Lease
from tests.fixtures.claimers import serve_all
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_file,
    add_user,
    add_worker,
    broken_laws,
    lane_of_the_testcard,
    one,
    order,
    process,
    until,
)


async def fill(dispatcher: Dispatcher, sql: Rows, jobs: int, users: int = 4) -> list[UUID]:
    lane = lane_of_the_testcard(sql)
    people = [add_user(sql) for _ in range(users)]
    submitted = await asyncio.gather(*(dispatcher.submit(order(people[n % users], lane)) for n in range(jobs)))
    return [answer.job_id for answer in submitted]


async def told(call: Coroutine[Any, Any, Any]) -> str:
    """What a client hears: the answer, or that its lease is lost."""
    try:
        return str(await call)
    except LeaseLost:
        return "lease lost"


async def send(dispatcher: Dispatcher, fence: Fence, report: str) -> str:
    match report:
        case "complete":
            return await dispatcher.complete(fence, 1)
        case "fail":
            return await dispatcher.fail(fence, "invalid_input", "once")
        case _:
            return await dispatcher.release(fence, "drain")


async def test_many_claimers_of_two_processes_share_the_line_without_loss_or_double(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        jobs = await fill(one_process, sql, 2_000)
        slots = [Slot(dispatcher, add_worker(sql)) for dispatcher in (one_process, other) for _ in range(20)]
        served = await asyncio.gather(*(serve_all(slot, sql) for slot in slots))
    claimed = [job for leases in served for job, _ in leases]
    assert len(claimed) == len(set(claimed)) == 2_000
    assert set(claimed) == {str(job) for job in jobs}
    assert {attempt for leases in served for _, attempt in leases} == {1}
    assert broken_laws(sql) == {}
    assert min(sum(map(len, served[:20])), sum(map(len, served[20:]))) >= 200, "both processes took part"


@pytest.mark.slow
async def test_claimers_in_processes_of_their_own_share_the_line_too(
    database_url: str, sql: Rows, project: Path
) -> None:
    async with process(database_url) as dispatcher:
        jobs = await fill(dispatcher, sql, 600)
    command = [sys.executable, "-m", "tests.fixtures.claimers", database_url]
    programs = [
        await asyncio.create_subprocess_exec(
            *command,
            *(str(add_worker(sql)) for _ in range(8)),
            cwd=project,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for program in programs:
        assert program.stdout is not None
        assert await program.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(program.communicate(b"go\n") for program in programs))
    served = [json.loads(output) for output, _ in answers]
    claimed = [job for leases in served for job, _ in leases]
    assert len(claimed) == len(set(claimed)) == 600
    assert set(claimed) == {str(job) for job in jobs}
    assert min(map(len, served)) >= 30, "all programs took part"
    assert broken_laws(sql) == {}


async def test_reports_that_meet_leave_one_end_that_everybody_was_told(database_url: str, sql: Rows) -> None:
    """Complete, fail, release, cancel and two reapers go for the same expired lease at once, again and again."""
    ends: Counter[str] = Counter()
    async with process(database_url) as one_process, process(database_url) as other:
        slot = Slot(one_process, add_worker(sql))
        user, lane = add_user(sql), lane_of_the_testcard(sql)
        for turn in range(60):
            job = (await one_process.submit(order(user, lane))).job_id
            lease = await slot.start(await slot.take())
            add_file(sql, lease)
            sql.execute("update jobs set lease_expires_at = now() - interval '1 second' where id = %s", [job])
            fence = slot.fence(lease)
            calls = {
                "complete": told(other.complete(fence, 1)),
                "fail": told(one_process.fail(fence, "invalid_input", "")),
                "release": told(other.release(fence, "drain")),
                "cancel": told(one_process.cancel(user, job)),
                "reap": told(other.reap()),
                "reap again": told(one_process.reap()),
            }
            first = [name for n, name in enumerate(calls) if (turn >> n) & 1]
            order_of_calls = [*first, *(name for name in calls if name not in first)]
            heard = dict(
                zip(order_of_calls, await asyncio.gather(*(calls[name] for name in order_of_calls)), strict=True)
            )
            state = one(sql, "select state from jobs where id = %s", job)
            outcome = one(sql, "select outcome from attempts where job_id = %s and number = %s", job, lease.attempt)
            ends[outcome] += 1
            wins = [name for name in ("complete", "fail", "release") if heard[name] != "lease lost"]
            assert (
                wins
                == {
                    "succeeded": ["complete"],
                    "failed": ["fail"],
                    "released": ["release"],
                    "lost": [],
                    "canceled": wins,  # whoever reports after the wish to cancel, and whoever asks again, hears it
                }[outcome]
            )
            assert all(heard[name] == ("queued" if outcome == "released" else outcome) for name in wins)
            assert state == (outcome if outcome in ("succeeded", "failed", "canceled") else state)
            await one_process.cancel(user, job)
    assert broken_laws(sql) == {}
    assert len(ends) >= 3, f"the race had few winners: {ends}"


async def test_a_cancel_that_waits_for_a_claim_ends_the_attempt_that_the_claim_made(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url, hints=False) as dispatcher:
        user, worker = add_user(sql), add_worker(sql)
        job = (await dispatcher.submit(order(user, lane_of_the_testcard(sql)))).job_id
        with psycopg.connect(database_url) as claiming:
            claiming.execute(
                """with leased as (update jobs set state = 'running', attempt = 1, phase = 'offered', worker_id = %(w)s,
                    slot = 0, claim_id = %(w)s, lease_token = %(w)s, lease_expires_at = now() + interval '10 seconds'
                    where id = %(j)s returning id),
                counted as (update balances set queued = queued - 1, running = running + 1 where user_id = %(u)s)
                insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
                select id, 1, %(w)s, 0, %(w)s, %(w)s from leased""",
                {"w": worker, "j": job, "u": user},
            )
            cancel = asyncio.ensure_future(dispatcher.cancel(user, job))
            await until(lambda: bool(one(sql, "select count(*) from pg_locks where not granted")))
            claiming.commit()
            await cancel
    assert one(sql, "select state from jobs where id = %s", job) == "canceled"
    assert one(sql, "select outcome from attempts where job_id = %s", job) == "canceled"
    assert broken_laws(sql) == {}


async def test_cancels_and_claims_that_meet_leave_no_lease_of_a_canceled_job(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        user, lane = add_user(sql), lane_of_the_testcard(sql)
        both = 0
        for _ in range(10):
            jobs = [
                answer.job_id
                for answer in await asyncio.gather(*(one_process.submit(order(user, lane)) for _ in range(20)))
            ]
            slots = [Slot(dispatcher, add_worker(sql)) for dispatcher in (one_process, other) for _ in range(10)]
            found = await asyncio.gather(
                *(slot.claim() for slot in slots), *(other.cancel(user, job) for job in reversed(jobs))
            )
            for slot, lease in zip(slots, found, strict=False):
                if lease is None:
                    continue
                answer = await slot.beat(lease)
                both += lease.job_id in answer.revoke
                assert [renewal.job_id for renewal in answer.renewed] + answer.revoke == [lease.job_id]
    assert both >= 5, "too few cancels met a claim"
    assert one(sql, "select count(*) from jobs where state = 'running' and phase <> 'held'") == 0
    assert broken_laws(sql) == {}


@pytest.mark.parametrize("report", ["complete", "fail", "release"])
async def test_the_same_report_many_times_at_once_gets_one_answer(database_url: str, sql: Rows, report: str) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        await fill(one_process, sql, 10)
        slot = Slot(one_process, add_worker(sql))
        for _ in range(10):
            lease = await slot.start(await slot.take())
            add_file(sql, lease)
            fence = slot.fence(lease)
            answers = await asyncio.gather(*(send(at, fence, report) for at in [one_process, other] * 5))
            assert set(answers) == {{"complete": "succeeded", "fail": "failed", "release": "queued"}[report]}
    assert broken_laws(sql) == {}


async def test_one_claim_id_in_two_processes_at_once_is_one_lease(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        await fill(one_process, sql, 200)
        for _ in range(40):
            slot, claim_id = Slot(one_process, add_worker(sql)), uuid4()
            asked = [slot, slot.at(other), slot, slot.at(other)]
            leases = await asyncio.gather(*(at.claim(claim_id=claim_id) for at in asked))
            assert len({lease.token for lease in leases if lease}) == 1
            assert None not in leases, "every repetition finds the lease"
            assert one(sql, "select count(*) from jobs where worker_id = %s", slot.worker_id) == 1
    assert broken_laws(sql) == {}


async def test_a_claim_repeated_after_its_lease_has_filled_the_slot_still_finds_it(
    database_url: str, sql: Rows
) -> None:
    """The answer to a prefetch was lost: asking again must not be refused because of the very lease it asks for."""
    async with process(database_url) as dispatcher:
        await fill(dispatcher, sql, 3)
        slot, claim_id = Slot(dispatcher, add_worker(sql)), uuid4()
        await slot.start(await slot.take())
        ahead = await slot.claim(claim_id=claim_id, ahead=True)
        assert ahead is not None
        assert (await slot.ask(ahead=True)).skipped == {"slot_full": 1}
        again = await slot.claim(claim_id=claim_id, ahead=True)
        assert again is not None
        assert (again.token, again.attempt) == (ahead.token, ahead.attempt)
        await dispatcher.drain(slot.worker_id)
        assert (await slot.claim(claim_id=claim_id, ahead=True)) is not None, "draining takes nothing back"
        assert again.expires_in <= ahead.expires_in


async def test_an_ended_lease_is_never_given_back_for_its_claim_id(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        await fill(dispatcher, sql, 2)
        slot, claim_id = Slot(dispatcher, add_worker(sql)), uuid4()
        first = await slot.claim(claim_id=claim_id)
        assert first is not None
        await slot.start(first)
        await slot.complete(sql, first)
        second = await slot.claim(claim_id=claim_id)
        assert second is not None
        assert second.token != first.token
        assert second.job_id != first.job_id


async def test_an_order_sent_many_times_at_once_is_one_job(database_url: str, sql: Rows) -> None:
    async with process(database_url) as one_process, process(database_url) as other:
        user, lane = add_user(sql), lane_of_the_testcard(sql)
        for turn in range(15):
            wish = order(user, lane, key=f"key-{turn}")
            answers = await asyncio.gather(*(at.submit(wish) for at in [one_process, other] * 6))
            assert len({answer.job_id for answer in answers}) == 1
            assert [answer.replayed for answer in answers].count(False) == 1
        with pytest.raises(IdempotencyMismatch):
            await other.submit(order(user, lane, key="key-0", request_sha256=bytes(32)))
        somebody = await other.submit(order(add_user(sql), lane, key="key-0"))
        assert not somebody.replayed, "a key belongs to its user"
    assert one(sql, "select count(*) from jobs") == 16
    assert broken_laws(sql) == {}


async def test_one_bad_member_of_a_batch_meets_its_own_fate(database_url: str, sql: Rows) -> None:
    """Metadata that is no JSON breaks the whole statement; the neighbours' orders are repeated one by one."""
    async with process(database_url) as dispatcher:
        user, lane = add_user(sql), lane_of_the_testcard(sql)
        wishes = [order(user, lane, metadata="{" if n == 3 else "{}") for n in range(12)]
        answers = await asyncio.gather(*(dispatcher.submit(wish) for wish in wishes), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)] == [3]
    assert isinstance(answers[3], psycopg.DataError)
    assert one(sql, "select count(*) from jobs") == 11


async def test_heartbeats_of_one_lease_that_arrive_together_are_one_report(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        await fill(dispatcher, sql, 1)
        slot = Slot(dispatcher, add_worker(sql))
        lease = await slot.take()
        answers = await asyncio.gather(
            *(slot.beat(lease, phase=phase) for phase in ("held", "started", "held", "started", "held"))
        )
        assert all([renewal.job_id for renewal in answer.renewed] == [lease.job_id] for answer in answers)
        assert one(sql, "select phase from jobs") == "started"
        assert one(sql, "select count(*) from job_events where name = 'job.started'") == 1


async def test_an_old_fence_is_refused_by_every_report(database_url: str, sql: Rows) -> None:
    async with process(database_url) as dispatcher:
        await fill(dispatcher, sql, 1)
        slot, thief = Slot(dispatcher, add_worker(sql)), Slot(dispatcher, add_worker(sql))
        old = await slot.take()
        await dispatcher.release(slot.fence(old), "not_started")
        new = await thief.start(await thief.take())
        assert new.job_id == old.job_id
        assert new.attempt == old.attempt + 1
        before = sql.execute("select * from jobs").fetchall()
        add_file(sql, old)
        for fence in (slot.fence(old), thief.fence(old), slot.fence(new), _guess(thief, new)):
            assert await told(dispatcher.complete(fence, 1)) == "lease lost"
            assert await told(dispatcher.fail(fence, "oom", "")) == "lease lost"
        assert await told(dispatcher.release(slot.fence(new), "drain")) == "lease lost"
        assert (await slot.beat(old, new)).renewed == []
        assert sql.execute("select * from jobs").fetchall() == before
        assert await thief.complete(sql, new) == "succeeded"


def _guess(slot: Slot, lease: Lease) -> Fence:
    """Everything right but the token."""
    return structs.replace(slot.fence(lease), token=uuid4())
