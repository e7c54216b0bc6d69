"""Programs as their users start them, and whether anything of them is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
LEAVE_SECONDS = 5.0
BEAT_SECONDS = 0.05


class Program:
    """A Python program in a session of its own; what it says goes to a file."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._said = folder / f"said-{monotonic()}.log"
        with self._said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def saying(self, pattern: str) -> re.Match[str]:
        """What it says, once it has said it."""
        found: list[re.Match[str]] = []

        def spoken() -> bool:
            found.extend(re.finditer(pattern, self.said))
            assert found or self.process.poll() is None, self.said
            return bool(found)

        wait_until(spoken, f"it says {pattern}; it said:\n", lambda: self.said)
        return found[0]

    def end(self) -> int:
        code = self.process.wait(WAIT_SECONDS)
        assert "Traceback" not in self.said, self.said
        return code


@contextmanager
def program(folder: Path, *words: str, **environ: str) -> Iterator[Program]:
    started = Program(folder, *words, **environ)
    try:
        yield started
    finally:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if started.process.poll() is None:
                started.process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    started.process.wait(LEAVE_SECONDS)


def wait_until(true: object, what: str, otherwise: object = None) -> None:
    """Look until it is so."""
    assert callable(true)
    deadline = monotonic() + WAIT_SECONDS
    while not true():
        assert monotonic() < deadline, what + (otherwise() if callable(otherwise) else "")
        sleep(BEAT_SECONDS)


def left_of(folder: Path) -> list[str]:
    """Every process that has to do with this folder, as far as one can see."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            command = " ".join(process.info["cmdline"] or [])
            environ = process.environ() if process.info["status"] != psutil.STATUS_ZOMBIE else {}
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in (command, *environ.values())):
            found.append(f"{process.pid} {command}")
    return found


def answers(url: str) -> bool:
    """Whether anybody listens there."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname or "", parts.port or 80)) == 0
