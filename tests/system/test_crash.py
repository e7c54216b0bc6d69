"""`kill -9` of every part at every step of a job's life, judged by what each client was told.

Customers order all the time, three of them one picture after the other and one without waiting, and write down what
they asked and what they were told (a history in the sense of Jepsen: `ok`, or `unknown` when no answer came). For
each cell of (who dies) × (at which step), the killer waits until some job is at that step, kills the victim with
SIGKILL and starts it again on the same data. At the end everything that was told must be true in the database and on
the disk, and floors make sure that all of it really happened.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import psycopg
import pytest

from control_plane.wire.job import JobView
from tests.fixtures.household import Household, household

STEP_SECONDS = 30.0
SETTLE_SECONDS = 90.0
CUSTOMERS = 3
HOARD_SECONDS = 0.25
"""Shorter than any outage here, so that every outage leaves an order without an answer."""
TERMINAL = {"succeeded", "failed", "canceled", "expired"}

STEPS = {
    "queued": "select 1 from jobs where state = 'queued'",
    "offered": "select 1 from jobs where phase = 'offered'",
    "held": "select 1 from jobs where phase = 'held'",
    "started": "select 1 from jobs where phase = 'started'",
    "uploaded": (
        "select 1 from jobs j join artifacts a on a.job_id = j.id and a.attempt = j.attempt where j.state = 'running'"
    ),
    "succeeded": "select 1 from jobs where finished_at > now() - interval '50 ms'",
}
VICTIMS = ("agent", "control_plane", "postgres")


@dataclass
class History:
    """What one customer was told."""

    submitted: dict[str, UUID] = field(default_factory=dict)
    """Idempotency-Key → job id, of every acknowledged submit."""
    unknown: list[str] = field(default_factory=list)
    """Keys whose submit, once at least, got no answer."""
    seen: dict[UUID, list[str]] = field(default_factory=dict)
    """Statuses in the order in which they were told."""
    files: dict[UUID, set[str]] = field(default_factory=dict)
    """SHA-256 of what was downloaded."""


class Customer:
    """Orders one picture after the other, waits for each, downloads it, and notes everything."""

    def __init__(self, home: Household, key: str, session: aiohttp.ClientSession) -> None:
        self.history = History()
        self.stopped = False
        self._home = home
        self._session = session
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def run(self, name: str) -> None:
        for number in count():
            if self.stopped:
                return
            job = await self._order(f"{name}-{number}")
            await self._follow(job)

    async def hoard(self, name: str) -> None:
        """Orders at a steady pace, whatever happens to the service, and looks after everything at the end."""
        jobs = []
        for number in count():
            if self.stopped:
                break
            jobs.append(await self._order(f"{name}-{number}"))
            await asyncio.sleep(HOARD_SECONDS)
        for job in jobs:
            await self._follow(job)

    async def _order(self, key: str) -> UUID:
        body = msgspec.json.encode({"prompt": key, "width": 64, "height": 64, "steps": 4})
        headers = self._headers | {"Idempotency-Key": key}
        while (answer := await self._call("POST", "/api/v1/jobs", data=body, headers=headers)) is None:
            self.history.unknown.append(key)
        self.history.submitted[key] = answer.id
        return answer.id

    async def _follow(self, job_id: UUID) -> None:
        told = self.history.seen.setdefault(job_id, [])
        while not told or told[-1] not in TERMINAL:
            await asyncio.sleep(0.05)
            view = await self._call("GET", f"/api/v1/jobs/{job_id}", headers=self._headers)
            if view is not None:
                told.append(view.status)
                if view.status == "succeeded":
                    await self._download(view)

    async def _download(self, view: JobView) -> None:
        digests = self.history.files.setdefault(view.id, set())
        for artifact in view.artifacts:
            while (content := await self._fetch(artifact.url)) is None:
                await asyncio.sleep(0.1)
            digests.add(hashlib.sha256(content).hexdigest())
            assert artifact.sha256 in digests

    async def _call(self, method: str, path: str, **options: Any) -> JobView | None:
        """The job, or None when nobody knows what became of the call."""
        try:
            async with self._session.request(method, self._home.url + path, **options) as response:
                content = await response.read()
                if response.status < 300:
                    return msgspec.json.decode(content, type=JobView)
                assert response.status >= 500, content
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(0.1)
        return None

    async def _fetch(self, url: str) -> bytes | None:
        try:
            async with self._session.get(url) as response:
                return await response.read() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


class Killer:
    """Fires every cell once and counts."""

    def __init__(self, home: Household) -> None:
        self.fired: Counter[tuple[str, str]] = Counter()
        self._home = home

    async def run(self, cells: list[tuple[str, str]]) -> None:
        for victim, step in cells:
            await self._until(step)
            await self._kill(victim)
            self.fired[victim, step] += 1

    async def _until(self, step: str) -> None:
        async with asyncio.timeout(STEP_SECONDS):
            async with await psycopg.AsyncConnection.connect(
                self._home.postgres.owner_url, autocommit=True
            ) as connection:
                while not await (await connection.execute(STEPS[step])).fetchone():
                    await asyncio.sleep(0.001)

    async def _kill(self, victim: str) -> None:
        home = self._home
        if victim == "agent":
            name = "first" if len(self.fired) % 2 else "second"
            home.kill_agent(name)
            home.start_agent(name)
        elif victim == "control_plane":
            home.kill_control_plane()
            await home.start_control_plane()
        else:
            home.kill_postgres()
            await asyncio.to_thread(home.start_postgres)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Household]:
    with household(tmp_path) as home:
        await home.start_control_plane()
        for name in ("first", "second"):
            await home.enrol(name)
            home.start_agent(name)
        yield home


async def torment(home: Household, rounds: int) -> tuple[list[History], Counter[tuple[str, str]]]:
    """Order and kill; returns when every order has come to its end."""
    keys = [await home.customer(f"customer {number}") for number in range(CUSTOMERS + 1)]
    killer = Killer(home)
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        customers = [Customer(home, key, session) for key in keys]
        async with (
            asyncio.timeout(SETTLE_SECONDS + 10 * rounds * len(STEPS) * len(VICTIMS)),
            asyncio.TaskGroup() as tasks,
        ):
            for number, customer in enumerate(customers):
                work = customer.run if number < CUSTOMERS else customer.hoard
                tasks.create_task(work(f"c{number}"))
            await killer.run([(victim, step) for _ in range(rounds) for step in STEPS for victim in VICTIMS])
            for customer in customers:
                customer.stopped = True
    return [customer.history for customer in customers], killer.fired


def judge(home: Household, histories: list[History]) -> Counter[str]:
    """Compares what was told with what is. Returns how often each thing happened, for the floors."""
    with psycopg.connect(home.postgres.owner_url, autocommit=True) as connection:
        rows = connection.execute("select id, state, attempt from jobs").fetchall()
        jobs = {job_id: (state, attempt) for job_id, state, attempt in rows}
        attempts = connection.execute("select job_id, outcome, ended_at is null from attempts").fetchall()
        artifacts = connection.execute("select job_id, attempt, encode(sha256, 'hex'), key from artifacts").fetchall()
        assert connection.execute("select * from ledger_violations").fetchall() == [], "the books disagree"
    assert not [job_id for job_id, _, live in attempts if live], "an attempt is still open"
    assert all(state in TERMINAL for state, _ in jobs.values()), "a job is still open"
    wins = Counter(job_id for job_id, outcome, _ in attempts if outcome == "succeeded")
    seen = Counter(outcome for _, outcome, _ in attempts)
    for history in histories:
        assert len(set(history.submitted.values())) == len(history.submitted), "one job for two orders"
        for job_id in history.submitted.values():
            assert job_id in jobs, "an acknowledged job is lost"
            _judge_job(history.seen[job_id], jobs[job_id][0], wins[job_id])
            stored = {digest for job, attempt, digest, _ in artifacts if (job, attempt) == (job_id, jobs[job_id][1])}
            assert history.files.get(job_id, set()) == (stored if jobs[job_id][0] == "succeeded" else set())
    told = {job_id for history in histories for job_id in history.submitted.values()}
    assert set(jobs) == told, "a job exists that nobody ordered"
    for job_id, attempt, digest, key in artifacts:
        if jobs[job_id] == ("succeeded", attempt):
            stored_bytes = next((home.data_dir).rglob(Path(key).name)).read_bytes()
            assert hashlib.sha256(stored_bytes).hexdigest() == digest
    return seen + Counter(
        jobs=len(jobs),
        told_succeeded=sum(statuses[-1] == "succeeded" for history in histories for statuses in history.seen.values()),
        unknown=sum(len(history.unknown) for history in histories),
    )


def _judge_job(told: list[str], state: str, wins: int) -> None:
    ends = [status for status in told if status in TERMINAL]
    assert ends == [state], "what was told in the end is not what is"
    assert wins == (state == "succeeded")
    assert state in {"succeeded", "failed"}, "nobody canceled anything"


def floors(happened: Counter[str], fired: Counter[tuple[str, str]], rounds: int) -> None:
    assert len(fired) == len(VICTIMS) * len(STEPS)
    assert min(fired.values()) >= rounds
    assert happened["told_succeeded"] >= rounds * len(STEPS), happened
    assert happened["unknown"] >= rounds, "hardly a submit was ever left without an answer"
    assert happened["lost"] >= 1, "no started lease was ever lost"
    assert happened["released"] >= 1, "no unstarted lease ever went back"


@pytest.mark.slow
async def test_whatever_is_killed_at_whatever_step_every_client_was_told_the_truth(home: Household) -> None:
    histories, fired = await torment(home, rounds=2)
    happened = judge(home, histories)
    print(dict(happened))
    floors(happened, fired, rounds=2)


@pytest.mark.torture
async def test_the_same_twenty_times_over(home: Household) -> None:
    histories, fired = await torment(home, rounds=20)
    floors(judge(home, histories), fired, rounds=20)
