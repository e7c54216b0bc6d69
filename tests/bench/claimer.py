"""A process that claims as fast as it can, by the queue's own statement and with a board's own bound.

Each line of its input is `BATCH JOBS BOUND`: how many leases at a time, how many in all, and whether the scan may start
at the bound (`bound`) or has to begin at the front (`front`, what SKIP LOCKED does without one). It answers each with
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
        print(json.dumps(await _run(claimer, int(batch), int(jobs))), flush=True)
    await database.close()


async def _run(claimer: Claimer, batch: int, jobs: int) -> dict[str, float]:
    got, began = 0, time.monotonic()
    while got < jobs and (leases := await claimer.claim(batch)):
        got += len(leases)
    return {"jobs": got, "began": began, "ended": time.monotonic()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
