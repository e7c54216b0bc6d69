"""What ComfyUI does to an order, through the agent, to its end: the state, the tries and what was paid, for each fault.

Control plane, agent and engine are real; ComfyUI is the stand-in with the faults that the genuine one was seen to have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from agent.agent import Agent
from agent.client import connect
from agent.distrust import Distrust
from agent.engine import Done, Offer, Output, Preview
from agent.engine.comfyui import ComfyUI
from agent.settings import Settings
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.worker import Capability
from control_plane.wire.workflow import Node
from control_plane.workers.slots import QUARANTINE_AFTER
from tests.fixtures.comfyui import QUICK, WORKFLOWS
from tests.fixtures.money import settled
from tests.fixtures.queue import Rows, broken_laws
from tests.fixtures.worker import Service, claim, enrolled, serving
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.server import StandIn, standing_in

PATIENCE_SECONDS = 20.0
SOLD = Capability(kind="image", model="testcard")
DRAWN_BY = "sd15"
GRAPH = next(workflow.graph for workflow in WORKFLOWS if workflow.name == DRAWN_BY)
OOM = Fault("KSampler", "torch.OutOfMemoryError", "CUDA out of memory.")


class UnderAnotherName:
    """ComfyUI, as the engine of the one model that is always sold."""

    name = "comfyui"

    def __init__(self, engine: ComfyUI) -> None:
        self.engine = engine
        self.start, self.stop, self.worn = engine.start, engine.stop, engine.worn

    async def offer(self) -> Offer:
        return msgspec.structs.replace(await self.engine.offer(), capabilities=[SOLD])

    def loaded(self) -> Capability | None:
        return None

    async def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Done | Output, None]:
        async with aclosing(self.engine.run(msgspec.structs.replace(spec, model=DRAWN_BY), folder)) as events:
            async for event in events:
                yield event


class Shop:
    def __init__(self, service: Service, machine: StandIn, agent: Agent, sql: Rows) -> None:
        self.service = service
        self.machine = machine
        self.agent = agent
        self._sql = sql

    async def order(self, **fields: object) -> UUID:
        return await self.service.order(**{"width": 256, "height": 256, "steps": 10, **fields})

    async def until(self, condition: Callable[[], object], retries_in: str = "0 s") -> None:
        """Meanwhile what is to be tried again is due in so long."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._sql.execute(
                    "update jobs set due_at = now() + %s::interval where state = 'queued' and due_at is not null",
                    [retries_in],
                )
                await asyncio.sleep(0.02)

    async def sampling(self) -> None:
        await self.until(lambda: self.machine.process.running is not None and self.machine.process.at == "sampler")

    def state(self, job_id: UUID) -> str:
        return str(self._one("select state from jobs where id = %s", job_id))

    def ended(self, job_id: UUID) -> bool:
        return self.state(job_id) in ("succeeded", "failed", "canceled")

    def tries(self, job_id: UUID) -> list[str]:
        found = self._sql.execute(
            "select coalesce(cause, outcome) from attempts where job_id = %s order by number", [job_id]
        )
        return [str(row[0]) for row in found.fetchall()]

    def paid(self, job_id: UUID) -> str:
        charged, returned = settled(self._sql, job_id) or (0, 0)
        return "all" if not returned else "nothing" if not charged else "part"

    def is_quarantined(self) -> bool:
        worker_id = self.service.hands.worker_id
        return bool(self._one("select quarantined_at is not null from slots where worker_id = %s", worker_id))

    def _one(self, query: str, key: UUID) -> object:
        row = self._sql.execute(query, [key]).fetchone()
        return row[0] if row else None


@asynccontextmanager
async def _shop(database_url: str, folder: Path, sql: Rows) -> AsyncIterator[Shop]:
    chosen = Settings(dir=folder / "agent", disk_free_gib_min=0.0)
    chosen.work_folder.mkdir(parents=True)
    async with (
        standing_in(folder / "comfyui") as machine,
        serving(database_url, folder / "plane", poll_seconds=1.0) as service,
        connect(service.url, service.hands.secret) as client,
        asyncio.TaskGroup() as tasks,
    ):
        engine = ComfyUI(machine.url, WORKFLOWS, msgspec.structs.replace(QUICK, start=10.0))
        agent = Agent(chosen, client, [UnderAnotherName(engine)])
        agent.duty.slots[0].distrust = Distrust(0.2)
        tasks.create_task(agent.run())
        shop = Shop(service, machine, agent, sql)
        try:
            await shop.until(lambda: agent.duty.slots[0].ready)
            yield shop
        finally:
            agent.signalled()
            agent.signalled()


