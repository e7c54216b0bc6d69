"""Programs that run beside this one and never outlive it: started tied (`tether`), kept alive, stopped politely."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import IO, Literal

from control_plane.cli import printing, tether

AGAIN_FIRST_SECONDS = 0.5
AGAIN_MAX_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""Who ran this long starts the count of its failures anew."""
REST_SECONDS = 2.0
"""How often a program that rests is asked for."""
HURRY_SECONDS = 10.0
"""After being told twice, a program is killed."""


Verdict = Literal["now", "rest", "never"]
Again = Callable[[int | None], Awaitable[Verdict]]


async def start(*argv: str, environ: Mapping[str, str], quiet: bool = False, log: IO[bytes] | None = None) -> Process:
    """Start `python argv` tied to this process, in a session of its own: a Ctrl-C in our terminal is for us.

    What it prints goes to our standard error, which is for people, or to `log`.
    """
    return await asyncio.create_subprocess_exec(
        *tether.command(sys.executable, *argv),
        stdin=DEVNULL,
        stdout=log or sys.stderr,
        stderr=log,
        env=dict(environ),
        start_new_session=True,
    )


async def end(process: Process, seconds: float) -> None:
    """Ask a program to end, and see to it."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Keeper:
    """Keeps one program running until it is told to leave, with growing pauses between failures.

    `again` says of an exit code whether starting it once more can be of use; `rest` means not now, and it is asked
    again, with None, until it knows better.
    """

    def __init__(self, name: str, argv: tuple[str, ...], environ: Mapping[str, str], again: Again) -> None:
        self.name = name
        self.starts = 0
        self._argv = argv
        self._environ = environ
        self._again = again
        self._process: Process | None = None
        self._leaving = asyncio.Event()
        self.ended = asyncio.Event()
        self.code: int | None = None

    async def run(self) -> None:
        failures = 0
        try:
            while not self._leaving.is_set():
                began = monotonic()
                self.code = await self._once()
                if self._leaving.is_set():
                    return
                if not await self._wanted(self.code):
                    return
                failures = 1 if monotonic() - began > SETTLED_SECONDS else failures + 1
                await self._pause(failures)
        finally:
            self.ended.set()

    def leave(self) -> None:
        """Told once, a program finishes what it does; told twice, it hurries, and is killed when it dawdles."""
        if self._leaving.is_set():
            asyncio.get_running_loop().call_later(HURRY_SECONDS, self._kill)
        self._leaving.set()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    @property
    def leaving(self) -> bool:
        return self._leaving.is_set()

    async def finish(self) -> None:
        """Ask it to leave, and wait until it has."""
        if not self._leaving.is_set():
            self.leave()
        await self.ended.wait()

    async def _once(self) -> int:
        self.starts += 1
        self._process = await start(*self._argv, environ=self._environ)
        if self._leaving.is_set():
            self._process.send_signal(signal.SIGTERM)
        try:
            return await self._process.wait()
        except asyncio.CancelledError:
            self._kill()
            await self._process.wait()
            raise

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _wanted(self, code: int) -> bool:
        """Whether it shall run once more; for one that rests, as soon as it may."""
        verdict = await self._again(code)
        if verdict == "rest":
            printing.note(f"The {self.name} is drained; it starts again when it is resumed.")
        while verdict == "rest":
            await self._wait(REST_SECONDS)
            if self._leaving.is_set():
                return False
            verdict = await self._again(None)
        if verdict == "never":
            printing.note(f"The {self.name} has ended ({how(code)}) and is not started again; see above.")
        return verdict == "now"

    async def _pause(self, failures: int) -> None:
        seconds = random.uniform(0.5, 1) * min(AGAIN_MAX_SECONDS, AGAIN_FIRST_SECONDS * 2**failures)
        printing.note(f"The {self.name} has ended ({how(self.code)}); it starts again in {seconds:.0f} s.")
        await self._wait(seconds)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        except TimeoutError:
            pass


def how(code: int | None) -> str:
    """An exit code in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"code {code}"
