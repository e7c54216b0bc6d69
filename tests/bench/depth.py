"""Claims at depth: a backlog of a million against ten thousand, and an old snapshot with half a million dead rows.

Four processes claim at once by the queue's own statement. Every round visits all backlogs in turn, and so few jobs are
taken at a time that each keeps its size. The dead rows are jobs that went their whole way, leases and all, while a
transaction somewhere kept an old snapshot open; without a bound a claim has to walk over each of them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import psycopg

from tests.bench import claimer, fill, machine
from tests.bench.report import Row, at_least, at_most, spread
from tests.bench.scratch import Scratch
from tests.fixtures import books

CLAIMERS = 4
WORKERS = 2_000
USERS = 10_000
SHALLOW, DEEP, DEAD = 10_000, 1_000_000, 500_000
QUICK_DEEP, QUICK_DEAD = 300_000, 200_000
UNDER_SNAPSHOT = 100_000
"""What waits behind the dead rows."""
ONES, BATCH, BATCHED = 600, 16, 2_400
"""Jobs for each claimer and round, one at a time and in batches."""
WALKS = 2
"""Claims for each claimer without a bound: each of them takes a good part of a second."""

LEASE = """
with w as materialized (select array_agg(id) as ids from workers)
update jobs set state = 'running', attempt = 1, phase = 'held',
    worker_id = ids[1 + abs(tag::bigint) % cardinality(ids)], slot = 0,
    claim_id = gen_random_uuid(), lease_token = gen_random_uuid(), lease_expires_at = now()
from w where tag < 0 and state = 'queued'
"""
SUCCEED = """
update jobs set state = 'succeeded', started_at = now(), finished_at = now(), worker_id = null, slot = null,
    claim_id = null, lease_token = null, phase = null, lease_expires_at = null
