"""One bot of the fleet, kept running: started with a limit, asked now and then whether it is still there, and started
anew, ever more slowly, when it is not.

To the conversations it is one skin for as long as the program runs, whatever becomes of its connection: what has to
arrive waits until the bot is back, under the same key, and what only shows progress is left out. A bot whose token is
refused is told of once and let go; what it should have said is handed back, so that another bot may say it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog

from frontends.bots.conversations import Skin
from frontends.bots.dialogue.effects import Ask, Bill, Delete, Edit, Say, Shown
from frontends.bots.dialogue.events import Event, Refusal, Sent, Unsent
from frontends.bots.dialogue.state import Bot, House, Scene
from frontends.bots.errands import Errands
from frontends.bots.refusal import BotRefused
from frontends.bots.settings import BotSettings

PINGS_LOST_MAX = 3
"""So many in a row without an answer, and the bot is started anew."""
HEARD_SECONDS_MAX = 60.0
"""A bot is ready when its platform has answered within this time."""
AGAIN_MAX_SECONDS = 120.0
SETTLED_SECONDS = 60.0
"""Who ran this long starts the count of its failures anew."""
WAIT_SECONDS = 30.0
"""For a bot that is away, when somebody waits for what it fetches."""

Handle = Callable[[Scene, Event], Awaitable[None]]
State = Literal["starting", "up", "away", "refused", "stopped"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Rhythm:
    """How long each step may take."""

    start_seconds: float = 45.0
    stop_seconds: float = 10.0
    """For what is under way and the farewell."""
    ping_seconds: float = 20.0
    """Between two questions whether the platform is still there."""
    answer_seconds: float = 15.0
    """For its answer."""
    again_seconds: float = 1.0
    """Before the second start; before further ones ever longer."""


USUAL = Rhythm()


class RunningBot(Skin, Protocol):
    """What a skin package makes of a bot's settings."""

    @property
    def bot(self) -> Bot: ...
    @property
    def tally(self) -> Counter[str]: ...
    async def start(self) -> None: ...
    async def ping(self) -> None: ...
    async def stop(self) -> None: ...
    async def publish(self, house: House) -> None: ...


