"""The stand-in as a ComfyUI that somebody has installed: a folder with `main.py` and a venv, and a program with whims.

`install` makes the folder. Each life of the program takes the whims that lie in `whims.json` and writes its process
id into `lives`. With whims it refuses to start, ignores SIGTERM or leaves children behind; while it runs it may be told
to leak memory with each run (`leaks`), to paint otherwise (`paint`), or to fail (`faults.json`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec

from tests.standins.comfyui import media
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.server import standing_in

ROOT = Path(__file__).parents[3]
MAIN = """import sys
sys.path.insert(0, {root!r})
from tests.standins.comfyui.program import main
main()
"""


class Whims(msgspec.Struct, kw_only=True):
    """Of the next life."""

    step_seconds: float = 0.01
    start_seconds: float = 0.0
    exit_code: int | None = None
    """It ends before it listens."""
    ignores_sigterm: bool = False
    leaves_a_child: bool = False
    """In a session of its own."""


class Installed:
    """A ComfyUI folder, as seen by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def next_life(self, whims: Whims) -> None:
        (self.folder / "whims.json").write_bytes(msgspec.json.encode(whims))

    def lives(self) -> list[int]:
        """Process ids, of the past ones too."""
        file = self.folder / "lives"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


def install(folder: Path) -> Installed:
    (folder / "venv" / "bin").mkdir(parents=True)
    python = folder / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "main.py").write_text(MAIN.format(root=str(ROOT)))
    return Installed(folder)


def main() -> None:
    folder, arguments = Path(sys.argv[0]).parent, sys.argv[1:]
    told = dict(pairwise(arguments))
    with (folder / "lives").open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    file = folder / "whims.json"
    whims = msgspec.json.decode(file.read_bytes(), type=Whims) if file.exists() else Whims()
    file.unlink(missing_ok=True)
    print("Starting server")
    if whims.ignores_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if whims.leaves_a_child:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        with (folder / "lives").open("a") as lives:
            lives.write(f"{child.pid}\n")
    time.sleep(whims.start_seconds)
    if whims.exit_code is not None:
        print("ModuleNotFoundError: No module named 'torch'")
        sys.exit(whims.exit_code)
    asyncio.run(_serve(Path(told["--output-directory"]).parent, int(told["--port"]), folder, whims))


async def _serve(house: Path, port: int, folder: Path, whims: Whims) -> None:
    async with standing_in(house, port) as machine:
        machine.step_seconds = whims.step_seconds
        leaked: list[bytes] = []
        leaks = 0
        while True:
            if (faults := _taken(folder / "faults.json")) is not None:
                machine.faults += msgspec.json.decode(faults, type=list[Fault])
            if (paint := _taken(folder / "paint")) is not None:
                machine.paint = msgspec.convert(paint.decode(), media.Paint)
            if (bytes_each := _taken(folder / "leaks")) is not None:
                leaks, leaked = int(bytes_each), [b""] * machine.calls["prompt"]
            while leaks and len(leaked) < machine.calls["prompt"]:
                leaked.append(b"x" * leaks)
            await asyncio.sleep(0.01)


def _taken(file: Path) -> bytes | None:
    """An order to the program that runs, once. An empty file is one that somebody is about to write."""
    if not file.exists() or not (content := file.read_bytes()):
        return None
    file.unlink()
    return content
