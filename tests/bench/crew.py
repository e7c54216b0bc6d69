"""Workers without agents and without drawing: many jobs at once, each with progress every second, at little cost."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from uuid import uuid4

import aiohttp
import msgspec

from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.worker import SLOTS_MAX, Capability, Claimed, Lease
from tests.bench.fill import Credential
from tests.fixtures.marks import picture
from tests.fixtures.worker import Hands

BEAT_SECONDS = 1.0
POLL_SECONDS = 5.0
MODEL = "testcard"


@dataclass(frozen=True)
class _Job:
    lease: Lease
    began: float
    seconds: float

    def told(self, now: float) -> dict[str, object]:
        """As a heartbeat tells it."""
        fence = {"job_id": self.lease.job_id, "attempt": self.lease.attempt, "token": self.lease.token}
        progress = {"value": min(0.99, (now - self.began) / self.seconds)}
        return {**fence, "phase": "started", "progress": progress}


class Worker:
    """One credential with up to `SLOTS_MAX` slots, each of which takes about `job_seconds` for whatever comes."""

    def __init__(self, hands: Hands, slots: int, job_seconds: float) -> None:
        self.most = 0
        """Jobs at once, so far."""
        self.done = 0
        self.reports = 0
        self._hands = hands
        self._free = set(range(slots))
        self._job_seconds = job_seconds
        self._running: dict[int, _Job] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._claim(tasks))
            tasks.create_task(self._report())

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        able = [msgspec.to_builtins(Capability(kind="image", model=MODEL))]
        while True:
            if not self._free:
                self._changed.clear()
                await self._changed.wait()
                continue
            slots = [{"slot": slot, "capabilities": able} for slot in sorted(self._free)]
            asked = {"claim_id": uuid4(), "protocol": PROTOCOL_VERSION, "slots": slots, "wait": POLL_SECONDS}
            answered = await self._hands.call("/claim", asked)
            leases = msgspec.json.decode(answered.body, type=Claimed).leases if answered.status == 200 else []
            for lease in leases:
                self._free.discard(lease.slot)
                seconds = self._job_seconds * random.uniform(0.5, 1.5)
                self._running[lease.slot] = _Job(lease, time.monotonic(), seconds)
                tasks.create_task(self._work(self._running[lease.slot]))
            self.most = max(self.most, len(self._running))

    async def _report(self) -> None:
        """One heartbeat a second for all leases."""
        while True:
            leases = [job.told(time.monotonic()) for job in self._running.values()]
            if leases:
                await self._hands.call("/heartbeat", {"leases": leases})
                self.reports += len(leases)
            await asyncio.sleep(BEAT_SECONDS)

    async def _work(self, job: _Job) -> None:
        await asyncio.sleep(job.seconds)
        lease = job.lease
        del self._running[lease.slot]
        for index in range(lease.spec.count):
            await self._hands.upload(lease, picture(), index)
        await self._hands.complete(lease, lease.spec.count)
        self.done += 1
        self._free.add(lease.slot)
        self._changed.set()


def crew(
    session: aiohttp.ClientSession, url: str, credentials: list[Credential], slots: int, job_seconds: float
) -> list[Worker]:
    """Workers with so many slots together; each credential is good for `SLOTS_MAX` of them."""
    made = []
    for credential in credentials:
        mine = min(SLOTS_MAX, slots)
        slots -= mine
        hands = Hands(session, url, credential.id, credential.secret)  # type: ignore[arg-type]
        made.append(Worker(hands, mine, job_seconds))
    assert slots <= 0, "too few credentials"
    return made
