"""A process that claims as fast as it can, by the queue's own statement and with a board's own bound.

Each line of its input is `BATCH JOBS HOW`: how many leases at a time, how many in all, and whether the scan may start
at the bound (`bound`) or has to begin at the front (`front`, what SKIP LOCKED does without one). `plain` is a claim
without fairness: one lane, nobody's cap looked at, nothing counted, everything else the same. It answers each with
one line of JSON: how many leases it got, and when it began and ended.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid

from control_plane import queue
from control_plane.database import Database
from control_plane.queue import ClaimRow, LaneHint, Place

OFFER_SECONDS = 3_600.0
FRONT = float("-inf")


PLAIN = """
with member as materialized (
    select case when w.id is null or w.revoked_at is not null then 'revoked'
            when w.drain_requested_at is not null then 'draining'
            when s.quarantined_at is not null then 'quarantined' end as refusal,
        (select j.id from jobs j where j.state = 'running' and j.worker_id = m.worker_id
            and j.claim_id = %(claim_id)s::uuid and j.slot = %(slot)s::smallint) as held_job_id
    from (select %(worker_id)s::uuid as worker_id) m
    left join workers w on w.id = m.worker_id
    left join slots s on s.worker_id = m.worker_id and s.slot = %(slot)s::smallint
),
picked as materialized (
    select q.id, q.tag from jobs q
    where q.state = 'queued' and q.lane_id = %(lane_id)s::integer and q.tag >= %(bound)s::float8
        and (q.start_by is null or q.start_by > now())
        and exists (select from member where refusal is null and held_job_id is null)
    order by q.tag, q.id limit 1 for update skip locked
),
leased as (
    update jobs set state = 'running', attempt = jobs.attempt + 1, phase = 'offered', worker_id = %(worker_id)s::uuid,
        slot = %(slot)s::smallint, claim_id = %(claim_id)s::uuid, lease_token = gen_random_uuid(),
        lease_expires_at = now() + make_interval(secs => %(offer)s::float8)
    from picked where jobs.id = picked.id returning jobs.id, jobs.attempt, jobs.lease_token, picked.tag
),
attempted as (
    insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
    select id, attempt, %(worker_id)s::uuid, %(slot)s::smallint, %(claim_id)s::uuid, lease_token from leased
),
told as (insert into job_events (job_id, name, attempt) select id, 'job.claimed', attempt from leased)
select member.refusal, leased.id, leased.attempt, leased.lease_token, leased.tag, s.spec::text
from member left join leased on true left join job_specs s on s.job_id = leased.id
"""
"""What `claim_one` would be without lanes to compare, affinity, caps and counts."""


class Claimer:
    def __init__(self, database: Database, lane_id: int, workers: list[uuid.UUID]) -> None:
        self._database = database
        self._lane_id = lane_id
        self._workers = workers
        self.bound = FRONT
        self.bounded = True

    async def claim(self, batch: int) -> list[ClaimRow]:
        places = [self._place() for _ in range(batch)]
        hint = LaneHint(lane_id=self._lane_id, bound=self.bound if self.bounded else FRONT, tag_offset=0.0)
        rows = await queue.claim(self._database, places, [hint], 0.0, OFFER_SECONDS)
        got = [row for row in rows if row.job_id is not None]
        self.bound = max([self.bound, *(row.head_tag for row in got if row.head_tag is not None)])
        return got

    async def claim_plainly(self) -> int:
        place = self._place()
        values = {"worker_id": place.worker_id, "slot": place.slot, "claim_id": place.claim_id}
        async with self._database.connection() as connection:
            found = await connection.execute(
                PLAIN, {**values, "lane_id": self._lane_id, "bound": self.bound, "offer": OFFER_SECONDS}, prepare=True
            )
            row = await found.fetchone()
        assert row is not None
        self.bound = max(self.bound, row[4])
        return int(row[1] is not None)

    def _place(self) -> Place:
        return Place(
            worker_id=random.choice(self._workers),
            slot=random.randrange(16),
            claim_id=uuid.uuid4(),
            lane_ids=(self._lane_id,),
            loaded_lane_id=self._lane_id,
        )


async def main(url: str) -> None:
    database = Database(url, size=2)
    await database.open()
    async with database.connection() as connection:
        found = await connection.execute("select id from lanes where kind = 'image' and model = 'testcard'")
        lane = await found.fetchone()
        workers = [row[0] for row in await (await connection.execute("select id from workers")).fetchall()]
    assert lane is not None
    claimer = Claimer(database, lane[0], workers)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        batch, jobs, how = line.split()
        claimer.bounded = how == "bound"
        ran = _run_plainly(claimer, int(jobs)) if how == "plain" else _run(claimer, int(batch), int(jobs))
        print(json.dumps(await ran), flush=True)
    await database.close()


async def _run(claimer: Claimer, batch: int, jobs: int) -> dict[str, float]:
    got, began = 0, time.monotonic()
    while got < jobs and (leases := await claimer.claim(batch)):
        got += len(leases)
    return {"jobs": got, "began": began, "ended": time.monotonic()}


async def _run_plainly(claimer: Claimer, jobs: int) -> dict[str, float]:
    got, began = 0, time.monotonic()
    while got < jobs and (leased := await claimer.claim_plainly()):
        got += leased
    return {"jobs": got, "began": began, "ended": time.monotonic()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
