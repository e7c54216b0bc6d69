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

from control_plane.database import Database
from control_plane.queue import statements
from control_plane.queue.statements import ClaimRow, LaneHint, Place

OFFER_SECONDS = 3_600.0
FRONT = float("-inf")


PLAIN_STEPS = """
create function plain_claim(for_worker uuid, for_slot smallint, claim uuid, lane integer, bound float8, offer float8,
    out refusal text, out job_id uuid, out attempt integer, out lease_token uuid, out tag float8, out spec text)
    language plpgsql volatile
as $$
declare
    here record;
    picked record;
begin
    select w.id is null or w.revoked_at is not null as revoked, w.drain_requested_at is not null as draining,
        s.quarantined_at is not null as quarantined
    into here
    from workers w left join slots s on s.worker_id = w.id and s.slot = for_slot
    where w.id = for_worker;
    refusal := case when here.revoked is not false then 'revoked' when here.draining then 'draining'
        when here.quarantined then 'quarantined' end;
    perform from jobs j
    where j.state = 'running' and j.worker_id = for_worker and j.claim_id = claim and j.slot = for_slot;
    if found or refusal is not null then
        return;
    end if;
    select q.id, q.attempt, q.tag into picked from jobs q
    where q.state = 'queued' and q.lane_id = lane and q.tag >= bound and (q.start_by is null or q.start_by > now())
    order by q.tag, q.id limit 1 for update skip locked;
    if not found then
        return;
    end if;
    job_id := picked.id;
    attempt := picked.attempt + 1;
    lease_token := gen_random_uuid();
    tag := picked.tag;
    update jobs set state = 'running', attempt = plain_claim.attempt, phase = 'offered', worker_id = for_worker,
        slot = for_slot, claim_id = claim, lease_token = plain_claim.lease_token,
        lease_expires_at = now() + make_interval(secs => offer)
    where id = picked.id;
    insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
    values (picked.id, attempt, for_worker, for_slot, claim, lease_token);
    insert into job_events (job_id, name, attempt) values (picked.id, 'job.claimed', attempt);
    select s.spec into spec from job_specs s where s.job_id = picked.id;
end
$$;
grant execute on function plain_claim to public
"""
"""What `claim_one` would be without lanes to compare, affinity, caps and counts; in steps as it is."""
PLAIN = """select refusal, job_id, attempt, lease_token, tag, spec from plain_claim(%(worker_id)s::uuid,
    %(slot)s::smallint, %(claim_id)s::uuid, %(lane_id)s::integer, %(bound)s::float8, %(offer)s::float8)"""


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
        rows = await statements.claim(self._database, places, [hint], 0.0, OFFER_SECONDS)
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