class Make(Protocol):
    def __call__(
        self,
        settings: BotSettings,
        *,
        handle: Handle,
        errands: Errands,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> RunningBot: ...


class Silent(Exception):
    """The platform does not answer any more."""


class _Withdrawn(Exception):
    """Nothing is to be shown any more: the message is deleted, or the bot has ended."""


class Member:
    """`came` is told of the bot whenever it has come up; it runs in the bot's own group of tasks."""

    def __init__(
        self,
        settings: BotSettings,
        make: Make,
        handle: Handle,
        errands: Errands,
        came: Callable[[RunningBot], Coroutine[Any, Any, None]],
        rhythm: Rhythm = USUAL,
    ) -> None:
        self.settings = settings
        self.state: State = "starting"
        self.why = ""
        """Of a bot that is away or refused."""
        self.events = 0
        self.starts = 0
        self.deliveries: Counter[str] = Counter()
        """Messages and edits with an outcome: `sent`, or why not."""
        self._make = make
        self._handle = handle
        self._errands = errands
        self._came = came
        self._rhythm = rhythm
        self._running: RunningBot | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._tally_before: Counter[str] = Counter()
        self._heard_at: float | None = None
        self._changed = asyncio.Condition()
        self._doubted = asyncio.Event()
        """Somebody has met a sign that the bot is gone: it is asked at once."""

    # ------------------------------------------------------------------------------------------ what is known

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def platform(self) -> str:
        return self.settings.platform

    @property
    def is_up(self) -> bool:
        return self._running is not None

    @property
    def tally(self) -> Counter[str]:
        """What it has sent in all of its lives."""
        return self._tally_before + (self._running.tally if self._running is not None else Counter())

    @property
    def heard_seconds(self) -> float | None:
        """Since the platform last answered; None when it has not yet."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    @property
    def is_ready(self) -> bool:
        heard = self.heard_seconds
        return self.is_up and heard is not None and heard <= HEARD_SECONDS_MAX

    async def settled(self) -> None:
        """Returns once it is known whether this bot comes up at the first try."""
        await self._until(lambda: self.state != "starting")

    # ------------------------------------------------------------------------------------------ its life

    async def keep(self) -> None:
        """Runs until it is cancelled; returns when the platform refuses the bot."""
        failures = 0
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._live()
                except BaseExceptionGroup as group:
                    reason = _reason(group)
                    if isinstance(reason, BotRefused):
                        return await self._refused(reason)
                    failures = 1 if time.monotonic() - began > SETTLED_SECONDS else failures + 1
                    await self._pause(failures, reason)
        except asyncio.CancelledError:
            await self._become("stopped")
            raise

    async def _live(self) -> None:
        """Once, from its start to its end; always raises."""
        self.starts += 1
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            running = self._make(
                self.settings, handle=self._happened, errands=self._errands, tasks=tasks, clock=time.time
            )
            try:
                async with asyncio.timeout(self._rhythm.start_seconds):
                    await running.start()
                self._running, self._heard_at = running, time.monotonic()
                await self._become("up")
                log.info("bot.started", bot=self.name, platform=self.platform, title=running.bot.title)
                tasks.create_task(self._came(running))
                await self._watch(running)
            finally:
                self._tally_before, self._running = self.tally, None
                await self._end(running)

    async def _watch(self, running: RunningBot) -> None:
        """Until the platform answers no more."""
        lost = 0
        while True:
            await self._rest(self._rhythm.ping_seconds * random.uniform(0.8, 1.2))
            try:
                async with asyncio.timeout(self._rhythm.answer_seconds):
                    await running.ping()
                lost, self._heard_at = 0, time.monotonic()
            except BotRefused:
                raise
            except Exception as error:
                lost += 1
                log.info("bot.silent", bot=self.name, lost=lost, reason=_told(error))
                if lost >= PINGS_LOST_MAX:
                    raise Silent(_told(error)) from error

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        except TimeoutError:
            pass
        self._doubted.clear()

    async def _end(self, running: RunningBot) -> None:
        try:
            async with asyncio.timeout(self._rhythm.stop_seconds):
                await running.stop()
        except Exception as error:  # it goes in any case
            log.info("bot.left_hard", bot=self.name, reason=_told(error))

    async def _refused(self, refusal: BotRefused) -> None:
        log.error(
            "bot.refused",
            bot=self.name,
            platform=self.platform,
            said=refusal.detail,
            todo="Its token is wrong or was revoked. Give it a new one with `tessera-bots setup`, then restart.",
        )
        await self._become("refused", refusal.detail)

    async def _pause(self, failures: int, reason: BaseException) -> None:
        seconds = random.uniform(0.5, 1) * min(AGAIN_MAX_SECONDS, self._rhythm.again_seconds * 2 ** (failures - 1))
        await self._become("away", _told(reason))
        log.warning("bot.away", bot=self.name, reason=_told(reason), again_seconds=round(seconds, 1))
        await asyncio.sleep(seconds)

    async def _become(self, state: State, why: str = "") -> None:
        self.state, self.why = state, why
        async with self._changed:
            self._changed.notify_all()

    async def _happened(self, scene: Scene, event: Event) -> None:
        self.events += 1
        try:
            await self._handle(scene, event)
        except Exception:  # one person's bad luck must not end everybody's bot
            log.exception("event.failed", bot=self.name, happening=type(event).__name__)

    # ------------------------------------------------------------------------------------------ the skin

    async def perform(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """As the skin does; what has to arrive waits for a bot that is away."""
        outcome = await self._performed(scene, effect, language)
        match outcome:
            case Sent():
                self.deliveries["sent"] += 1
            case Unsent(why=why):
                self.deliveries[why] += 1
                if why == "bot_gone":
                    self._doubted.set()
            case None:
                pass
        return outcome

    async def _performed(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        while True:
            running = self._running
            if running is None:
                if not _must_arrive(effect):
                    return None
                await self._until(lambda: self._running is not None or self.state == "refused")
                if self._running is None:
                    return _unsent(effect, "bot_gone")
                continue
            outcome = await self._tried(running, scene, effect, language)
            if not isinstance(outcome, Exception):
                return outcome
            if self._running is running:
                if isinstance(outcome, _Withdrawn):
                    return _unsent(effect, "gone")
                raise outcome
            if not _must_arrive(effect):
                return None
            # its connection was ended meanwhile: once more, under the same key

    async def _tried(
        self, running: RunningBot, scene: Scene, effect: Shown, language: str
    ) -> Sent | Unsent | Exception | None:
        """The outcome, or what was raised. In the bot's own group: it ends when the bot does, whatever it waits for."""

        async def attempt() -> Sent | Unsent | Exception | None:
            try:
                return await running.perform(scene, effect, language)
            except Exception as error:
                return error

        assert self._tasks is not None
        task = self._tasks.create_task(attempt())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        return _Withdrawn() if task.cancelled() else task.result()

    async def fetch(self, reference: str, folder: Path) -> Path:
        return await (await self._present()).fetch(reference, folder)

    async def give_back(self, payer: str, charge: str) -> None:
        await (await self._present()).give_back(payer, charge)

    async def _present(self) -> RunningBot:
        """The bot, as soon as it is there. Raises `OSError` when it does not come."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._until(lambda: self._running is not None or self.state == "refused")
        except TimeoutError:
            pass
        if self._running is None:
            raise ConnectionError(f"The bot {self.name} is not connected.")
        return self._running

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(holds)


def _must_arrive(effect: Shown) -> bool:
    return isinstance(effect, Delete) or (isinstance(effect, Say | Edit | Bill | Ask) and bool(effect.key))


def _unsent(effect: Shown, why: Refusal) -> Unsent | None:
    key = effect.key if isinstance(effect, Say | Edit | Bill | Ask) else ""
    return Unsent(key=key, at=time.time(), why=why) if key else None


def _reason(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one reason that people are told: a refusal if there is one."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.append(_reason(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((leaf for leaf in leaves if isinstance(leaf, BotRefused)), leaves[0])


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
