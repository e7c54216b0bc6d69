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
from typing import Any

from psycopg import AsyncConnection

from control_plane.database import SESSION_OPTIONS, column
from control_plane.queue import (
    AFFINITY_TOKENS,
    CLAIM,
    LAG_TOKENS,
    PATIENCE_SECONDS,
    ClaimRow,
    LaneHint,
    Place,
)

"""The slots are not what is measured here."""
OFFER_SECONDS = 3_600.0
FRONT = float("-inf")


class Claimer:
    def __init__(self, connection: AsyncConnection[Any], lane_id: int, workers: list[uuid.UUID]) -> None:
        self._connection = connection
        self._lane_id = lane_id
        self._workers = workers
        self.bound = FRONT
        self.bounded = True

    async def claim(self, batch: int) -> list[ClaimRow]:
        places = [self._place() for _ in range(batch)]
        hint = LaneHint(lane_id=self._lane_id, bound=self.bound if self.bounded else FRONT, tag_offset=0.0)
        rows = await CLAIM.many(
            self._connection,
            {
                "worker_id": column(places, "worker_id"),
                "slot": column(places, "slot"),
                "claim_id": column(places, "claim_id"),
                "loaded_lane_id": self._lane_id,
                "lane_id": column([hint], "lane_id"),
                "bound": column([hint], "bound"),
                "tag_offset": column([hint], "tag_offset"),
                "pool_clock": 0.0,
                "offer_seconds": OFFER_SECONDS,
                "is_full": column(places, "is_full"),
                "affinity": AFFINITY_TOKENS,
                "patience": PATIENCE_SECONDS,
                "lag": LAG_TOKENS,
            },
        )
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
    connection = await AsyncConnection.connect(url, autocommit=True, prepare_threshold=0, options=SESSION_OPTIONS)
    async with connection:
        found = await connection.execute("select id from lanes where kind = 'image' and model = 'testcard'")
        lane = await found.fetchone()
        workers = [row[0] for row in await (await connection.execute("select id from workers")).fetchall()]
        assert lane is not None
        claimer = Claimer(connection, lane[0], workers)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            batch, jobs, how = line.split()
            claimer.bounded = how == "bound"
            print(json.dumps(await _run(claimer, int(batch), int(jobs))), flush=True)


async def _run(claimer: Claimer, batch: int, jobs: int) -> dict[str, float]:
    got, began = 0, time.monotonic()
    while got < jobs and (leases := await claimer.claim(batch)):
        got += len(leases)
    return {"jobs": got, "began": began, "ended": time.monotonic()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
