"""The process `tessera-bots`: the service, the memory, the conversations, the fleet and its health, in one loop.

    settings ─ libraries ─ locks ─ health ─ bots start ─ models known ─ interrupted conversations go on       start
    bots take nothing new, finish and close ─ conversations let go                                             stop

One group holds every task of the conversations, one for each bot its own. A service that does not answer is waited for
while the bots come up; they then say so. The first signal stops, the second at once.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import structlog

from control_plane.wire.systemd import Notify
from frontends.bots import health, key
from frontends.bots.conversations import Conversations
from frontends.bots.dialogue.state import House
from frontends.bots.errands import Errands
from frontends.bots.fleet import Fleet, make_of
from frontends.bots.language.translation import Translator
from frontends.bots.member import Make
from frontends.bots.memory import Memory
from frontends.bots.metrics import Lag
from frontends.bots.settings import BotSettings, Settings
from frontends.client import Client, connect
from frontends.problems import ClientError

PATIENCE_SECONDS = 8.0
"""For one call of the service, before a person is told that it does not answer. Less than what it asks of those whose
line is full, who are told so at once."""
MODELS_SECONDS = 30.0
"""How often it is asked what can be ordered."""
FILES_SECONDS = 3_600.0
"""What has lain this long among the files on their way is on no way any more."""
LEFT_SECONDS = 3_600.0
"""How often it is asked who has left."""
OPEN_SECONDS = 5.0
"""How long the first events wait for the service at a start."""
AGAIN_MAX_SECONDS = 15.0
STOP_SECONDS = 15.0
"""For all bots together."""
MEMORY = "bots.sqlite"

log = structlog.get_logger()


class AlreadyRunning(Exception):
    """Another process runs this bot from this folder."""


class NoBotLeft(Exception):
    """Every bot was refused by its platform."""


class _Over(Exception):
    """Everything else ends now."""


class Program:
    """One run. `started` is set when every bot is up or known not to be."""

    def __init__(
        self,
        settings: Settings,
        bots: Sequence[BotSettings],
        client: Client,
        errands: Errands,
        make_of: Callable[[BotSettings], Make] = make_of,
    ) -> None:
        self.settings = settings
        self.client = client
        self.lag = Lag()
        self.url = ""
        """Where its health is told."""
        self.started = asyncio.Event()
        self.stopping = asyncio.Event()
        self._errands = errands
        self._platforms = sorted({bot.platform for bot in bots})
        self._open = asyncio.Event()
        self._models_at: float | None = None
        self.fleet = Fleet(bots, settings.dir / "registered", errands, self._opened, make_of)

    async def run(
        self, memory: Memory, notify: Notify, started: Callable[[Program], None] = lambda running: None
    ) -> None:
        """Until it is told to stop. Raises `NoBotLeft`, `WrongKey` and `PortTaken`."""
        members = self.fleet.members
        async with AsyncExitStack() as around:
            self.url = await around.enter_async_context(
                health.serve(self.settings.port, members, self.lag, self.service_answers)
            )
            with suppress(_Over):
                await self._run(memory, notify, started)

    async def _run(self, memory: Memory, notify: Notify, started: Callable[[Program], None]) -> None:
        members = self.fleet.members
        try:
            async with asyncio.TaskGroup() as tasks:
                house = House(name=self.settings.name, site=self.settings.site or "", support=self.settings.support)
                conversations = Conversations(memory, self._errands, house, dict(members), tasks, time.time)
                self.fleet.conversations = conversations
                tasks.create_task(self.lag.measure())
                tasks.create_task(self._know(conversations))
                kept = [tasks.create_task(member.keep()) for member in members.values()]
                tasks.create_task(self._tell_started(notify, started))
                await self.stopping.wait()
                await _leave(kept)
                conversations.stop()
                raise _Over
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _tell_started(self, notify: Notify, started: Callable[[Program], None]) -> None:
        await self.fleet.settled()
        if self.fleet.is_hopeless:
            raise NoBotLeft("The platforms refuse every bot; see above. Nothing is left to run.")
        log.info("program.started", bots=len(self.fleet.members), health=self.url, now=self.fleet.in_a_line())
        self.started.set()
        started(self)
        await notify.beat(self.fleet.in_a_line)

    async def _know(self, conversations: Conversations) -> None:
        """What can be ordered and who has left, asked now and then. What was interrupted goes on when it is known,
        or does not come."""
        opening = asyncio.get_running_loop().call_later(OPEN_SECONDS, self._open.set)
        await self._until_known(conversations)
        opening.cancel()
        self._open.set()
        resumed = conversations.resume()
        log.info("conversations.resumed", count=resumed)
        left_at = float("-inf")
        while True:
            with suppress(ClientError):
                await self._refresh(conversations)
                if time.monotonic() - left_at >= LEFT_SECONDS:
                    gone, left_at = await conversations.forget_who_left(), time.monotonic()
                    log.info("people.forgotten", count=gone)
            await asyncio.sleep(MODELS_SECONDS)

    async def _until_known(self, conversations: Conversations) -> None:
        failures = 0
        while True:
            try:
                await key.check(self.client, self._platforms)
                return await self._refresh(conversations)
            except ClientError as error:
                failures += 1
                seconds = random.uniform(0.5, 1) * min(AGAIN_MAX_SECONDS, 0.25 * 2**failures)
                log.warning("service.silent", url=self.settings.url, reason=str(error), again_seconds=round(seconds, 1))
                await asyncio.sleep(seconds)

    async def _refresh(self, conversations: Conversations) -> None:
        await conversations.refresh()
        self._models_at = time.monotonic()

    def service_answers(self) -> bool:
        return self._models_at is not None and time.monotonic() - self._models_at < 3 * MODELS_SECONDS

    async def _opened(self) -> None:
        await self._open.wait()


async def run(
    settings: Settings,
    bots: Sequence[BotSettings],
    notify: Notify,
    started: Callable[[Program], None] = lambda running: None,
) -> None:
    """The whole program but for its arguments; `started` is told once the bots are up. Raises what `Program.run` does,
    and `AlreadyRunning`."""
    settings.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(settings.dir)  # where the library for Telegram leaves notes about errors that it does not know
    with alone(settings.dir, bots):
        async with program(settings, bots) as running:
            with _signals(running):
                memory = Memory(settings.dir / MEMORY, time.time())
                try:
                    await running.run(memory, notify, started)
                finally:
                    memory.close()
    log.info("program.stopped")


@asynccontextmanager
async def program(
    settings: Settings, bots: Sequence[BotSettings], make_of: Callable[[BotSettings], Make] = make_of
) -> AsyncIterator[Program]:
    """A program with its connections to the service, not yet running."""
    files = settings.dir / "files"
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(files, time.time() - FILES_SECONDS)
    async with (
        connect(settings.url, settings.api_key, patience_seconds=PATIENCE_SECONDS, connections=0) as client,
        aiohttp.ClientSession(trust_env=True) as session,
    ):
        translator = Translator(session, settings.translate_url, settings.translate_key)
        yield Program(settings, bots, client, Errands(client, files, translator), make_of)


def _clear(folder: Path, before: float) -> None:
    """Takes away pictures of people that a program has left behind which was killed."""
    for left in folder.iterdir():
        if left.stat().st_mtime < before:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def alone(folder: Path, bots: Sequence[BotSettings]) -> Iterator[None]:
    """Holds each bot's lock, which the kernel lets go of whatever happens to the process."""
    locks = folder / "locks"
    locks.mkdir(mode=0o700, exist_ok=True)
    held: list[int] = []
    try:
        for bot in bots:
            held.append(os.open(locks / bot.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            try:
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(
                    f"The bot {bot.name} is running already from {folder}. Stop that one first."
                ) from None
        yield
    finally:
        for lock in held:
            os.close(lock)


@contextmanager
def _signals(running: Program) -> Iterator[None]:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def signalled() -> None:
        if running.stopping.is_set():
            task.cancel()
        running.stopping.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, signalled)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _leave(kept: Sequence[asyncio.Task[None]]) -> None:
    for task in kept:
        task.cancel()
    await asyncio.wait(kept, timeout=STOP_SECONDS)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
