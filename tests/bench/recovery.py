"""What happens when an agent is killed or falls silent, or when the control plane or PostgreSQL is killed.

A silent agent is one that is stopped (SIGSTOP): its connections stay open, and only its lease can tell. `--quick` gives
leases of 20 s instead of 60 s.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from control_plane import embedded
from tests.bench import agents, fill, service
from tests.bench.report import Row, within
from tests.bench.scratch import TUNING, Scratch

KILLED_SECONDS = 20.0
SLACK_SECONDS = 5.0
QUICK = {"lease_seconds": "20", "self_fence_seconds": "12", "heartbeat_seconds": "5"}
LEASE_SECONDS, QUICK_LEASE_SECONDS = 60.0, 20.0
LONG_SECONDS = 90.0
"""Of a run that nobody waits for."""
KEPT_SECONDS = 9.0
"""Of a run that has to outlive a control plane, or a PostgreSQL, that is killed and is back after `DOWN_SECONDS`."""
DOWN_SECONDS = 2.0
PATIENCE_SECONDS = 40.0


class Job(msgspec.Struct):
    id: str
    state: str
    phase: str | None
    attempt: int
    worker_id: str | None


def measure(scratch: Scratch) -> list[Row]:
    return [*_lost_agents(scratch), *_lost_servers(scratch)]


def _lost_agents(scratch: Scratch) -> list[Row]:
    """Two agents run a job each; one is killed, the other is stopped, and a third is there to take over."""
    lease_seconds = QUICK_LEASE_SECONDS if scratch.quick else LEASE_SECONDS
    database = scratch.tessera("recovery")
    with ExitStack() as stack:
        settings = QUICK if scratch.quick else {}
        plane = stack.enter_context(service.control_plane(scratch.folder, scratch.url(database), **settings))
        connection = stack.enter_context(scratch.superuser(database))
        fill.users(connection, 2)
        victims = [
            stack.enter_context(agents.Agent(scratch.folder, plane, worker, run_seconds=LONG_SECONDS))
            for worker in fill.workers(connection, 2)
        ]
        fill.backlog(connection, 2)
        _until(lambda: sum(job.phase == "started" for job in _jobs(connection)) == 2, "two jobs to run")
        heir = fill.workers(connection, 1)[0]
        stack.enter_context(agents.Agent(scratch.folder, plane, heir, run_seconds=LONG_SECONDS, slots=2))
        _until(lambda: _live_slots(connection) == 4, "the third agent")
        held = {job.worker_id: job.id for job in _jobs(connection)}
        killed, silent = (held[agent.worker_id] for agent in victims)
        began = time.monotonic()
        victims[0].process.kill()
        victims[1].process.send_signal(signal.SIGSTOP)
        limit = lease_seconds + 2 * SLACK_SECONDS
        killed_after = _leased_again(connection, killed, began, limit)
        silent_after = _leased_again(connection, silent, began, limit)
    return [
        within(
            "agent killed, its job leased again", killed_after, KILLED_SECONDS, "s", figures={"seconds": killed_after}
        ),
        within(
            f"agent silent, its job leased again (lease {lease_seconds:g} s)",
            silent_after,
            lease_seconds + SLACK_SECONDS,
            "s",
            figures={"seconds": silent_after, "lease_seconds": lease_seconds},
        ),
    ]


def _lost_servers(scratch: Scratch) -> list[Row]:
    """An agent is in the middle of a picture when the control plane, and next PostgreSQL, is killed and comes back."""
    database = scratch.tessera("recovery")
    port = service.free_port()
    rows = []
    with ExitStack() as stack:
        planes = [service.start_control_plane(scratch.folder, scratch.url(database), port)]
        stack.callback(lambda: service.stop(planes[-1].process))
        with scratch.superuser(database) as connection:
            fill.users(connection, 1)
            worker = fill.workers(connection, 1)[0]
        stack.enter_context(agents.Agent(scratch.folder, planes[0], worker, run_seconds=KEPT_SECONDS))

        def replace_control_plane() -> None:
            planes[-1].process.kill()
            planes[-1].process.wait()
            time.sleep(DOWN_SECONDS)
            planes.append(service.start_control_plane(scratch.folder, scratch.url(database), port))

        def replace_postgres() -> None:
            os.kill(scratch.postgres_pid, signal.SIGKILL)
            time.sleep(DOWN_SECONDS)
            embedded.start(Path(scratch.folder), TUNING)

        for name, replace in (("control plane", replace_control_plane), ("PostgreSQL", replace_postgres)):
            rows.append(_kept(scratch, database, name, replace))
    return rows


def _kept(scratch: Scratch, database: str, name: str, replace: Callable[[], None]) -> Row:
    with scratch.superuser(database) as connection:
        fill.backlog(connection, 1)
        _until(lambda: any(job.phase == "started" for job in _jobs(connection)), "the job to run")
        running = next(job for job in _jobs(connection) if job.phase == "started")
    replace()
    with scratch.superuser(database) as connection:
        ended = lambda: _job(connection, running.id).state not in ("queued", "running")  # noqa: E731
        _until(ended, "the job to end")
        job = _job(connection, running.id)
    kept = job.state == "succeeded" and job.attempt == running.attempt
    return Row(
        name=f"{name} killed in mid-run and started again",
        value=f"{job.state}, attempt {job.attempt}",
        target="the run goes on",
        reached=kept,
        figures={"attempts": job.attempt},
    )


def _leased_again(connection: fill.Connection, job_id: str, began: float, limit: float) -> float:
    """Seconds from the fault until another lease was given; infinite when it took longer than `limit`."""
    while time.monotonic() - began < limit:
        job = _job(connection, job_id)
        if job.attempt > 1 and job.state == "running":
            return time.monotonic() - began
        time.sleep(0.1)
    return float("inf")


def _jobs(connection: fill.Connection) -> list[Job]:
    rows = connection.execute(
        "select id::text, state, phase, attempt, worker_id::text from jobs order by id"
    ).fetchall()
    return [Job(*row) for row in rows]


def _job(connection: fill.Connection, job_id: str) -> Job:
    return next(job for job in _jobs(connection) if job.id == job_id)


def _live_slots(connection: fill.Connection) -> int:
    row = connection.execute("select count(*) from slots").fetchone()
    return int(row[0]) if row else 0


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {PATIENCE_SECONDS:g} s for {what}")
        time.sleep(0.1)
