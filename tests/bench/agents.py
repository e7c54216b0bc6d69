"""Real agents with the built-in engine, each a process of its own with a state folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from uuid import UUID

import msgspec

from agent import credential
from tests.bench.fill import Credential
from tests.bench.service import Service

START_SECONDS = 30.0
STOP_SECONDS = 10.0
BEAT_SECONDS = 0.1


class Status(msgspec.Struct):
    """What we read of `tessera-agent status --json`."""

    idle_gap_count: int
    idle_gap_p50_seconds: float | None
    idle_gap_p95_seconds: float | None
    jobs: dict[str, int]


class Agent:
    """Runs from the start of the context to its end, unless it is killed."""

    def __init__(self, folder: Path, plane: Service, worker: Credential, *, run_seconds: float, slots: int = 1) -> None:
        self.worker_id = worker.id
        self._folder = folder / f"agent-{worker.id[-8:]}"
        self._folder.mkdir(mode=0o700)
        known = credential.Credential(url=plane.url, secret=worker.secret, worker_id=UUID(worker.id), name="bench")
        credential.save(known, self._folder / "credential.json")
        self._command = [sys.executable, "-m", "agent", "run", "--dir", str(self._folder), "--engine", "testcard"]
        self._command += ["--testcard-seconds", str(run_seconds), "--slots", str(slots)]

    def __enter__(self) -> Agent:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
        environ["TESSERA_AGENT_DISK_FREE_GIB_MIN"] = "0"
        with (self._folder / "agent.log").open("wb") as log:
            self.process = subprocess.Popen(self._command, env=environ, stdout=log, stderr=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            for _ in range(2):
                self.process.send_signal(signal.SIGTERM)
                time.sleep(BEAT_SECONDS)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def status(self) -> Status:
        """Raises `RuntimeError` with the end of its log when it does not answer in time."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            command = [sys.executable, "-m", "agent", "status", "--json", "--dir", str(self._folder)]
            ran = subprocess.run(command, capture_output=True, check=False)
            if ran.returncode == 0:
                return msgspec.json.decode(ran.stdout, type=Status)
            time.sleep(BEAT_SECONDS)
        raise RuntimeError(f"the agent does not answer: {(self._folder / 'agent.log').read_text()[-1500:]}")
