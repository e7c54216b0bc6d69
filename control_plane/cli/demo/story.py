"""What happens: three orders at once, a kill in mid-picture, a move, three pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from uuid import UUID

import msgspec

from control_plane.cli.demo import proof
from control_plane.cli.demo.house import CUSTOMERS, House
from control_plane.cli.demo.stage import Row, Stage
from control_plane.cli.queries import JOBS, JobRow
from control_plane.cli.stopping import Stopping
from control_plane.wire.job import JobView, SubmitRequest
from frontends.client import Client, connect

BEAT_SECONDS = 0.1
MIDDLE = (0.25, 0.75)
"""Of a picture: where the kill happens, as last reported; well inside 20 % to 80 %."""
SIZE = (768, 512)


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to whom."""

    agent: str
    job_id: UUID
    customer: str
    at: float
    attempt: int


async def tell(home: House, stage: Stage, stopping: Stopping) -> None:
    """The whole story; raises `NotAsTold` when it did not happen."""
    rows = [Row(customer=name, prompt=prompt, words="orders") for name, prompt in CUSTOMERS.items()]
    stage.act("ada, ben and cleo order at once")
    for row in rows:
        stage.say(f"         {row.customer:<6}“{row.prompt}”")
    pictures: dict[str, Path] = {}
    orders: dict[str, JobView] = {}
    async with asyncio.TaskGroup() as tasks:
        drama = tasks.create_task(_drama(home, stage, stopping, rows))
        for row in rows:
            tasks.create_task(_customer(home, row, stopping, orders, pictures))
    stage.freeze()
    killed, moved_seconds = drama.result()
    stage.act("every order is finished")
    await proof.check(home, stage, orders, pictures, killed, moved_seconds)
    _next(stage, pictures)


async def _customer(
    home: House, row: Row, stopping: Stopping, orders: dict[str, JobView], pictures: dict[str, Path]
) -> None:
    """One customer, who knows nothing but the HTTP API."""
    async with connect(home.url, home.keys[row.customer]) as client:
        order = SubmitRequest(prompt=row.prompt, width=SIZE[0], height=SIZE[1])
        job = await client.submit(order)
        while job.status in ("queued", "running", "canceling"):
            row.words = job.status
            row.value = job.progress.value if job.progress else 0.0
            await stopping.rest(BEAT_SECONDS)
            job = await client.job(job.id)
        orders[row.customer] = job
        row.words, row.value = job.status, 1.0 if job.status == "succeeded" else row.value
        pictures[row.customer] = await _fetch(home, client, job, row.customer)


async def _fetch(home: House, client: Client, job: JobView, customer: str) -> Path:
    proof.require(len(job.artifacts) == 1, f"{customer} has {len(job.artifacts)} pictures and not one")
    home.pictures.mkdir(parents=True, exist_ok=True)
    picture = home.pictures / f"{customer}.png"
    await client.download(job.artifacts[0], picture)
    return picture


async def _drama(home: House, stage: Stage, stopping: Stopping, rows: list[Row]) -> tuple[Killed, float]:
    """Kill the first agent that is in the middle of a picture, and see its job move; show the bars all the while."""
    killed: Killed | None = None
    moved_seconds: float | None = None
    while True:
        jobs = {job.user: job for job in await home.database.many(JOBS, {"user_id": None, "state": None, "most": 10})}
        for row in rows:
            row.agent = (jobs[row.customer].worker or "") if row.customer in jobs else ""
        stage.show(rows)
        if killed is None:
            killed = _kill(home, stage, list(jobs.values()))
        elif moved_seconds is None:
            moved_seconds = _moved(stage, jobs[killed.customer], killed)
        if len(jobs) == len(rows) and all(job.finished_at for job in jobs.values()):
            for row in rows:
                row.value, row.words = 1.0, "has the picture"
            stage.show(rows)
            break
        await stopping.rest(BEAT_SECONDS)
    if killed is None or moved_seconds is None:
        raise proof.NotAsTold("no agent was in mid-picture when it was looked for.")
    return killed, moved_seconds


def _kill(home: House, stage: Stage, jobs: list[JobRow]) -> Killed | None:
    least, most = MIDDLE
    for job in jobs:
        if job.phase == "started" and job.worker and job.progress and least <= job.progress <= most:
            pid = home.kill(job.worker)
            stage.act(
                f"agent {job.worker} (process {pid}) is killed with SIGKILL"
                f" when {job.user}'s picture is {job.progress:.0%} done"
            )
            return Killed(agent=job.worker, job_id=job.id, customer=job.user, at=monotonic(), attempt=job.attempt)
    return None


def _moved(stage: Stage, job: JobRow, killed: Killed) -> float | None:
    if job.worker in (None, killed.agent) or job.attempt <= killed.attempt:
        return None
    seconds = monotonic() - killed.at
    stage.act(f"{killed.customer}'s job has moved to agent {job.worker}, {seconds:.1f} s after the kill")
    return seconds


def _next(stage: Stage, pictures: dict[str, Path]) -> None:
    stage.say("\nThe pictures:")
    for name, picture in pictures.items():
        stage.say(f"  {picture}   “{CUSTOMERS[name]}”")
    stage.say("\nNow use it:  make up\n")