async def _restarted(shop: Shop) -> None:
    await shop.sampling()
    await shop.machine.kill()
    await shop.machine.start()


async def _frozen(shop: Shop) -> None:
    await shop.sampling()
    _server(shop).answer_seconds = 0.2
    shop.machine.freeze()
    await shop.until(lambda: not shop.agent.duty.slots[0].ready)
    shop.machine.thaw()
    await _helped(shop)


def _server(shop: Shop):  # type: ignore[no-untyped-def]
    return shop.agent.duty.slots[0].engine.engine._ready().server  # type: ignore[attr-defined]


async def _thread_died(shop: Shop) -> None:
    await shop.until(lambda: not shop.agent.duty.slots[0].ready)
    assert shop.machine.process.running is not None
    await _helped(shop)


async def _helped(shop: Shop) -> None:
    """Its owner has restarted ComfyUI, and the agent looks again before half a minute is over."""
    await shop.machine.kill()
    await shop.machine.start()
    slot = shop.agent.duty.slots[0]

    def looked_again() -> bool:
        slot.changed.set()
        return slot.ready

    await shop.until(looked_again)


async def _websocket_lost(shop: Shop) -> None:
    await shop.sampling()
    await shop.machine.process.close_sockets()


async def _websocket_half_open(shop: Shop) -> None:
    await shop.sampling()
    await shop.machine.process.mute_sockets()


async def _nothing(shop: Shop) -> None:
    """The fault lies in the machine already."""


def _faults(*faults: Fault) -> Callable[[StandIn], None]:
    return lambda machine: machine.faults.extend(faults)


def _partly_valid(machine: StandIn) -> None:
    GRAPH["other"] = Node("SaveImage", {"filename_prefix": "x", "images": ["nowhere", 0]})


def _late(machine: StandIn) -> None:
    machine.history_late_seconds = 0.5


def _answers_in_text(machine: StandIn) -> None:
    machine.process.nodes["KSampler"]["input"]["required"]["steps"] = []


def _broken_file(machine: StandIn) -> None:
    machine.process.executor.cache.clear()  # so that it is read
    machine.faults.append(Fault("CheckpointLoaderSimple", "safetensors_rust.SafetensorError", "header"))


def _lost_answer(machine: StandIn) -> None:
    machine.lost_answers = 1


Before = Callable[[StandIn], None]
Meanwhile = Callable[[Shop], Awaitable[None]]


def _no_matter(machine: StandIn) -> None:
    """Nothing is wrong before the order comes."""


TABLE: dict[str, tuple[Before, Meanwhile, str, list[str], str]] = {
    "nothing": (_no_matter, _nothing, "succeeded", ["succeeded"], "all"),
    "restart": (_no_matter, _restarted, "succeeded", ["engine_crash", "succeeded"], "all"),
    "frozen process": (_no_matter, _frozen, "succeeded", ["engine_crash", "succeeded"], "all"),
    "dead thread": (
        _faults(Fault("KSampler", "KeyboardInterrupt", "", fatal=True)),
        _thread_died,
        "succeeded",
        ["engine_crash", "succeeded"],
        "all",
    ),
    "lost websocket": (_no_matter, _websocket_lost, "succeeded", ["succeeded"], "all"),
    "half-open websocket": (_no_matter, _websocket_half_open, "succeeded", ["succeeded"], "all"),
    "history late": (_late, _nothing, "succeeded", ["succeeded"], "all"),
    "answer lost": (_lost_answer, _nothing, "succeeded", ["succeeded"], "all"),
    "500 as text": (_answers_in_text, _nothing, "failed", ["invalid_input"], "nothing"),
    "partial graph": (_partly_valid, _nothing, "failed", ["invalid_input"], "nothing"),
    "bad input": (
        _faults(Fault("KSampler", "ValueError", "what the customer typed")),
        _nothing,
        "failed",
        ["invalid_input"],
        "nothing",
    ),
    "disk full": (
        _faults(Fault("SaveImage", "OSError", "[Errno 28] No space left on device")),
        _nothing,
        "succeeded",
        ["engine_crash", "succeeded"],
        "all",
    ),
    "out of memory": (_faults(OOM), _nothing, "succeeded", ["succeeded"], "all"),
    "out of memory twice": (_faults(OOM, OOM), _nothing, "succeeded", ["oom", "succeeded"], "all"),
    "a model that no worker has whole": (  # the last, since the slot does without it from then on
        _broken_file,
        _nothing,
        "failed",
        ["missing_model"] * 3,
        "nothing",
    ),
}