where tag < 0 and state = 'running'
"""


class Ran(msgspec.Struct):
    jobs: int
    began: float
    ended: float


class Claimers:
    """Processes that claim from one database when they are told to."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "tests.bench.claimer", url]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CLAIMERS)
        ]
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()

    def rate(self, batch: int, jobs: int, how: str = "bound") -> float:
        """Leases a second of all together."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{batch} {jobs} {how}\n")
            process.stdin.flush()
        ran = [msgspec.json.decode(process.stdout.readline(), type=Ran) for process in self._processes]  # type: ignore[union-attr]
        return sum(one.jobs for one in ran) / (max(one.ended for one in ran) - min(one.began for one in ran))

    def close(self) -> None:
        for process in self._processes:
            process.communicate(timeout=10)


class Backlog:
    """One database, its claimers, and what they reached."""

    def __init__(self, scratch: Scratch, name: str, jobs: int) -> None:
        self.name = name
        self._scratch = scratch
        self.database = scratch.tessera("depth")
        with scratch.superuser(self.database) as connection:
            connection.execute(claimer.PLAIN_STEPS)
            fill.users(connection, USERS)
            fill.workers(connection, WORKERS)
            fill.bulk(connection, jobs)
            fill.settle(connection)
        self.rates: dict[str, list[float]] = {}
        self.server: dict[str, list[float]] = {}

    def begin(self) -> Claimers:
        self._claimers = Claimers(self._scratch.url(self.database))
        return self._claimers

    def run(self, word: str, batch: int, jobs: int, how: str = "bound") -> None:
        self._scratch.quiet()
        with machine.metered({"postgres": self._scratch.postgres_pid}) as load:
            rate = self._claimers.rate(batch, jobs, how)
        self.rates.setdefault(word, []).append(rate)
        self.server.setdefault(word, []).append(load.per_job(rate * load.seconds)["postgres"])

    def median(self, word: str) -> float:
        return statistics.median(self.rates[word])

    def told(self) -> str:
        words = (
            f"{word} {spread(rates)}/s at {statistics.median(self.server[word]):.0f} µs of PostgreSQL"
            for word, rates in self.rates.items()
        )
        return f"{self.name}: {'; '.join(words)}"


def measure(scratch: Scratch) -> list[Row]:
    depth, dead = (QUICK_DEEP, QUICK_DEAD) if scratch.quick else (DEEP, DEAD)
    shallow = Backlog(scratch, f"backlog {SHALLOW:,}", SHALLOW)
    deep = Backlog(scratch, f"backlog {depth:,}", depth)
    bloated = Backlog(scratch, f"old snapshot, {dead:,} dead rows", UNDER_SNAPSHOT)
    with ExitStack() as open_until_end:
        open_until_end.enter_context(_old_snapshot(scratch, bloated.database, dead // 2))
        for backlog in (shallow, deep, bloated):
            open_until_end.callback(backlog.begin().close)
            backlog.run("warm", BATCH, BATCH)
            backlog.rates.clear()
        for turn in range(3 if scratch.quick else 5):
            for backlog in (shallow, deep, bloated) if turn % 2 == 0 else (bloated, deep, shallow):
                backlog.run("singly", 1, ONES)
                backlog.run("in batches", BATCH, BATCHED)
            for how in ("bound", "plain") if turn % 2 == 0 else ("plain", "bound"):
                deep.run("fair" if how == "bound" else "plain", 1, ONES, how)
            with scratch.superuser(shallow.database) as connection:
                fill.end_leases(connection)
                fill.bulk(connection, SHALLOW - fill.queued(connection), first_tag=(turn + 1) * 1e6)
                fill.settle(connection)
        bloated.run("without a bound", 1, WALKS, "front")
    for backlog in (shallow, deep, bloated):
        scratch.drop(backlog.database)
    return [
        _fairness(deep, depth),
        *_compared(f"claims at a backlog of {depth:,}", deep, shallow, 0.8, [shallow.told(), deep.told()]),
        *_compared(f"claims with {dead:,} dead rows", bloated, shallow, 0.5, [bloated.told()]),
        Row(
            name="the same without a bound (plain SKIP LOCKED)",
            value=f"{bloated.median('without a bound') / shallow.median('singly'):.4f} x",
            figures={"rate": bloated.median("without a bound")},
        ),
    ]


def _fairness(deep: Backlog, depth: int) -> Row:
    """Time for a fair claim against one that serves whoever came first, one at a time, by turns."""
    ratio = deep.median("plain") / deep.median("fair")
    return at_most(
        f"fair claim at a backlog of {depth:,} from {USERS:,} users",
        ratio,
        1.25,
        against="plain claim",
        notes=[deep.told()],
        figures={"ratio": ratio, "fair_per_second": deep.median("fair"), "plain_per_second": deep.median("plain")},
    )


def _compared(name: str, ours: Backlog, clean: Backlog, target: float, notes: list[str]) -> Iterator[Row]:
    for word in ("singly", "in batches"):
        ratio = ours.median(word) / clean.median(word)
        yield at_least(
            f"{name}, {word}",
            ratio,
            target,
            against="10,000" if target > 0.5 else "clean",
            notes=notes if word == "singly" else [],
            figures={"ratio": ratio, "rate": ours.median(word), "clean_rate": clean.median(word)},
        )


@contextmanager
def _old_snapshot(scratch: Scratch, database: str, jobs: int) -> Iterator[None]:
    """So many jobs go their way meanwhile: two row versions of each die, and none may be removed."""
    with scratch.superuser(database) as holder, scratch.superuser(database) as connection:
        holder.execute("set idle_in_transaction_session_timeout = 0")
        with holder.transaction():
            holder.execute("set transaction isolation level repeatable read")
            holder.execute("select count(*) from users")
            _churn(connection, jobs)
            connection.execute("analyze jobs")
            yield


def _churn(connection: psycopg.Connection[Any], jobs: int) -> None:
    """That many jobs are leased and then succeed: each leaves two dead versions, in every index that they were in."""
    fill.bulk(connection, jobs, first_tag=-float(jobs + 1))
    for statement in (LEASE, SUCCEED):
        with connection.transaction():
            connection.execute("set local session_replication_role = replica")
            connection.execute(statement)
    books.write_up(connection)
