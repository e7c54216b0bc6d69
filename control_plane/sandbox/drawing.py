"""Draws test cards for the sandbox: a child process for each order, at the lowest priority and with limits of its own.

The built-in engine belongs to the agent, which is another program; it is started like one (`python -m`), gets the order
on its standard input and nothing of our environment, and tells a JSON object a line. `missing` says what this machine
lacks for it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from control_plane.wire.job import JobSpec
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import FailCause

PROGRAM = "agent.engine.testcard.draw"
ROOT = Path(__file__).parents[2]
WALL_SECONDS_MAX = 300.0


class CannotDraw(Exception):
    """Nothing came of an order; `cause` is what its job fails with."""

    def __init__(self, cause: FailCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


class Drawn(msgspec.Struct, frozen=True):
    """A file, and what it was made with."""

    path: Path
    made: Provenance | None


class _News(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the child's."""

    value: float = 0.0
    name: str | None = None
    made: Provenance | None = None
    cause: FailCause | None = None
    message: str = ""


_decode = msgspec.json.Decoder(_News).decode


def missing() -> list[str]:
    """What is not installed here, without which test keys get no pictures, or no films."""
    needed = {"agent": "tessera[agent]", "PIL": "pillow", "av": "av (for films)"}
    return [package for module, package in needed.items() if importlib.util.find_spec(module) is None]


async def draw(spec: JobSpec, folder: Path, reached: Callable[[float], None]) -> list[Drawn]:
    """The files of an order, in the order of their indexes. `reached` is told how far it is, from 0 to 1.

    Raises `CannotDraw`. When it is cancelled the child is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", PROGRAM, str(folder), str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        async with asyncio.timeout(WALL_SECONDS_MAX):
            files = await _followed(process, spec, reached)
            if await process.wait() == 0 and len(files) == spec.count:
                return [Drawn(folder / name, made) for name, made in files]
    except TimeoutError:
        raise CannotDraw("timeout", "The sandbox took too long and was stopped.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    raise CannotDraw("engine_crash", f"The sandbox cannot draw this; {_lacks()}.")


async def _followed(
    process: asyncio.subprocess.Process, spec: JobSpec, reached: Callable[[float], None]
) -> list[tuple[str, Provenance | None]]:
    """The files by name, once the child has said all."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(spec))
    process.stdin.close()
    files: list[tuple[str, Provenance | None]] = []
    async for line in process.stdout:
        news = _decode(line)
        if news.cause is not None:
            raise CannotDraw(news.cause, news.message)
        if news.name is not None:
            files.append((news.name, news.made))
        else:
            reached(min(1.0, max(0.0, news.value)))
    return files


def _lacks() -> str:
    lacking = missing()
    return f"not installed here: {', '.join(lacking)}" if lacking else "the child that draws has died"
