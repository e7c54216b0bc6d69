"""What ran out of memory goes on where there is more of it, and nowhere else; its books and its waiting stay right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest

from control_plane.errors import LeaseLost
from control_plane.operator import why
from control_plane.operator.tables import JOB
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.waiting import Lines
from control_plane.states import BACKOFF_MAX_SECONDS, FAILURES_MAX
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.job import Task
from control_plane.wire.worker import Capability, Claimed, ClaimRequest, Lease, SlotClaim
from control_plane.workers.slots import QUARANTINE_AFTER
from tests.fixtures.queue import (
    DEADLINE_SECONDS,
    Rows,
    Slot,
    add_lane,
    add_user,
    add_worker,
    connected,
    one,
    order,
    pass_time,
    process,
    rows,
    state,
)
from tests.fixtures.worker import ABLE, Hands, Json, enrolled, picture, serving

SMALL_GIB, BIG_GIB = 8, 24
MODEL = "model"


class Box(Slot):
    """A slot that says how much memory it has."""

    def __init__(self, dispatcher: Dispatcher, worker_id: UUID, vram_gib: int, tasks: tuple[Task, ...] = ()) -> None:
        super().__init__(dispatcher, worker_id, (MODEL,))
        self.vram_gib = vram_gib
        self.capabilities = [Capability(kind="image", model=MODEL, tasks=tasks)]

    async def ask(self, *, wait: float = 0.0, claim_id: UUID | None = None, ahead: bool = False) -> Claimed:
        place = SlotClaim(slot=0, capabilities=self.capabilities, vram_gib=self.vram_gib, ahead=ahead)
        request = ClaimRequest(claim_id=claim_id or uuid4(), protocol=1, slots=[place], wait=wait)
        return await self.dispatcher.claim(self.worker_id, request, self.gone)

    async def runs_out(self, job: UUID) -> None:
        lease = await self.start(await self.take())
        assert lease.job_id == job
        await self.dispatcher.fail(self.fence(lease), "oom", "Too large.")


async def backoff_over(sql: Rows, *dispatchers: Dispatcher) -> None:
    pass_time(sql, BACKOFF_MAX_SECONDS)
    sql.execute("update slots set last_seen_at = now()")
    for dispatcher in dispatchers:
        await dispatcher.tick()


def lane_of(sql: Rows, job: UUID) -> tuple[str, str, int, str]:
    found = sql.execute(
        "select l.kind, l.model, l.vram_gib, l.task from jobs j join lanes l on l.id = j.lane_id where j.id = %s", [job]
    ).fetchone()
    assert found is not None
    return found[0], found[1], found[2], found[3]


def messages(sql: Rows, job: UUID) -> list[str]:
    return [row[0] for row in sql.execute("select message from attempts where job_id = %s order by number", [job])]


async def test_what_outgrew_a_slot_is_done_by_a_larger_one_and_the_small_one_never_gets_it_again(
    database_url: str, sql: Rows
) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as one_process, process(database_url) as other:
        small, big = Box(one_process, add_worker(sql), SMALL_GIB), Box(other, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        job = (await one_process.submit(order(user, lane, cost=3))).job_id
        await small.runs_out(job)
        assert lane_of(sql, job) == ("image", MODEL, SMALL_GIB + 1, "")
        await backoff_over(sql, one_process, other)
        assert await small.claim() is None
        lease = await big.serve(sql)
    assert (lease.job_id, lease.attempt) == (job, 2)
    assert state(sql, job) == ("succeeded", None)
    assert messages(sql, job)[0] == "Too large. It has 8 GiB of GPU memory; the job needs a worker with more."
    assert one(sql, "select charged from settlements where job_id = %s", job) == 3
    assert one(sql, "select count(*) from settlements where job_id = %s", job) == 1
    assert one(sql, "select count(*) from ledger_violations") == 0
    events = "select array_agg(name order by seq) from job_events where job_id = %s and name <> 'job.submitted'"
    told = [name for name in one(sql, events, job) if name not in ("job.queued", "job.started")]
    assert told == ["job.claimed", "job.retried", "job.claimed", "job.succeeded"]


async def test_a_larger_slot_that_waits_in_another_process_gets_it_without_asking_anew(
    database_url: str, sql: Rows
) -> None:
    """Its claim was for the lanes there were: it ends, and the next one, made at once, finds the job."""
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as one_process, process(database_url) as other, asyncio.TaskGroup() as tasks:
        await connected(one_process, other)
        small, big = Box(one_process, add_worker(sql), SMALL_GIB), Box(other, add_worker(sql), BIG_GIB)
        asking = asyncio.Event()

        async def agent() -> Lease:
            asking.set()
            while (lease := await big.claim(wait=25)) is None:
                pass
            return lease

        job = (await one_process.submit(order(user, lane))).job_id
        lease = await small.start(await small.take())
        agents = tasks.create_task(agent())
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asking.wait()
            while not other.waiters.serving(lane):
                await asyncio.sleep(0.01)
            await small.dispatcher.fail(small.fence(lease), "oom", "")
            pass_time(sql, BACKOFF_MAX_SECONDS)
            sql.execute("update slots set last_seen_at = now()")
            assert (await agents).job_id == job


@pytest.mark.parametrize(
    "trouble",
    [
        "update workers set revoked_at = now() where id = %s",
        "update workers set drain_requested_at = now() where id = %s",
        "update workers set draining = true where id = %s",
        "update slots set quarantined_at = now() where worker_id = %s",
        "update slots set last_seen_at = now() - interval '2 minutes' where worker_id = %s",
        "update slots set vram_gib = 8 where worker_id = %s",
        "update slots set lane_ids = '{}' where worker_id = %s",
    ],
)
async def test_without_a_larger_slot_that_could_it_fails_and_says_what_was_lacking(
    database_url: str, sql: Rows, trouble: str
) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        for _ in range(FAILURES_MAX):
            sql.execute(trouble.encode(), [big.worker_id])
            await small.runs_out(job)
            await backoff_over(sql, dispatcher)
    assert state(sql, job) == ("failed", "oom")
    lacking = "Too large. It has 8 GiB of GPU memory, and no live worker that can do this has more."
    assert messages(sql, job) == [lacking] * FAILURES_MAX
    assert one(sql, "select count(*) from lanes where model = %s", MODEL) == 1
    assert one(sql, "select charged from settlements where job_id = %s", job) == 0


async def test_nothing_moves_by_other_causes_or_when_nobody_knows_the_memory(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        unknown = Box(dispatcher, add_worker(sql), 0)
        assert await big.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        lease = await small.start(await small.take())
        assert await dispatcher.fail(small.fence(lease), "engine_crash", "Gone.") == "queued"
        await backoff_over(sql, dispatcher)
        await unknown.runs_out(job)
    assert lane_of(sql, job)[2] == 0
    assert messages(sql, job) == ["Gone.", "Too large."]


async def test_a_report_under_a_lease_that_is_lost_moves_nothing(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        lease = await small.start(await small.take())
        mine = small.fence(lease)
        stale = (
            msgspec.structs.replace(mine, token=uuid4()),
            msgspec.structs.replace(mine, attempt=2),
            msgspec.structs.replace(mine, worker_id=big.worker_id),
        )
        for fence in stale:
            with pytest.raises(LeaseLost):
                await dispatcher.fail(fence, "oom", "")
        assert one(sql, "select count(*) from lanes where model = %s", MODEL) == 1
        assert [await dispatcher.fail(mine, "oom", "") for _ in range(2)] == ["queued", "queued"]
        assert lane_of(sql, job)[2] == SMALL_GIB + 1
    assert one(sql, "select failures from jobs where id = %s", job) == 1


async def test_a_wish_to_cancel_is_kept_and_what_moved_can_still_be_canceled(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        first, second = [(await dispatcher.submit(order(user, lane))).job_id for _ in range(2)]
        lease = await small.start(await small.take())
        await dispatcher.cancel(user, first)
        assert await dispatcher.fail(small.fence(lease), "oom", "") == "canceled"
        assert lane_of(sql, first)[2] == 0
        await small.runs_out(second)
        await dispatcher.cancel(user, second)
        await backoff_over(sql, dispatcher)
        assert await big.claim() is None
    assert state(sql, second) == ("canceled", None)
    assert one(sql, "select count(*) from ledger_violations") == 0


async def test_a_task_stays_a_task_and_a_larger_slot_without_it_does_not_count(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    sql.execute("update lanes set task = 'upscale' where id = %s", [lane])
    async with process(database_url) as dispatcher:
        small = Box(dispatcher, add_worker(sql), SMALL_GIB, ("upscale",))
        other = Box(dispatcher, add_worker(sql), BIG_GIB, ("inpaint",))
        able = Box(dispatcher, add_worker(sql), BIG_GIB, ("inpaint", "upscale"))
        assert await other.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        await small.runs_out(job)
        assert lane_of(sql, job)[2] == 0
        assert await able.claim() is None
        await backoff_over(sql, dispatcher)
        await small.runs_out(job)
        assert lane_of(sql, job) == ("image", MODEL, SMALL_GIB + 1, "upscale")
        await backoff_over(sql, dispatcher)
        assert [await other.claim(), await small.claim()] == [None, None]
        assert (await able.serve(sql)).job_id == job


async def test_what_waits_for_a_larger_slot_that_is_busy_is_told_so(database_url: str, sql: Rows) -> None:
    """The larger slot has not asked since the lane was made, and counts all the same."""
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        await dispatcher.submit(order(user, lane, cost=5))
        busy = await big.start(await big.take())
        job = (await dispatcher.submit(order(user, lane))).job_id
        await small.runs_out(job)
        assert (await told(dispatcher, job)).waiting.reason == "retry_backoff"
        pass_time(sql, BACKOFF_MAX_SECONDS)
        sql.execute("update jobs set lease_expires_at = now() + interval '1 min' where state = 'running'")
        sql.execute("update slots set last_seen_at = now()")
        await dispatcher.tick()
        found = await told(dispatcher, job)
        assert (found.waiting.reason, found.waiting.position) == ("all_workers_busy", "1")
        assert [slot.tokens for slot in found.slots] == [5], "the small one is not among those that could"
        line = await Lines(dispatcher.database, 60.0).line(one(sql, "select max(id) from lanes"), float("-inf"))
        assert (line.service.slots, line.service.running_tokens) == (1, 5)
        await big.complete(sql, busy)
        assert (await big.serve(sql)).job_id == job


async def told(dispatcher: Dispatcher, job_id: UUID) -> why.Answer:
    job = await dispatcher.database.one(JOB, {"job_id": job_id})
    assert job is not None
    return await why.answer(dispatcher.database, job, 60.0)


async def test_what_outgrows_one_slot_after_another_needs_more_each_time(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        boxes = [Box(dispatcher, add_worker(sql), gib) for gib in (8, 12, 24)]
        for box in boxes[1:]:
            assert await box.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        for box in boxes[:2]:
            await box.runs_out(job)
            assert lane_of(sql, job)[2] == box.vram_gib + 1
            await backoff_over(sql, dispatcher)
        assert [await box.claim() for box in boxes[:2]] == [None, None]
        assert (await boxes[2].serve(sql)).attempt == 3


async def test_a_broken_slot_is_not_spared_for_a_lane_of_what_was_too_large_for_others(
    database_url: str, sql: Rows
) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as dispatcher:
        small, big = Box(dispatcher, add_worker(sql), SMALL_GIB), Box(dispatcher, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        job = (await dispatcher.submit(order(user, lane))).job_id
        await small.runs_out(job)
        await backoff_over(sql, dispatcher)
        assert (await big.serve(sql)).job_id == job
        for _ in range(QUARANTINE_AFTER):
            await dispatcher.submit(order(user, lane))
            lease = await big.start(await big.take())
            await dispatcher.fail(big.fence(lease), "engine_crash", "")
        assert (await big.ask()).skipped == {"quarantined": 1}


async def test_many_at_once_share_one_lane_and_stand_in_it_like_anything_else(database_url: str, sql: Rows) -> None:
    lane, user = add_lane(sql, MODEL), add_user(sql)
    async with process(database_url) as one_process, process(database_url) as other:
        big = Box(one_process, add_worker(sql), BIG_GIB)
        assert await big.claim() is None
        boxes = [Box(at, add_worker(sql), SMALL_GIB) for at in (one_process, other) * 3]
        jobs = {(await one_process.submit(order(user, lane))).job_id for _ in boxes}
        leases = [(box, await box.start(await box.take())) for box in boxes]
        await asyncio.gather(*(box.dispatcher.fail(box.fence(lease), "oom", "") for box, lease in leases))
        assert one(sql, "select count(*) from lanes where model = %s", MODEL) == 2
        assert one(sql, "select count(distinct lane_id) from jobs") == 1
        assert len(one(sql, "select lane_ids from slots where vram_gib = %s", BIG_GIB)) == 2
        await backoff_over(sql, one_process, other)
        clock = one(sql, "select l.clock from lanes l where l.vram_gib = %s", SMALL_GIB + 1)
        assert sql.execute("select distinct tag from jobs").fetchall() == [(clock,)]
        assert {(await big.serve(sql)).job_id for _ in boxes} == jobs


# ------------------------------------------------------------------------------------------------ over HTTP


async def lease_of(hands: Hands, vram_gib: int, wait: float = 0.0) -> Lease | None:
    slot = {"slot": 0, "capabilities": [ABLE], "vram_gib": vram_gib}
    body = {"claim_id": uuid4(), "protocol": PROTOCOL_VERSION, "slots": [slot], "wait": wait}
    answered = await hands.call("/claim", body)
    assert answered.status == 200, answered.body
    leases = msgspec.json.decode(answered.body, type=Claimed).leases
    return leases[0] if leases else None


async def fails(hands: Hands, lease: Lease) -> Json:
    answer: Json = (await hands.fail(lease, "oom")).json
    return answer


async def test_over_http_a_picture_too_large_for_one_worker_is_made_by_another(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path) as service, aiohttp.ClientSession() as session:
        small, big = service.hands, await enrolled(service.context, session, "big")
        assert await lease_of(big, BIG_GIB) is None
        job = await service.order()
        lease = await lease_of(small, SMALL_GIB, wait=5)
        assert lease is not None
        await small.start(lease)
        assert (await fails(small, lease))["state"] == "queued"
        waits = await service.job(job)
        assert waits["waiting"]["reason"] == "retry_backoff"
        held = waits["cost"]["held"]
        with rows(database_url) as sql:
            pass_time(sql, BACKOFF_MAX_SECONDS)
        again = await lease_of(big, BIG_GIB, wait=5)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while again is None:  # a claim that was held when the lane was made ends with nothing
                again = await lease_of(big, BIG_GIB, wait=5)
        assert (again.job_id, again.attempt) == (job, 2)
        assert await lease_of(small, SMALL_GIB) is None
        await big.start(again)
        assert (await big.upload(again, picture())).status == 200
        assert (await big.complete(again)).json["state"] == "succeeded"
        done = await service.job(job)
    assert (done["status"], done["cost"]) == ("succeeded", {"held": 0, "charged": held})


async def test_over_http_a_picture_too_large_for_every_worker_fails_with_what_to_do(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path) as service:
        job = await service.order()
        states = []
        for _ in range(FAILURES_MAX):
            lease = None
            async with asyncio.timeout(DEADLINE_SECONDS):
                while lease is None:
                    lease = await lease_of(service.hands, SMALL_GIB, wait=5)
            await service.hands.start(lease)
            states.append((await fails(service.hands, lease))["state"])
            with rows(database_url) as sql:
                pass_time(sql, BACKOFF_MAX_SECONDS)
        assert states == ["queued"] * (FAILURES_MAX - 1) + ["failed"]
        failed = await service.job(job)
    assert failed["cost"] == {"held": 0, "charged": 0}
    assert failed["error"] == {
        "code": "oom",
        "message": "The GPU ran out of memory. Try a smaller size or fewer frames.",
    }
