"""Small programs that call the service as agents and customers do; each runs in a process of its own.

`receive URL CREDENTIAL SECONDS`: an agent that waits for work and notes when it held each lease (the job then fails
for good, so that the slot is free again). `send URL KEY COUNT GAP_MS`: a customer who notes when each order was sent.
`crowd URL CREDENTIALS_FILE`: many agents that wait until the input ends, and what they were told. Times are the
machine's monotonic clock, which all processes share. Each prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

API = "/api/v1"
ORDER = {"kind": "image", "model": "testcard", "prompt": "a red fox in fresh snow", "width": 512, "height": 512}
POLL_SECONDS = 25.0
LIMIT_SECONDS = 60.0


def claim_body(wait: float) -> dict[str, Any]:
    able = {"kind": "image", "model": "testcard"}
    slot = {"slot": 0, "capabilities": [able], "loaded": able}
    return {"claim_id": str(uuid.uuid4()), "protocol": 1, "wait": wait, "slots": [slot]}


class Caller:
    """One kept-alive connection and a credential, on the plain client of the standard library."""

    def __init__(self, url: str, credential: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=LIMIT_SECONDS)
        self._headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any], **headers: str) -> Any:
        self._connection.request("POST", API + path, json.dumps(body), {**self._headers, **headers})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {said.decode()}")
        return json.loads(said)


def receive(caller: Caller, seconds: float) -> dict[str, float]:
    held: dict[str, float] = {}
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        leases = caller.post("/worker/claim", claim_body(min(left, POLL_SECONDS)))["leases"]
        now = time.monotonic()
        for lease in leases:
            held[lease["job_id"]] = now
            path = f"/worker/jobs/{lease['job_id']}/attempts/{lease['attempt']}/fail"
            caller.post(path, {"cause": "invalid_input"}, **{"Tessera-Lease-Token": lease["token"]})
    return held


def send(caller: Caller, count: int, gap_ms: float) -> dict[str, float]:
    sent: dict[str, float] = {}
    due = time.monotonic()
    for _ in range(count):
        now = time.monotonic()
        sent[caller.post("/jobs", ORDER)["id"]] = now
        due += gap_ms / 1e3
        time.sleep(max(0.0, due - time.monotonic()))
    return sent


async def crowd(url: str, credentials: list[str]) -> dict[str, list[float]]:
    """When a lease came, and when an answer came without one, until the input ends."""
    heard: dict[str, list[float]] = {"leases": [], "empty": []}

    async def wait(credential: str) -> None:
        headers = {"Authorization": f"Bearer {credential}"}
        async with session.post(f"{API}/worker/claim", json=claim_body(POLL_SECONDS), headers=headers) as answer:
            leases = (await answer.json())["leases"]
        heard["leases" if leases else "empty"].append(time.monotonic())

    timeout = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        waiting = [asyncio.create_task(wait(credential)) for credential in credentials]
        await asyncio.to_thread(sys.stdin.read)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return heard


def main(role: str, url: str, credential: str, *numbers: str) -> None:
    result: dict[str, Any]
    match role:
        case "receive":
            result = receive(Caller(url, credential), float(numbers[0]))
        case "send":
            result = send(Caller(url, credential), int(numbers[0]), float(numbers[1]))
        case "crowd":
            result = asyncio.run(crowd(url, Path(credential).read_text().split()))
        case _:
            raise ValueError(role)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
