"""What happens: three orders at once, a kill in mid-picture, a move, three pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from uuid import UUID

import msgspec

from control_plane.cli.demo import proof
from control_plane.cli.demo.house import CUSTOMERS, House, short
from control_plane.cli.demo.stage import Row, Stage
from control_plane.cli.stopping import Stopping
from control_plane.operator.tables import JOBS, JobRow
from control_plane.wire.job import JobView, SubmitRequest
from frontends.client import Client, connect

BEAT_SECONDS = 0.1
MIDDLE = (0.25, 0.75)
"""Of a picture: where the kill happens, as last reported; well inside 20 % to 80 %."""
SIZE = (768, 512)
EVERY_JOB = {"user_id": None, "state": None, "most": 10}


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to whom."""

    agent: str
    job_id: UUID
    customer: str
    at: float
    attempt: int


async def tell(home: House, stage: Stage, stopping: Stopping) -> None:
    """The whole story; raises `NotAsTold` when it did not happen."""
    rows = [Row(customer=name, prompt=prompt) for name, prompt in CUSTOMERS.items()]
    stage.act("ada, ben and cleo order at once")
    for row in rows:
        stage.say(f"         {row.customer:<6}“{row.prompt}”")
    async with asyncio.TaskGroup() as tasks:
        drama = tasks.create_task(_drama(home, stage, stopping, rows))
        deliveries = [tasks.create_task(_customer(home, row, stopping)) for row in rows]
    stage.show(rows)
    stage.freeze()
    killed, moved_seconds = drama.result()
    await proof.check(home, stage, [delivery.result() for delivery in deliveries], killed, moved_seconds)
    stage.say("\nThe pictures:")
    paths = [f"{short(home.pictures / row.customer)}.png" for row in rows]
    for row, path in zip(rows, paths, strict=True):
        stage.say(f"  {path:<{max(map(len, paths))}}   “{row.prompt}”")
    stage.say("\nNow use it:  make up\n")


async def _customer(home: House, row: Row, stopping: Stopping) -> proof.Delivery:
    """One customer, who knows nothing but the HTTP API."""
    async with connect(home.url, home.keys[row.customer]) as client:
        job = await client.submit(SubmitRequest(prompt=row.prompt, width=SIZE[0], height=SIZE[1]))
        while job.finished_at is None:
            row.status, row.value = job.status, job.progress.value if job.progress else 0.0
            await stopping.rest(BEAT_SECONDS)
            job = await client.job(job.id)
        picture = await _fetch(home, client, job, row.customer)
    row.status, row.value = job.status, 1.0
    return proof.Delivery(customer=row.customer, job=job, picture=picture)


async def _fetch(home: House, client: Client, job: JobView, customer: str) -> Path:
    proof.require(len(job.artifacts) == 1, f"{customer} has {len(job.artifacts)} pictures and not one ({job.status})")
    home.pictures.mkdir(parents=True, exist_ok=True)
    picture = home.pictures / f"{customer}.png"
    await client.download(job.artifacts[0], picture)
    return picture


async def _drama(home: House, stage: Stage, stopping: Stopping, rows: list[Row]) -> tuple[Killed, float]:
    """Kill the first agent that is in the middle of a picture, and see its job move; show the bars all the while."""
    killed: Killed | None = None
    moved_seconds: float | None = None
    while not all(row.status == "succeeded" for row in rows):
        jobs = {job.user: job for job in await home.database.many(JOBS, EVERY_JOB)}
        for row in rows:
            _look(row, jobs.get(row.customer), killed)
        stage.show(rows)
        if killed is None:
            killed = _kill(home, stage, list(jobs.values()))
        elif moved_seconds is None:
            moved_seconds = _moved(stage, jobs[killed.customer], killed)
        await stopping.rest(BEAT_SECONDS)
    if killed is None or moved_seconds is None:
        raise proof.NotAsTold("no agent was in mid-picture when it was looked for.")
    return killed, moved_seconds


def _look(row: Row, job: JobRow | None, killed: Killed | None) -> None:
    """What the operator sees of an order: who has it."""
    if job is None or job.finished_at is not None:
        return
    row.agent = job.worker or ""
    row.lost = killed is not None and job.worker == killed.agent
    if job.phase != "started" and row.status == "running":  # the customer hears of it in a moment
        row.status, row.value = "queued", 0.0


def _kill(home: House, stage: Stage, jobs: list[JobRow]) -> Killed | None:
    least, most = MIDDLE
    for job in jobs:
        if job.phase == "started" and job.worker and job.progress and least <= job.progress <= most:
            pid = home.kill(job.worker)
            stage.act(
                f"agent {job.worker} (process {pid}) is killed with SIGKILL"
                f" when {job.user}'s picture is {job.progress * 100:.0f} % done"
            )
            return Killed(agent=job.worker, job_id=job.id, customer=job.user, at=monotonic(), attempt=job.attempt)
    return None


def _moved(stage: Stage, job: JobRow, killed: Killed) -> float | None:
    if job.worker in (None, killed.agent) or job.attempt <= killed.attempt:
        return None
    seconds = monotonic() - killed.at
    stage.act(f"{killed.customer}'s order has moved to agent {job.worker}, {seconds:.1f} s after the kill")
    return seconds
