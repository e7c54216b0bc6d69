"""PostgreSQL is killed with all its processes, again and again, while customers order and agents work.

A control-plane process lives on through it (others are killed in `test_crash.py`). Every client repeats a call whose
outcome it does not know, with the same key, claim id or fence, until it is told; in the end everything that anybody
was told must be true in the database, every law must hold, and every job must come to its end. That this proves
something is proved by a server that acknowledges before it writes: there the same judgement finds what was lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest

from control_plane import embedded, migrate
from control_plane.embedded import Embedded
from control_plane.errors import LeaseLost, Unauthorized, Unavailable
from control_plane.queue.dispatch import Dispatcher
from control_plane.states import State
from control_plane.wire.worker import Lease
from tests.fixtures.history import History, contradictions, counts
from tests.fixtures.postgres import HOUSE
from tests.fixtures.queue import (
    Slot,
    add_file,
    add_user,
    add_worker,
    lane_of_the_testcard,
    one,
    order,
    process,
    rows,
    until,
)

LEASE_SECONDS, OFFER_SECONDS = 1.0, 0.8
"""Short, so that agents that dawdle lose their leases."""
AGENTS, CUSTOMERS = 8, 4
AWAY_SECONDS = 0.05
"""Between two tries of a call whose outcome is unknown."""
DRAIN_SECONDS = 90.0
"""For every job to come to its end when the faults are over."""

Answer = TypeVar("Answer")


class World:
    """A durable server of its own, a process, clients, and the history of what they were told."""

    def __init__(self, folder: Path, server: Embedded, dispatcher: Dispatcher, tuning: Mapping[str, str]) -> None:
        self.folder = folder
        self.server = server
        self.dispatcher = dispatcher
        self.tuning = tuning
        self.history = History(folder / "history.jsonl")
        self.quiet = asyncio.Event()
        """Set when no more faults and no more orders come."""
        self.done = asyncio.Event()
        self.faults = 0
        self.acknowledged = 0
        with rows(server.app_url) as connection:
            self.users = [add_user(connection) for _ in range(CUSTOMERS)]
            self.workers = [add_worker(connection) for _ in range(AGENTS)]
            self.lane = lane_of_the_testcard(connection)

    # ------------------------------------------------------------------------------------- calls

    def told(self, name: str, **fields: Any) -> None:
        self.acknowledged += 1
        self.history.note("ok", name, **fields)

    async def call(self, name: str, act: Callable[[], Awaitable[Answer]], **fields: Any) -> Answer | None:
        """Until the outcome is known. None when it was refused."""
        while True:
            self.history.note("invoke", name, **fields)
            try:
                return await act()
            except (LeaseLost, Unauthorized) as refusal:
                self.history.note("fail", name, answer=refusal.slug, **fields)
                return None
            except (Unavailable, psycopg.Error, OSError) as error:
                self.history.note("info", name, error=type(error).__name__, **fields)
                await asyncio.sleep(AWAY_SECONDS)

    # ------------------------------------------------------------------------------------- customers

    async def customer(self, user: UUID, chance: random.Random) -> None:
        while not self.quiet.is_set():
            key = uuid4().hex
            wish = order(user, self.lane, key=key)
            told = await self.call("submit", lambda: self.dispatcher.submit(wish), key=key, user=user)  # noqa: B023
            assert told is not None
            job_id = told.job_id
            self.told("submit", key=key, user=user, job_id=job_id, replayed=told.replayed)
            await asyncio.sleep(chance.uniform(0, 0.04))
            if chance.random() < 0.1:
                await self.call("cancel", lambda: self.dispatcher.cancel(user, job_id), job_id=job_id)  # noqa: B023
                self.told("cancel", job_id=job_id)

    # ------------------------------------------------------------------------------------- agents

    async def agent(self, worker: UUID, chance: random.Random) -> None:
        slot = Slot(self.dispatcher, worker)
        while not self.done.is_set():
            claim_id = uuid4()
            lease = await self.call("claim", lambda: slot.claim(claim_id=claim_id, wait=0.3), claim_id=claim_id)  # noqa: B023
            if lease is not None:
                await self.work(slot, lease, chance)

    async def work(self, slot: Slot, lease: Lease, chance: random.Random) -> None:
        who = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "worker": slot.worker_id}
        self.told("claim", **who)
        started = await self.call("start", lambda: slot.beat(lease, phase="started"), **who)
        if started is not None and started.renewed:
            self.told("start", **who)
        act: Callable[[], Awaitable[State]]
        way = chance.random()
        if way < 0.05:
            return  # this agent forgets what it was doing
        if way < 0.15:
            await asyncio.sleep(1.6 * LEASE_SECONDS)  # and this one wakes up too late
        fence = slot.fence(lease)
        if way < 0.2:
            report, act = "fail", partial(self.dispatcher.fail, fence, "oom", "")
        elif way < 0.25:
            report, act = "release", partial(self.dispatcher.release, fence, "drain")
        else:
            report, act = "complete", partial(self.complete, slot, lease)
        for _ in range(2 if chance.random() < 0.2 else 1):
            if state := await self.call(report, act, **who):
                self.told(report, answer=state, **who)

    async def complete(self, slot: Slot, lease: Lease) -> State:
        await asyncio.to_thread(self.upload, lease)
        return await self.dispatcher.complete(slot.fence(lease), 1)

    def upload(self, lease: Lease) -> None:
        with rows(self.server.app_url) as connection:
            add_file(connection, lease)

    # ------------------------------------------------------------------------------------- faults

    async def kill_and_restart(self) -> None:
        """Everything of the server at once, as a power cut would.

        The postmaster is stopped first: a child that it forks meanwhile would live on, waiting for locks of the dead.
        """
        postmaster = psutil.Process(self.server.pid)
        postmaster.suspend()
        await until(lambda: postmaster.status() == psutil.STATUS_STOPPED)
        family = [postmaster, *postmaster.children(recursive=True)]
        for member in family:
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
        await until(lambda: not any(map(lives, family)), DRAIN_SECONDS)
        self.server.stop()
        self.server = await asyncio.to_thread(embedded.start, self.folder, self.tuning)
        self.faults += 1

    async def storm(self, faults: int, chance: random.Random) -> None:
        """Every kill meets clients at work: the next one comes when enough was acknowledged since the last."""
        for _ in range(faults):
            enough = self.acknowledged + chance.randint(60, 180)
            await until(lambda: self.acknowledged >= enough, DRAIN_SECONDS)  # noqa: B023
            await self.kill_and_restart()
        enough = self.acknowledged + 60
        await until(lambda: self.acknowledged >= enough, DRAIN_SECONDS)

    async def drained(self) -> None:
        """Backoffs are shortened; everything else ends by itself."""
        async with asyncio.timeout(DRAIN_SECONDS):
            while await asyncio.to_thread(self.unfinished):
                await asyncio.sleep(0.2)

    def unfinished(self) -> int:
        with rows(self.server.app_url) as connection:
            connection.execute("update jobs set due_at = now() where due_at is not null and state = 'queued'")
            return int(one(connection, "select count(*) from jobs where finished_at is null"))


def lives(process: psutil.Process) -> bool:
    """Neither gone nor merely waiting to be buried by whoever inherited it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def world(folder: Path, tuning: Mapping[str, str]) -> AsyncIterator[World]:
    server = embedded.start(folder, tuning)
    try:
        migrate.migrate(server.owner_url)
        with rows(server.owner_url) as owner:
            owner.execute(HOUSE)
        limits = {"lease_seconds": LEASE_SECONDS, "offer_seconds": OFFER_SECONDS, "grace_seconds": LEASE_SECONDS}
        async with process(server.app_url, size=12, **limits) as dispatcher:
            made = World(folder, server, dispatcher, tuning)
            try:
                yield made
            finally:
                server = made.server
                made.history.close()
    finally:
        embedded.start(folder, tuning).stop()
        server.stop()


