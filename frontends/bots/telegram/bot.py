"""One bot on Telegram, as the fleet runs it: connected, listening, showing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from pyrogram.errors import RPCError
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from frontends.bots.dialogue.effects import Shown
from frontends.bots.dialogue.events import Sent, Unsent
from frontends.bots.dialogue.state import Bot, House, Scene
from frontends.bots.errands import Errands
from frontends.bots.limits import TELEGRAM
from frontends.bots.outbox import Flooded, Outbox
from frontends.bots.settings import TelegramSettings
from frontends.bots.telegram import menus, refusals
from frontends.bots.telegram.hearing import Ear, Handle
from frontends.bots.telegram.inbox import Inbox
from frontends.bots.telegram.line import Line
from frontends.bots.telegram.media import Files
from frontends.bots.telegram.reading import Heard
from frontends.bots.telegram.showing import Hand

STOP_SECONDS = 5.0
"""How long what is under way may take when the bot stops."""
PING_SECONDS = 10.0
RETURNED = frozenset({"CHARGE_ALREADY_REFUNDED"})

log = structlog.get_logger()


class TelegramBot:
    """See `conversations.Skin` and `fleet`. `clock` is seconds since 1970; everything runs in `tasks`."""

    def __init__(
        self,
        settings: TelegramSettings,
        *,
        handle: Handle,
        errands: Errands,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._outbox = Outbox(TELEGRAM.rates, tasks, asyncio.get_running_loop().time)
        self._inbox = Inbox(settings.name, self._hear, tasks)
        self._line = Line(settings, self._inbox.take, self._inbox.broke, self._inbox.mended)
        self._files = Files(self._line, errands)
        self._ear = Ear(settings, self._line, handle, clock)
        self._hand = Hand(settings.name, self._line, self._inbox, self._outbox, self._files, clock)
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._stopped = False
        self._limits: set[asyncio.Timeout] = set()
        """Of what is being shown, moved up when the bot stops."""
        self._bot: Bot | None = None

    @property
    def bot(self) -> Bot:
        """The bot as the others know it; known after `start`."""
        assert self._bot is not None, "the bot was never started"
        return self._bot

    @property
    def tally(self) -> Counter[str]:
        """What was sent, and how often patience was asked for; see `Outbox`."""
        return self._outbox.tally

    async def start(self) -> None:
        """Connects, and hears what was missed. Raises `BotRefused` when the token is not taken, else `OSError`."""
        await self._line.open()
        me = self._line.me
        self._bot = Bot(
            name=self._settings.name,
            makes=self._settings.makes,
            platform_name="telegram",
            title=me.first_name,
            url=f"https://t.me/{me.username}",
        )
        try:
            await self._inbox.open(self._line)
        except (RPCError, Flooded) as error:
            raise ConnectionError(f"what was missed cannot be had: {type(error).__name__}") from error

    async def ping(self) -> None:
        """A round trip. Raises `OSError` or `BotRefused` when there is none."""
        try:
            await self._line.ask(fn.updates.GetState(), seconds=PING_SECONDS, again=False)
        except (RPCError, Flooded) as error:
            raise ConnectionError(f"Telegram answered {error}") from error

    async def stop(self) -> None:
        """Hears nothing more, lets what is under way finish for some seconds, ends it, closes."""
        self._inbox.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._quiet.wait()
        self._stopped = True
        self._outbox.stop()
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())
        await self._inbox.keep()
        await self._line.close()

    async def publish(self, house: House) -> None:
        """Registers commands and descriptions, where they differ. Raises `OSError`."""
        try:
            changed = await menus.publish(self._line, self._settings.makes, house)
        except (RPCError, Flooded) as error:
            raise ConnectionError(f"the commands cannot be registered: {error}") from error
        log.info("commands.published", bot=self._settings.name, changed=changed)

    async def perform(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """See `Skin.perform`. Raises `OSError` when the bot stops meanwhile: whether it was done is not known then."""
        if self._stopped:
            raise ConnectionError("the bot has stopped")
        with self._busy():
            async with asyncio.timeout(None) as limit:
                self._limits.add(limit)
                try:
                    return await self._hand.perform(scene, effect, language)
                finally:
                    self._limits.discard(limit)

    async def fetch(self, reference: str, folder: Path) -> Path:
        return await self._files.down(reference, folder)

    async def give_back(self, payer: str, charge: str) -> None:
        peer = await self._line.peer(payer)
        user = tl.InputUser(user_id=peer.user_id, access_hash=peer.access_hash)
        try:
            await self._line.ask(fn.payments.RefundStarsCharge(user_id=user, charge_id=charge))
        except RPCError as error:
            if refusals.name(error) not in RETURNED:
                raise

    async def _hear(self, heard: Heard) -> None:
        with self._busy():
            await self._ear.hear(heard)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Something is under way."""
        self._under_way += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()
