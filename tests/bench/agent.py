"""The real agent: how long its engine stands still between two runs, what it weighs, what it costs while it waits."""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.bench import agents, fill, machine, service
from tests.bench.report import Row, within
from tests.bench.scratch import Scratch

GAP_MS, MEMORY_MIB, IDLE_PERCENT = 5.0, 80.0, 1.0
RUN_SECONDS = 0.4
LIMIT_SECONDS = 90.0
SETTLE_SECONDS = 3.0


def measure(scratch: Scratch) -> list[Row]:
    jobs, idle_seconds = (20, 8.0) if scratch.quick else (60, 15.0)
    database = scratch.tessera("agent")
    with (
        service.control_plane(scratch.folder, scratch.url(database)) as plane,
        scratch.superuser(database) as connection,
    ):
        fill.users(connection, 4)
        worker = fill.workers(connection, 1)[0]
        fill.backlog(connection, jobs)
        scratch.quiet()
        with agents.Agent(scratch.folder, plane, worker, run_seconds=RUN_SECONDS) as agent:
            with machine.metered({"agent": agent.process.pid}) as load:
                _until_done(connection, jobs)
            status = agent.status()
            worked = _memory(agent.process.pid)
            time.sleep(SETTLE_SECONDS)
            with machine.metered({"agent": agent.process.pid}) as idle:
                time.sleep(idle_seconds)
            rested = _memory(agent.process.pid)
    p95 = (status.idle_gap_p95_seconds or float("inf")) * 1e3
    p50 = (status.idle_gap_p50_seconds or float("inf")) * 1e3
    return [
        within(
            "GPU idle gap with a backlog, p95",
            p95,
            GAP_MS,
            "ms",
            notes=[f"p50 {p50:.2f} ms over {status.idle_gap_count} gaps; others took {load.foreign:.2f} cores"],
            figures={"p95_ms": p95, "p50_ms": p50},
        ),
        within(
            "agent, resident",
            max(worked.together, rested.together),
            MEMORY_MIB,
            "MiB",
            notes=[
                f"after {jobs} pictures {worked.together:.0f} MiB (main {worked.main:.0f}, its engine's"
                f" {worked.engines:.0f}, what both map counted in each); while it waits {rested.together:.0f}"
                f" ({rested.main:.0f} and {rested.engines:.0f})"
            ],
            figures={"worked_mib": worked.together, "rested_mib": rested.together},
        ),
        within(
            "agent, CPU while it waits",
            idle.cores["agent"] * 100,
            IDLE_PERCENT,
            "% of a core",
            figures={"percent": idle.cores["agent"] * 100},
        ),
    ]


def _until_done(connection: fill.Connection, jobs: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        row = connection.execute("select count(*) from jobs where state = 'succeeded'").fetchone()
        if row is not None and row[0] >= jobs:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the agent did not finish {jobs} pictures in {LIMIT_SECONDS:g} s")


class Memory(NamedTuple):
    """MiB of an agent and the processes of its engines."""

    together: float
    """A page that several map counts once."""
    main: float
    engines: float


def _memory(pid: int) -> Memory:
    engines = machine.children(pid)
    alone = machine.resident_mib(pid), sum(map(machine.resident_mib, engines))
    return Memory(machine.together_mib((pid, *engines)), *alone)
