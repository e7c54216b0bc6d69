"""One interaction, from when it came until its answer stands.

The platform wants a first answer within three seconds and gives a token for fifteen minutes. What is said soon enough
is the first answer itself; when nothing is said by half that time, a message is promised, which is filled later, or a
press is nodded at. The first answer is one message however often it is sent: who does not know whether it arrived looks
what stands there. That holds after a restart, too, when nothing is known but the token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import hikari
import structlog

from frontends.bots.discord.addresses import Address
from frontends.bots.discord.calls import Calls
from frontends.bots.discord.looks import Look
from frontends.bots.discord.refusals import ALREADY_ACKNOWLEDGED, Unclear, Unsendable, patiently
from frontends.bots.limits import DISCORD
from frontends.bots.outbox import Flooded, Outbox

FIRST_BY_SECONDS = DISCORD.answer_seconds / 2
"""When something is promised if nothing was said."""
RETRY_SECONDS = 0.3
"""After a first answer of which nobody knows whether it arrived."""

Promise = Literal["message", "hidden", "nod"]
"""What to promise: a message for everybody, one for the person alone, nothing but that it was seen."""
Stage = Literal["open", "promised", "answered", "nodded", "unknown", "over"]

log = structlog.get_logger()


class Answering:
    """`id` 0: of before a restart; what stands there has to be looked up."""

    def __init__(
        self, calls: Calls, outbox: Outbox, id: int, origin: Address, promise: Promise, clock: Callable[[], float]
    ) -> None:
        self.origin = origin
        """The channel, the message whose button was pressed, the token and its end."""
        self.promise: Promise = promise
        self._calls = calls
        self._outbox = outbox
        self._id = id
        self._clock = clock
        self._came_at = clock()
        self._stage: Stage = "open" if id else "unknown"
        self._message = 0
        """The first answer."""
        self._hidden = False
        self._lock = asyncio.Lock()

    def miss(self) -> None:
        """It came so late that it cannot be answered any more."""
        self._stage = "over"

    async def in_time(self) -> None:
        """Promises an answer when there is none soon enough."""
        await asyncio.sleep(FIRST_BY_SECONDS)
        async with self._lock:
            if not self._is("open"):
                return
            try:
                if self.promise == "nod":
                    await self._nod()
                else:
                    await self._promise(hidden=self.promise == "hidden")
            except (Unsendable, ConnectionError) as error:
                log.info("interaction.unacknowledged", reason=str(error))
            except Exception:  # one person's bad luck must not end everybody's bot
                log.exception("interaction.failed")

    async def say(self, look: Look, *, hidden: bool) -> Address | None:
        """Shows a message as the answer: where it is. None when it must go another way."""
        async with self._lock:
            if self._is("open") and look.files:
                await self._promise(hidden=hidden)  # an upload may take longer than the platform waits
            if self._is("open"):
                await self._answer(look, hidden)
                if self._is("answered"):
                    return self._address(self._message)
            if self._is("unknown"):
                await self._look_up()
            if self._is("promised") and self._hidden == hidden:
                return await self._fill(look)
            if self._is("promised"):
                await self._take_back()
            if hidden and self._is("answered", "nodded"):
                return await self._follow(look, hidden=True)
            return None

    async def follow(self, look: Look, *, hidden: bool) -> Address | None:
        """Shows a message beside the answer, where no other way is left; None when this is none either."""
        async with self._lock:
            return await self._follow(look, hidden=hidden) if self._is("answered", "nodded") else None

    async def hint(self, look: Look) -> None:
        """A sentence that only the person sees, now."""
        if await self.say(look, hidden=True) is None:
            log.info("hint.lost")

    async def nod(self) -> None:
        """It was seen, and what it does will show by itself."""
        async with self._lock:
            if self._is("open"):
                await self._nod()

    async def ask(self, title: str, form: str, rows: list[hikari.impl.ModalActionRowBuilder]) -> bool:
        """Opens a window; False when it is too late for one."""
        async with self._lock:
            if not self._is("open"):
                return False
            await self._first(lambda: self._calls.ask(self._id, self.origin.token, title, form, rows), "nodded")
            return True

    # ------------------------------------------------------------------------------------------ the first answer

    async def _answer(self, look: Look, hidden: bool) -> None:
        async def act() -> None:
            self._message = await self._calls.answer(self._id, self.origin.token, look, hidden=hidden)

        await self._first(act, "answered")

    async def _promise(self, *, hidden: bool) -> None:
        async def act() -> None:
            self._message = await self._calls.promise(self._id, self.origin.token, hidden=hidden)

        await self._first(act, "promised")
        self._hidden = hidden

    async def _nod(self) -> None:
        await self._first(lambda: self._calls.nod(self._id, self.origin.token), "nodded")

    async def _first(self, act: Callable[[], Awaitable[None]], then: Stage) -> None:
        """Tries until it is known to have arrived, or it is too late. Raises `Unsendable` when it was not taken."""
        while self._clock() - self._came_at < DISCORD.answer_seconds:
            try:
                await act()
                self._stage = then
                return
            except Unclear:
                self._stage = "unknown"
                await asyncio.sleep(RETRY_SECONDS)
            except Flooded as flood:
                await asyncio.sleep(min(flood.seconds, DISCORD.answer_seconds))
            except Unsendable as refusal:
                if refusal.code == ALREADY_ACKNOWLEDGED:
                    self._stage = "unknown"
                    return
                if refusal.why == "expired":
                    self._stage = "over"
                    return
                raise
        self._stage = "unknown"

    async def _look_up(self) -> None:
        """What stands there: a message that was promised or is there, the one whose button was pressed, or nothing."""
        try:
            found = await self._outbox.send(self.origin.token, lambda: self._calls.answered(self.origin.token))
        except Unsendable:
            self._stage = "over"
            return
        self._message = int(found.id)
        self._hidden = bool(found.flags & hikari.MessageFlag.EPHEMERAL)
        nodded = self._message == self.origin.message
        self._stage = "nodded" if nodded else "promised"  # what stands there already is this: an event is answered once

    # ------------------------------------------------------------------------------------------ after it

    async def _fill(self, look: Look) -> Address | None:
        """The message that was promised, or is there, becomes this one; None when there is none any more."""
        address = self._address(self._message)

        async def act() -> None:
            await self._calls.edit_by_token(address, look)

        try:
            await self._outbox.edit(address.token, str(address.message), lambda: patiently(act), paced=False)
        except Unsendable as refusal:
            if refusal.why in ("expired", "gone"):
                self._stage = "over"
                return None
            await self._take_back()  # nobody shall wait for what will never come
            raise
        self._stage = "answered"
        return address

    async def _take_back(self) -> None:
        """What was promised to the wrong eyes."""
        self._stage, address = "nodded", self._address(self._message)
        try:
            await self._outbox.send(address.token, lambda: self._calls.delete_by_token(address))
        except (Unsendable, Unclear) as error:
            log.info("promise.stays", reason=str(error))

    async def _follow(self, look: Look, *, hidden: bool) -> Address | None:
        if not self.origin.lives(self._clock()):
            return None
        token = self.origin.token
        try:
            return self._address(await self._outbox.send(token, lambda: self._calls.follow(token, look, hidden=hidden)))
        except Unclear as error:  # not again: the platform knows no duplicates of these
            raise Unsendable("refused", said=str(error)) from error

    def _is(self, *stages: Stage) -> bool:
        return self._stage in stages

    def _address(self, message: int) -> Address:
        return self.origin._replace(message=message)
