"""procrastinate in a process of its own: `setup`, `fill N`, `work SECONDS`, `receive SECONDS`, `send N GAP_MS`.

Its own worker, in process and without HTTP, with ten jobs at a time; the tasks do nothing. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from contextlib import suppress
from typing import Any

import procrastinate

CONCURRENCY = 10
BULK = 1_000
PAYLOAD = {
    "model": "flux-dev",
    "prompt": "a red fox sitting in fresh snow at dawn, volumetric light, 85mm",
    "width": 512,
    "height": 512,
    "steps": 28,
}
STOP_SECONDS = 10.0


async def main(url: str, role: str, *numbers: str) -> None:
    logging.disable(logging.CRITICAL)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=24))
    done: list[float] = []
    seen: dict[str, float] = {}

    @app.task(name="noop")
    async def noop(number: int, payload: dict[str, object]) -> None:
        done.append(time.monotonic())

    @app.task(name="started")
    async def started(key: str) -> None:
        seen[key] = time.monotonic()

    async with app.open_async():
        match role:
            case "setup":
                await app.schema_manager.apply_schema_async()
                return
            case "fill":
                count = int(numbers[0])
                for first in range(0, count, BULK):
                    jobs: list[Any] = [
                        {"number": n, "payload": PAYLOAD} for n in range(first, min(first + BULK, count))
                    ]
                    await noop.batch_defer_async(*jobs)
                return
            case "work":
                await _work(app, float(numbers[0]))
                print(json.dumps({"jobs": len(done), "seconds": done[-1] - done[0] if done else 0.0}))
            case "receive":
                print("ready", flush=True)
                await _work(app, float(numbers[0]))
                print(json.dumps(seen))
            case "send":
                print(json.dumps(await _send(started, int(numbers[0]), float(numbers[1]) / 1e3)))


async def _work(app: procrastinate.App, seconds: float) -> None:
    worker = asyncio.create_task(
        app.run_worker_async(concurrency=CONCURRENCY, wait=True, install_signal_handlers=False)
    )
    await asyncio.sleep(seconds)
    worker.cancel()
    with suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await worker


async def _send(task: Any, count: int, gap: float) -> dict[str, float]:
    sent: dict[str, float] = {}
    due = time.monotonic()
    for number in range(count):
        sent[str(number)] = time.monotonic()
        await task.defer_async(key=str(number))
        due += gap
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return sent


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
