"""A thousand agents wait in one control plane: one job wakes one of them, and memory stays small."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request

import msgspec

from tests.bench import fill, machine, service
from tests.bench.caller import ORDER
from tests.bench.report import Row, within
from tests.bench.scratch import Scratch

AGENTS = 1_000
GATHER_SECONDS = 15.0
WATCH_SECONDS = 3.0
REPORTED_SECONDS = 1.1
"""Backends report their figures to PostgreSQL's statistics about once a second."""
QUIET = 30
"""Statements between two looks once everybody waits: the control plane's own heartbeat of a few a second."""
JOBS = 5
MEMORY_MIB = 250.0


class Heard(msgspec.Struct):
    leases: list[float]
    empty: list[float]


def measure(scratch: Scratch) -> list[Row]:
    database = scratch.tessera("polls")
    with (
        service.control_plane(scratch.folder, scratch.url(database)) as plane,
        scratch.superuser(database) as connection,
    ):
        customer = fill.users(connection, 1)[0].secret
        agents = fill.workers(connection, AGENTS)
        file = scratch.folder / "crowd.txt"
        file.write_text("\n".join(agent.secret for agent in agents))
        alone = machine.resident_mib(plane.pid)
        crowd = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.caller", "crowd", plane.url, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        gathered = _gathered(scratch, database, plane)
        with machine.metered({"control plane": plane.pid, "postgres": scratch.postgres_pid}) as load:
            idle = _statements(scratch, database)
        before = _commits(scratch, database)
        _submit(plane, customer, JOBS)
        busy = _statements(scratch, database, before)
        resident = machine.resident_mib(plane.pid)
        said, _ = crowd.communicate(timeout=60)
        heard = msgspec.json.decode(said, type=Heard)
    cost = (busy - idle) / JOBS
    used = "; ".join(f"{name} {share * 100:.1f} % of a core" for name, share in load.cores.items())
    return [
        Row(
            name=f"{JOBS} jobs among {gathered} agents that wait",
            value=f"{len(heard.leases)} woken with a lease",
            target=f"{JOBS}, nobody in vain",
            reached=len(heard.leases) == JOBS and not heard.empty and gathered == AGENTS,
            notes=[
                f"{len(heard.empty)} answers without a lease; {cost:.1f} statements for a job (submit, claim and notify"
                f" included), {idle / (WATCH_SECONDS + REPORTED_SECONDS):.1f} a second while nothing happens; {used}"
            ],
            figures={"woken": len(heard.leases), "in_vain": len(heard.empty), "statements_per_job": cost},
        ),
        within(
            f"control plane with {gathered} waiting agents, resident",
            resident,
            MEMORY_MIB,
            "MiB",
            notes=[f"{alone:.0f} MiB before they came"],
            figures={"resident_mib": resident, "alone_mib": alone},
        ),
    ]


def _gathered(scratch: Scratch, database: str, plane: service.Service) -> int:
    """How many wait, once all do and have been written down, or after a while."""
    deadline = time.monotonic() + GATHER_SECONDS
    waiting, busy = 0, float("inf")
    while (waiting < AGENTS or busy > QUIET) and time.monotonic() < deadline:
        before = _commits(scratch, database)
        busy = _commits(scratch, database) - before
        with urllib.request.urlopen(f"{plane.url}/metrics", timeout=10) as answer:
            found = re.search(rb"^tessera_claims_waiting (\S+)", answer.read(), re.MULTILINE)
        waiting = int(float(found[1])) if found else 0
    return waiting


def _statements(scratch: Scratch, database: str, before: float | None = None) -> float:
    """Transactions of that database (each statement is one) since `before` or now, after `WATCH_SECONDS`."""
    since = _commits(scratch, database) if before is None else before
    time.sleep(WATCH_SECONDS)
    return _commits(scratch, database) - since


def _commits(scratch: Scratch, database: str) -> float:
    time.sleep(REPORTED_SECONDS)
    with scratch.superuser("postgres") as connection:
        row = connection.execute("select xact_commit from pg_stat_database where datname = %s", [database]).fetchone()
    assert row is not None
    return float(str(row[0]))


def _submit(plane: service.Service, customer: str, jobs: int) -> None:
    for _ in range(jobs):
        request = urllib.request.Request(
            f"{plane.url}/api/v1/jobs",
            msgspec.json.encode(ORDER),
            {"Authorization": f"Bearer {customer}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass
