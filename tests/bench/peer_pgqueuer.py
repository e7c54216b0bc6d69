"""pgqueuer in a process of its own: `setup`, `enqueue SECONDS CALLERS`. Prints one line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import asyncpg
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.queries import Queries

PAYLOAD = json.dumps(
    {"model": "flux-dev", "prompt": "a red fox sitting in fresh snow at dawn, volumetric light, 85mm", "width": 512,
     "height": 512, "steps": 28}
).encode()  # fmt: skip


async def main(host: str, database: str, role: str, *numbers: str) -> None:
    pool = await asyncpg.create_pool(host=host, user="postgres", database=database, min_size=4, max_size=24)
    queries = Queries(AsyncpgPoolDriver(pool))
    if role == "setup":
        await queries.install()
    else:
        seconds, callers = float(numbers[0]), int(numbers[1])
        started = time.monotonic()
        counts = await asyncio.gather(*[_enqueue(queries, started + seconds) for _ in range(callers)])
        print(json.dumps({"jobs": sum(counts), "seconds": time.monotonic() - started}))
    pool.terminate()


async def _enqueue(queries: Queries, end: float) -> int:
    count = 0
    while time.monotonic() < end:
        await queries.enqueue("noop", PAYLOAD, 0)
        count += 1
    return count


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