async def live_through(made: World, faults: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with asyncio.TaskGroup() as clients:
        for n, user in enumerate(made.users):
            clients.create_task(made.customer(user, random.Random(seed + n)))
        for n, worker in enumerate(made.workers):
            clients.create_task(made.agent(worker, random.Random(seed + 100 + n)))
        await made.storm(faults, random.Random(seed))
        made.quiet.set()
        await made.drained()
        made.done.set()


def judge(made: World) -> tuple[list[str], dict[str, int]]:
    lines = made.history.lines()
    told = counts(lines)
    with rows(made.server.app_url) as connection:
        found = contradictions(lines, connection)
    unknown = sum(count for what, count in told.items() if what.startswith("info "))
    stale = sum(count for what, count in told.items() if what.startswith("fail "))
    return found, {
        "faults": made.faults,
        "submits acknowledged": told["ok submit"],
        "completes acknowledged": told["ok complete"],
        "cancels acknowledged": told["ok cancel"],
        "outcomes unknown": unknown,
        "stale writes rejected": stale,
    }


@pytest.mark.slow
async def test_what_anybody_was_told_survives_six_kills_of_the_database(tmp_path: Path) -> None:
    async with world(tmp_path, {}) as made:
        await live_through(made, faults=6)
        found, met = judge(made)
    assert found == []
    floors = {
        "faults": 6,
        "submits acknowledged": 100,
        "completes acknowledged": 60,
        "cancels acknowledged": 5,
        "outcomes unknown": 30,
        "stale writes rejected": 5,
    }
    assert {what: met[what] for what, floor in floors.items() if met[what] < floor} == {}, "too little happened"


@pytest.mark.torture
async def test_what_anybody_was_told_survives_sixty_kills_of_the_database(tmp_path: Path) -> None:
    async with world(tmp_path, {}) as made:
        await live_through(made, faults=60)
        found, met = judge(made)
    assert found == []
    assert met["faults"] == 60
    assert min(met.values()) >= 60, met


@pytest.mark.slow
async def test_the_judgement_finds_what_a_server_forgot_that_acknowledged_too_early(tmp_path: Path) -> None:
    """`synchronous_commit = off`: every table is in order afterwards, only the customers know better."""
    careless = {"synchronous_commit": "off", "wal_writer_delay": "10000ms"}
    async with world(tmp_path, careless) as made:
        found: list[str] = []
        for turn in range(4):  # once in a while the log happens to be written at the very moment
            with psycopg.connect(made.server.url(embedded.SUPERUSER), autocommit=True) as superuser:
                superuser.execute("checkpoint")
            for n in range(20):
                key = f"key-{turn}-{n}"
                told = await made.dispatcher.submit(order(made.users[0], made.lane, key=key))
                made.told("submit", key=key, job_id=told.job_id)
            await made.kill_and_restart()
            found, _ = judge(made)
            if found:
                break
    assert any("there is no such job" in line for line in found)
    assert not any("law broken" in line for line in found), "from inside it looks flawless"
