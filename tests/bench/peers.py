"""The peers, each in a process of its own on a database of its own: see `peer_procrastinate.py`, `peer_pgqueuer.py`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec
from psycopg.conninfo import conninfo_to_dict

from control_plane.embedded import SUPERUSER
from tests.bench.scratch import Scratch

LIMIT_SECONDS = 120.0


class Done(msgspec.Struct):
    jobs: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds if self.seconds else 0.0


class Procrastinate:
    """procrastinate, with its schema made."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch, self._database = scratch, scratch.empty("procrastinate")
        url = scratch.url(self._database, SUPERUSER)
        self._command = [sys.executable, "-m", "tests.bench.peer_procrastinate", url]
        _run([*self._command, "setup"])

    def fill(self, jobs: int) -> None:
        """A backlog, vacuumed and analyzed like ours."""
        _run([*self._command, "fill", str(jobs)])
        with self._scratch.superuser(self._database) as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")

    def work(self, seconds: float) -> Done:
        return msgspec.json.decode(_run([*self._command, "work", str(seconds)]), type=Done)

    def latencies(self, jobs: int, gap_ms: float) -> list[float]:
        """Seconds from before the enqueue to the start of the task, on an idle worker."""
        seconds = 2.0 + jobs * gap_ms / 1e3
        receiver = subprocess.Popen([*self._command, "receive", str(seconds)], stdout=subprocess.PIPE, text=True)
        assert receiver.stdout is not None
        receiver.stdout.readline()
        sent = msgspec.json.decode(_run([*self._command, "send", str(jobs), str(gap_ms)]), type=dict[str, float])
        said, _ = receiver.communicate(timeout=LIMIT_SECONDS)
        seen = msgspec.json.decode(said, type=dict[str, float])
        return [seen[key] - at for key, at in sent.items() if key in seen]


class Pgqueuer:
    """pgqueuer, with its schema made."""

    def __init__(self, scratch: Scratch) -> None:
        self._socket = conninfo_to_dict(scratch.url("postgres"))["host"]
        self._database = scratch.empty("pgqueuer")
        self._call("setup")

    def enqueue(self, seconds: float, callers: int) -> Done:
        return msgspec.json.decode(self._call("enqueue", str(seconds), str(callers)), type=Done)

    def _call(self, *arguments: str) -> str:
        here = [sys.executable, "-m", "tests.bench.peer_pgqueuer", str(self._socket), self._database]
        return _run([*here, *arguments])


def _run(command: Sequence[str]) -> str:
    """The last line that it printed."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:3])} failed:\n{ran.stderr[-2000:]}")
    return ran.stdout.strip().rpartition("\n")[2]
