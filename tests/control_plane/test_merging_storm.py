"""Merges in the midst of everything else, by two processes on one database: no circle of locks, no token lost.

Eight people order, cancel and are given tokens, four slots claim, finish, fail and give back, while the eight become
one, two by two. PostgreSQL itself counts the deadlocks: there must be none, for everybody locks jobs before balances.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

import psycopg

from control_plane import audit
from control_plane.errors import LeaseLost, Merged, NotFound
from control_plane.money import ledger
from control_plane.people import linking
from control_plane.queue.dispatch import Dispatcher
from control_plane.wire.worker import Lease
from tests.fixtures.queue import (
    Rows,
    Slot,
    add_file,
    add_user,
    add_worker,
    broken_laws,
    lane_of_the_testcard,
    order,
    process,
    rows,
)

PEOPLE = 8
SUBMITTERS = 8
ORDERS = 60
"""By each submitter."""
SEED = 20_261_123


class Storm:
    """Who is who by now, and what has happened."""

    def __init__(self, processes: tuple[Dispatcher, Dispatcher], owner: Rows) -> None:
        self.processes = processes
        self.owner = owner
        self.dice = random.Random(SEED)
        self.people = [add_user(owner) for _ in range(PEOPLE)]
        self.lane = lane_of_the_testcard(owner)
        self.jobs: list[tuple[UUID, UUID]] = []
        self.seen: Counter[str] = Counter()
        self.over = asyncio.Event()

    def somewhere(self) -> Dispatcher:
        return self.dice.choice(self.processes)

    async def submit(self) -> None:
        for _ in range(ORDERS):
            person = self.dice.randrange(PEOPLE)
            wanted = order(self.people[person], self.lane, cost=self.dice.randint(1, 9))
            try:
                submitted = await self.somewhere().submit(wanted)
            except Merged:
                self.seen["merged"] += 1
                continue
            self.seen["submitted"] += 1
            self.jobs.append((wanted.user_id, submitted.job_id))
            await self.aside(person)

    async def aside(self, person: int) -> None:
        """Now and then a cancel, or a gift."""
        match self.dice.randrange(4):
            case 0:
                user_id, job_id = self.dice.choice(self.jobs)
                await self.somewhere().cancel(self.dice.choice([user_id, self.people[person]]), job_id)
                self.seen["cancels"] += 1
            case 1:
                try:
                    await ledger.grant(self.somewhere().database, self.people[person], 5, "a gift", audit.OPERATOR)
                    self.seen["gifts"] += 1
                except NotFound:
                    self.seen["gifts to nobody"] += 1

    async def work(self, slot: Slot) -> None:
        while not self.over.is_set():
            lease = await slot.claim(wait=0.2)
            if lease is None:
                continue
            try:
                await self.end(slot, await slot.start(lease))
            except (LeaseLost, AssertionError):
                self.seen["leases lost"] += 1

    async def end(self, slot: Slot, lease: Lease) -> None:
        how = self.dice.choice(["complete", "complete", "fail", "release"])
        match how:
            case "complete":
                await asyncio.to_thread(add_file, self.owner, lease)
                await slot.dispatcher.complete(slot.fence(lease), 1)
            case "fail":
                await slot.dispatcher.fail(slot.fence(lease), "invalid_input", "")
            case _:
                await slot.dispatcher.release(slot.fence(lease), "not_started")
        self.seen[how] += 1

    async def merge(self) -> None:
        """Two by two, spread over what the others do."""
        while len(set(self.people)) > 1:
            await asyncio.sleep(0.05)
            one, other = self.dice.sample(sorted(set(self.people)), 2)
            linked = await linking.merge(self.somewhere().database, one, other)
            await asyncio.sleep(0.03)  # until everybody has heard of it, they order in the old name
            self.people = [linked.user_id if person == linked.gone else person for person in self.people]
            self.seen["merges"] += 1
            self.seen["merges among orders"] += self.seen["submitted"] < SUBMITTERS * ORDERS * 0.9


async def test_merges_in_a_storm_meet_no_deadlock_and_lose_no_token(database_url: str, owner_url: str) -> None:
    with rows(owner_url) as owner:
        async with process(database_url) as first, process(database_url) as second:
            storm = Storm((first, second), owner)
            slots = [Slot(dispatcher, add_worker(owner)) for dispatcher in (first, second) * 2]
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(storm.work(slot)) for slot in slots]
                async with asyncio.TaskGroup() as others:
                    for _ in range(SUBMITTERS):
                        others.create_task(storm.submit())
                    others.create_task(storm.merge())
                storm.over.set()
                await asyncio.wait(workers)
        [survivor] = set(storm.people)
        assert owner.execute("select law, kept, found from ledger_violations").fetchall() == []
        assert broken_laws(owner) == {}
        whose = owner.execute("select user_id, count(*) from jobs group by user_id").fetchall()
        assert whose == [(survivor, storm.seen["submitted"])]
    assert deadlocks(owner_url) == 0
    floors = {"merges": 7, "merges among orders": 5, "merged": 5, "submitted": 200, "cancels": 20, "gifts": 20}
    floors |= {"complete": 20, "fail": 5, "release": 5}
    assert {name: storm.seen[name] for name, floor in floors.items() if storm.seen[name] < floor} == {}, storm.seen


def deadlocks(owner_url: str) -> int:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        found = connection.execute(
            "select deadlocks from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])
