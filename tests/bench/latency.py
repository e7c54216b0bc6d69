"""From submit to lease on an idle system with one agent that waits, over loopback HTTP; procrastinate in turn.

The clock starts when the customer's program begins to send and stops when the agent's has read its lease; for
procrastinate, from before the enqueue to the first line of the task, without HTTP.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec

from tests.bench import fill, machine, peers, service
from tests.bench.report import Row, at_most, percentile
from tests.bench.scratch import Scratch

GAP_MS = 50.0
"""Longer than a slow machine needs for everything that follows a job, so that the system is idle again."""
START_SECONDS = 2.0
LIMIT_SECONDS = 60.0


def measure(scratch: Scratch) -> list[Row]:
    rounds, jobs = (1, 60) if scratch.quick else (4, 80)
    database, peer = scratch.tessera("latency"), peers.Procrastinate(scratch)
    ours: list[float] = []
    theirs: list[float] = []
    with (
        service.control_plane(scratch.folder, scratch.url(database)) as plane,
        machine.metered({"control plane": plane.pid, "postgres": scratch.postgres_pid}) as load,
    ):
        with scratch.superuser(database) as connection:
            customer, agent = fill.users(connection, 1)[0].secret, fill.workers(connection, 1)[0].secret
        _latencies(plane, customer, agent, 10)
        for turn in range(rounds):
            for mine in (True, False) if turn % 2 == 0 else (False, True):
                scratch.quiet()
                if mine:
                    ours += _latencies(plane, customer, agent, jobs)
                else:
                    theirs += peer.latencies(jobs, GAP_MS)[1:]
    told = [_told("Tessera", ours), _told("procrastinate", theirs), f"others took {load.foreign:.2f} cores"]
    rows = []
    for share, target in ((0.5, 0.7), (0.99, 1.0)):
        own, peers_own = percentile(ours, share), percentile(theirs, share)
        rows.append(
            at_most(
                f"submit to lease, idle, p{share * 100:.0f}",
                own / peers_own,
                target,
                against="procrastinate",
                notes=told if share == 0.5 else [],
                figures={"ratio": own / peers_own, "tessera_ms": own * 1e3, "procrastinate_ms": peers_own * 1e3},
            )
        )
    return rows


def _latencies(plane: service.Service, customer: str, agent: str, jobs: int) -> list[float]:
    seconds = START_SECONDS + jobs * GAP_MS / 1e3
    command = [sys.executable, "-m", "tests.bench.caller"]
    receiver = subprocess.Popen(
        [*command, "receive", plane.url, agent, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    ran = subprocess.run(
        [*command, "send", plane.url, customer, str(jobs), str(GAP_MS)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    said, _ = receiver.communicate(timeout=LIMIT_SECONDS)
    sent = msgspec.json.decode(ran.stdout, type=dict[str, float])
    held = msgspec.json.decode(said, type=dict[str, float])
    return [held[job] - at for job, at in list(sent.items())[1:] if job in held]


def _told(name: str, seconds: list[float]) -> str:
    values = ", ".join(f"p{share * 100:.0f} {percentile(seconds, share) * 1e3:.2f}" for share in (0.5, 0.95, 0.99))
    return f"{name}: {values} ms over {len(seconds)} jobs"
