"""A control plane of its own process, as production starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20.0
STOP_SECONDS = 15.0
BEAT_SECONDS = 0.05


class Service:
    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid


@contextmanager
def control_plane(folder: Path, database_url: str, **settings: str) -> Iterator[Service]:
    """`tessera serve` on a free port; `settings` are more of its variables, by the name of their field."""
    made = start_control_plane(folder, database_url, free_port(), **settings)
    try:
        yield made
    finally:
        stop(made.process)


def start_control_plane(folder: Path, database_url: str, port: int, **settings: str) -> Service:
    given = {"database_url": database_url, "data_dir": str(folder / "data"), "log_format": "json", **settings}
    environ = {f"TESSERA_{name.upper()}": value for name, value in given.items()}
    command = [sys.executable, "-m", "control_plane", "serve", "--port", str(port)]
    return _started(command, environ, f"http://127.0.0.1:{port}", "/readyz", folder / f"control_plane_{port}.log")


@contextmanager
def bare_litestar(folder: Path) -> Iterator[Service]:
    """The same web framework with the same settings, doing nothing."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.noop", str(port)]
    made = _started(command, {}, f"http://127.0.0.1:{port}", "/healthz", folder / "noop.log")
    try:
        yield made
    finally:
        stop(made.process)


def _started(command: list[str], environ: Mapping[str, str], url: str, path: str, log: Path) -> Service:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    with log.open("ab") as out:
        process = subprocess.Popen(command, env={**inherited, **environ}, stdout=out, stderr=out)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url + path):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"{' '.join(command[1:4])} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(BEAT_SECONDS)
    return Service(process, url, log)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
