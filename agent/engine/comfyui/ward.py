"""A ComfyUI in the care of a guardian, as its engine holds it: started, found again, looked after, ended.

An agent that comes after a killed one finds the guardian by its socket and goes on with the ComfyUI that is there, if
it is the one that it would have started itself. Every bad end counts against the restarts that it is allowed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from agent import clock
from agent.engine import EngineError
from agent.engine.comfyui import guardian
from agent.engine.comfyui.launch import Launch, LaunchError
from agent.engine.comfyui.restarts import Restarts

LINGER_SECONDS = 120.0
"""For a killed agent's successor to come; a lease that nobody keeps is given anew in a minute."""
LOG_BYTES = 8 * 1024 * 1024
GUARD_SECONDS = 10.0
"""For a guardian to answer."""
KNOCK_SECONDS = 0.02
END_SECONDS = 9.0
PAUSE_SECONDS_MAX = 5.0
"""A longer pause before a restart is not waited for, but told."""
PROGRAM = Path(guardian.__file__)

log = structlog.get_logger()


class Ward:
    def __init__(self, make: Callable[[int], Launch], house: Path, linger_seconds: float = LINGER_SECONDS) -> None:
        """`make`: the launch for a port."""
        self._make = make
        self._house = house
        self._linger_seconds = linger_seconds
        self._leash: socket.socket | None = None
        self._heard = bytearray()
        self._hello: dict[str, Any] = {}
        self._fate: str | None = None
        self._began_at = 0.0
        self.restarts = Restarts()

    @property
    def log_file(self) -> Path:
        return self._house / guardian.LOG

    async def start(self) -> str:
        """Its address; it may need a while to answer there. Raises `EngineError`."""
        await self._wait_its_turn()
        self._began_at, self._fate = clock.now(), None
        self._house.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if not await self._find():
                await self._spawn(self._make(_free_port()))
        except LaunchError as error:
            raise EngineError("engine_crash", str(error)) from error
        return str(self._hello["url"])

    async def end(self, *, badly: bool) -> None:
        """Nothing of it is left. `badly`: it had to be, for it failed."""
        if self._leash is not None:
            fate = self.fate()
            await self._let_end()
            log.info("comfyui.ended", fate=fate or "as we wished", log=str(self.log_file))
            badly = badly or fate is not None
        if badly:
            self.restarts.ended(clock.now(), clock.now() - self._began_at)

    def fate(self) -> str | None:
        """How it has ended, if it has; asks nobody, so it may be asked at any time."""
        if self._leash is not None and self._fate is None:
            try:
                while said := self._leash.recv(4_096):
                    self._heard += said
            except BlockingIOError:
                pass
            except OSError:
                self._fate = "its guardian has died"
            else:
                self._fate = self._last_words()
        return self._fate

    def held_bytes(self) -> int:
        """The memory of its processes."""
        return _held_bytes(int(self._hello.get("pid", 0)))

    async def _wait_its_turn(self) -> None:
        seconds = self.restarts.wait_seconds(clock.now())
        if seconds > PAUSE_SECONDS_MAX:
            raise EngineError(
                "engine_crash",
                f"ComfyUI has failed {self.restarts.in_a_row} times in a row and is started again in {seconds:.0f} s. "
                f"Its log says why: {self.log_file}",
            )
        await asyncio.sleep(seconds)

    async def _find(self) -> bool:
        """Whether a guardian was left here with the very ComfyUI that we want. Any other is ended."""
        if not await self._connect():
            return False
        url = str(self._hello["url"])
        if self._hello["command"] == self._make(int(url.rpartition(":")[2])).command:
            log.info("comfyui.found", url=url, pid=self._hello["pid"])
            return True
        await self._let_end()
        return False

    async def _spawn(self, wanted: Launch) -> None:
        order = {"command": wanted.command, "end": wanted.end, "url": wanted.url, "log_bytes": LOG_BYTES}
        order["linger_seconds"] = self._linger_seconds
        program = (sys.executable, "-I", "-S", str(PROGRAM), str(self._house), json.dumps(order))
        process = await asyncio.create_subprocess_exec(
            *program,
            env=wanted.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await process.wait()
        until = clock.now() + GUARD_SECONDS
        while not await self._connect():
            if clock.now() > until:
                raise EngineError("engine_crash", f"ComfyUI cannot be started. Its log says why: {self.log_file}")
            await asyncio.sleep(KNOCK_SECONDS)
        log.info("comfyui.started", url=wanted.url, pid=self._hello["pid"], log=str(self.log_file))

    async def _connect(self) -> bool:
        folder = os.open(self._house, os.O_RDONLY | os.O_DIRECTORY)
        leash = socket.socket(socket.AF_UNIX)
        leash.setblocking(False)
        try:
            leash.connect(f"/proc/self/fd/{folder}/{guardian.SOCKET}")  # an address has room for 107 bytes
            self._heard.clear()
            async with asyncio.timeout(GUARD_SECONDS):
                while b"\n" not in self._heard:
                    if not (said := await asyncio.get_running_loop().sock_recv(leash, 65_536)):
                        raise ConnectionResetError
                    self._heard += said
        except (OSError, TimeoutError):
            leash.close()
            return False
        except BaseException:
            leash.close()
            raise
        finally:
            os.close(folder)
        hello, _, rest = bytes(self._heard).partition(b"\n")
        self._leash, self._hello, self._heard = leash, json.loads(hello), bytearray(rest)
        return True

    async def _let_end(self) -> None:
        leash, self._leash = self._leash, None
        assert leash is not None
        try:
            async with asyncio.timeout(END_SECONDS):
                leash.send(b"end\n")
                while await asyncio.get_running_loop().sock_recv(leash, 65_536):
                    pass
        except TimeoutError:
            log.warning("comfyui.killed", reason="its guardian did not end it in time")
            _kill(int(self._hello["guardian"]))
        except OSError:  # it has ended already
            pass
        finally:
            leash.close()

    def _last_words(self) -> str:
        try:
            told = json.loads(bytes(self._heard).splitlines()[-1])
            return _fate(told["ended"], told["status"])
        except (IndexError, KeyError, ValueError):
            return "its guardian has died"


def _fate(why: str, status: int | None) -> str:
    if status is None:
        return f"it was ended {why}"
    if status == -signal.SIGKILL:
        return "it was killed (SIGKILL), as the system does when memory runs out"
    return f"it was ended by {signal.Signals(-status).name}" if status < 0 else f"it ended with exit code {status}"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # the kernel then ends ComfyUI


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _held_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0
    own = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
    return own + sum(_held_bytes(int(child)) for each in children for child in each)
