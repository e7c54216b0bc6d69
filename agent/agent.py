"""The program: engines, a connection, the loops, and how it ends.

Two groups of tasks. `background` keeps the leases (heartbeats, fence) and answers on this machine; `labour` asks for
work and does it. When the agent leaves, labour ends by itself with the last acknowledged report, and only then are
the heartbeats stopped. The first SIGTERM or SIGINT drains; the second gives every lease back and goes within
`HURRY_SECONDS`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import structlog

from agent import learning, leasing, local, sampling, yielding
from agent.claiming import resume, supply
from agent.client import Client, Problem, connect
from agent.credential import Credential
from agent.duty import Duty
from agent.engine import Engine, EngineError
from agent.interrupt import Interrupted, Scope
from agent.journal import Journal, work_name
from agent.metrics import Metrics
from agent.retry import persist
from agent.settings import Settings
from agent.slot import Slot
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.systemd import Notify
from control_plane.wire.worker import Enrolled

HURRY_SECONDS = 5.0
THREADS_MAX = 3
"""For files and name look-ups; each would cost memory that a machine which also plays games has better uses for."""

LOOPS = (
    leasing.keep,
    leasing.tell,
    leasing.fence,
    sampling.watch,
    yielding.make_way,
    yielding.clock_watch,
    learning.learn,
    learning.watch,
)

log = structlog.get_logger()


class AlreadyRunning(Exception):
    """Another agent runs with this credential on this machine."""


class VersionTooOld(Exception):
    """The control plane speaks no protocol that this agent knows."""


async def run(settings: Settings, credential: Credential, engines: list[Engine], systemd: Notify) -> None:
    """Works until told to stop; raises `Problem`, `Revoked`, `EngineError`, `AlreadyRunning` or `VersionTooOld`."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_MAX))
    with _alone(settings):
        async with connect(credential.url, credential.secret, credential.authority) as client:
            await Agent(settings, client, engines, systemd).run()


class Agent:
    def __init__(
        self, settings: Settings, client: Client, engines: list[Engine], systemd: Notify | None = None
    ) -> None:
        metrics = Metrics()
        slots = [Slot(number, engine, metrics.idle_gap) for number, engine in enumerate(engines)]
        self.duty = Duty(client, settings, slots, metrics)
        self._contact = Scope()
        """Reaching the control plane for the first time, and getting the engines ready."""
        self._patience: asyncio.Timeout | None = None
        self._systemd = systemd or Notify(None, None)

    async def run(self) -> None:
        try:
            with self._signals():
                async with self._contact:
                    self._greet(await persist(self.duty.client.config, "config"))
                await self._serve()
        except Interrupted:
            log.info("agent.stopped")
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            for slot in self.duty.slots:
                await slot.stop_engine()
            shutil.rmtree(self.duty.settings.work_folder, ignore_errors=True)
            self.duty.journal.clear()

    async def _serve(self) -> None:
        duty = self.duty
        async with local.serve(duty), asyncio.TaskGroup() as background:
            loops = [background.create_task(loop(duty)) for loop in LOOPS]
            loops.append(background.create_task(self._systemd.beat(lambda: local.in_a_line(duty))))
            try:
                async with asyncio.timeout(None) as self._patience, asyncio.TaskGroup() as labour:
                    resume(duty, labour)
                    with suppress(Interrupted):
                        async with self._contact:
                            await self._ready_engines()
                    for slot in duty.slots:
                        labour.create_task(supply(slot, duty, labour))
            except TimeoutError:
                log.warning("agent.gave_up", leases=len(duty.works()))
            for loop in loops:
                loop.cancel()
            await leasing.farewell(duty)
        log.info("agent.stopped")

    async def _ready_engines(self) -> None:
        """All at once. One that does not start keeps only its own slot out of work; raises `EngineError` if all do."""
        async with asyncio.TaskGroup() as group:
            attempts = [group.create_task(_try_to_ready(slot)) for slot in self.duty.slots]
        errors = [error for attempt in attempts if (error := attempt.result()) is not None]
        if len(errors) == len(self.duty.slots):
            raise errors[0]
        self.duty.tell()

    def _greet(self, enrolled: Enrolled) -> None:
        if not enrolled.protocol_min <= PROTOCOL_VERSION <= enrolled.protocol_max:
            raise VersionTooOld(
                f"The control plane speaks protocol {enrolled.protocol_min} to {enrolled.protocol_max},"
                f" this agent {PROTOCOL_VERSION}."
            )
        self.duty.enrolled = enrolled
        self.duty.intervals = enrolled.intervals
        log.info("agent.started", worker_id=str(enrolled.worker_id), name=enrolled.name, slots=len(self.duty.slots))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.signalled)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def signalled(self) -> None:
        """Once: drain. Twice: give the leases back and go."""
        self._contact.interrupt()
        if not self.duty.leaving:
            self.duty.drain("signal")
            return
        self.duty.hurry()
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + HURRY_SECONDS)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Holds the lock of the state folder, and clears what a killed agent left there and nobody can go on with."""
    settings.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(settings.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"An agent is already running with {settings.dir}.") from None
        wanted = {work_name(entry.lease) for entry in Journal(settings.leases_folder).entries() if entry.files}
        settings.work_folder.mkdir(mode=0o700, exist_ok=True)
        for left in settings.work_folder.iterdir():
            if left.name not in wanted:
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(lock)


async def _try_to_ready(slot: Slot) -> EngineError | None:
    try:
        async with slot.turn:
            await slot.ready_engine()
    except EngineError as error:
        log.error("engine.not_ready", slot=slot.number, problem=error.message)
        return error
    return None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one reason that people are told: a refusal if there is one."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.append(_first(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((leaf for leaf in leaves if isinstance(leaf, Problem)), leaves[0])
