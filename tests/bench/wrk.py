"""`wrk` makes the load: 64 connections, each with a credential of its own, cost it a tenth of what Python would need.

A thread of wrk has one connection here, because its scripts cannot tell the connections of a thread apart.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import msgspec

SCRIPTS = Path(__file__).parent / "lua"
GRACE_SECONDS = 30.0


class Missing(Exception):
    """wrk is not installed; the message says what to type."""


class Result(msgspec.Struct):
    jobs: int
    refused: int
    empty: int
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    complaint: str

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds


def check() -> None:
    if shutil.which("wrk") is None:
        raise Missing("The load comes from wrk, which is not installed: apt-get install wrk")


def run(script: str, url: str, credentials: list[str], folder: Path, *, callers: int, seconds: float) -> Result:
    """One run of a script. Raises `RuntimeError` when more than a few requests in a thousand were refused."""
    file = folder / "credentials.txt"
    file.write_text("".join(f"{credential}\n" for credential in credentials))
    shape = [f"-t{callers}", f"-c{callers}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    arguments = [str(file), str(callers), str(random.randrange(10**6))]
    ran = subprocess.run(
        ["wrk", *shape, "-s", f"{script}.lua", url, "--", *arguments],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    _, found, line = ran.stdout.partition("RESULT ")
    if not found:
        raise RuntimeError(f"wrk failed: {ran.stdout[-500:]} {ran.stderr[-1000:]}")
    result = msgspec.json.decode(line.splitlines()[0], type=Result)
    if result.refused + result.errors > 0.005 * result.requests:
        raise RuntimeError(f"{result.refused} of {result.requests} requests failed, as: {result.complaint}")
    return result