@pytest.mark.slow
async def test_each_fault_ends_in_the_right_state_with_the_right_charge(
    database_url: str, sql: Rows, tmp_path: Path
) -> None:
    async with _shop(database_url, tmp_path, sql) as shop:
        for seed, (fault, (before, meanwhile, state, tries, paid)) in enumerate(TABLE.items(), 1):
            before(shop.machine)
            job_id = await shop.order(prompt=fault, seed=seed)
            await meanwhile(shop)
            await shop.until(lambda job_id=job_id: shop.ended(job_id))  # type: ignore[misc]
            assert (fault, shop.state(job_id), shop.tries(job_id), shop.paid(job_id)) == (fault, state, tries, paid)
            assert not shop.machine.faults
            if before is _answers_in_text:
                await shop.machine.kill()
                await shop.machine.start()
            shop.machine.history_late_seconds = 0.0
            GRAPH.pop("other", None)
        assert broken_laws(sql) == {}


async def test_a_canceled_run_is_paid_in_part_also_when_the_interruption_is_lost_once(
    database_url: str, sql: Rows, tmp_path: Path
) -> None:
    async with _shop(database_url, tmp_path, sql) as shop:
        shop.machine.begin_seconds, shop.machine.step_seconds = 0.1, 0.03
        job_id = await shop.order(steps=80)
        await shop.sampling()
        await shop.until(lambda: shop.agent.duty.works()[0].progress)
        await asyncio.sleep(0.6)  # so that there is something to pay for
        canceled = await shop.service.as_customer(f"/api/v1/jobs/{job_id}", "DELETE")
        assert canceled.status in (200, 202), canceled.body
        await shop.until(lambda: shop.ended(job_id))
        assert (shop.state(job_id), shop.tries(job_id)) == ("canceled", ["canceled"])
        await shop.until(lambda: shop.machine.process.running is None)


@pytest.mark.slow
async def test_a_quarantined_slot_works_again_when_its_engine_has_drawn_a_picture(
    database_url: str, sql: Rows, tmp_path: Path
) -> None:
    async with _shop(database_url, tmp_path, sql) as shop:
        other = await enrolled(shop.service.context, shop.service.session, "other")
        assert (await other.call("/claim", claim())).status == 200  # so that the slot is not the last of its lane
        jobs = []
        for seed in range(QUARANTINE_AFTER):
            await shop.until(lambda: shop.agent.duty.slots[0].ready, "1 hour")
            shop.machine.faults.append(Fault("KSampler", "ConnectionError", ""))
            jobs.append(await shop.order(seed=seed))
            await shop.until(lambda: shop.tries(jobs[-1]) == ["engine_crash"], "1 hour")
        distrust = shop.agent.duty.slots[0].distrust
        await shop.until(lambda: shop.is_quarantined() and distrust.is_on, "1 hour")
        waiting, posted = await shop.order(seed=99), shop.machine.calls["prompt"]
        await shop.until(lambda: shop.machine.calls["prompt"] > posted, "1 hour")
        assert shop.is_quarantined()  # it is too soon
        assert shop.state(waiting) == "queued"
        sql.execute("update slots set quarantined_at = quarantined_at - interval '1 minute'")
        await shop.until(lambda: not shop.is_quarantined())
        for job_id in [waiting, *jobs]:
            await shop.until(lambda job_id=job_id: shop.ended(job_id))  # type: ignore[misc]
        assert {shop.state(job_id) for job_id in jobs} == {"succeeded"}
        assert {shop.paid(job_id) for job_id in jobs} == {"all"}
