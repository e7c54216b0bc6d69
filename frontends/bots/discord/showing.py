"""Effects of the dialogue, carried out on Discord.

What answers an interaction goes by it as long as it can (`answering`), else as a message of its own: in its channel, or
where the bot cannot write there, to the person alone. A message is edited by its token while that lives, then in its
channel. What only shows progress is left out when it cannot be shown now; everything else is tried until it is known
what became of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import hikari
import structlog
from hikari.impl import MessageActionRowBuilder
from msgspec.structs import replace

from frontends.bots.dialogue.effects import Answer, Approve, Ask, Bill, Delete, Edit, Say, Shown
from frontends.bots.dialogue.events import Refusal, Sent, Unsent
from frontends.bots.dialogue.rendering import Face, face, plainly, questions, sentence
from frontends.bots.dialogue.screen import Artifact, Media
from frontends.bots.dialogue.state import Scene
from frontends.bots.discord.addresses import Address, nonce, read
from frontends.bots.discord.answering import Answering
from frontends.bots.discord.calls import Calls
from frontends.bots.discord.looks import Look, fields, glimpse_name, rows
from frontends.bots.discord.refusals import CLOSED_DOORS, UNKNOWN_MESSAGE, Unclear, Unsendable, patiently
from frontends.bots.errands import Errands
from frontends.bots.limits import DISCORD
from frontends.bots.outbox import Outbox
from frontends.problems import ClientError, Refused

ANSWERINGS_KEPT = 2_000
PROMISED = frozenset({"toast.ordering"})
"""Toasts after which a message comes that says more: a toast here is a message that stays."""
SHOWN_ANYWAY = frozenset({"toast.chosen", "toast.deleted"})
"""Toasts whose meaning shows in the message that was pressed."""

log = structlog.get_logger()


class Open(NamedTuple):
    """An interaction that may still be answered."""

    answering: Answering
    again: str = ""
    """The payload of a button that does the same once more."""


class Preview(NamedTuple):
    """What a job looks like in the middle of it."""

    media: list[Media]
    spoiler: bool


class Showing:
    """Of one bot."""

    def __init__(self, calls: Calls, outbox: Outbox, errands: Errands, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._outbox = outbox
        self._errands = errands
        self._clock = clock
        self._open: OrderedDict[str, Open] = OrderedDict()
        self._previews: dict[int, Preview] = {}
        """Of messages, that are still to be shown: the next edit takes its message's along, whichever that is."""

    def knows(self, event: str) -> bool:
        """Whether an interaction has come before."""
        return event in self._open

    def opens(self, event: str, answering: Answering, again: str = "") -> None:
        """An interaction that is answered from now on."""
        self._open[event] = Open(answering, again)
        while len(self._open) > ANSWERINGS_KEPT:
            self._open.popitem(last=False)

    async def show(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """Raises `ConnectionError` when the bot was stopped meanwhile: then nothing is decided."""
        key = effect.key if isinstance(effect, Say | Edit | Bill | Ask | Delete) else ""
        try:
            match effect:
                case Say():
                    at = await self._say(scene, effect, face(effect.card, language, DISCORD))
                    return Sent(key=key, at=self._clock(), message=str(at), ends_at=at.ends_at or None)
                case Edit():
                    await self._edit(scene, effect, face(effect.card, language, DISCORD))
                    return Sent(key=key, at=self._clock(), message=effect.message) if key else None
                case Delete():
                    await self._delete(effect)
                case Answer():
                    await self._hint(effect, language)
                case Ask():
                    await self._ask(effect, language)
                case Bill():
                    raise Unsendable("refused", said="this platform has no money of its own")
                case Approve():
                    pass
        except Unsendable as refusal:
            log.info("message.refused", effect=type(effect).__name__, why=refusal.why, code=refusal.code)
            return self._unsent(key, refusal.why)
        except Unclear as error:
            log.info("message.unclear", effect=type(effect).__name__, reason=str(error))
            return self._unsent(key, "refused")
        return None

    def _unsent(self, key: str, why: Refusal) -> Unsent | None:
        return Unsent(key=key, at=self._clock(), why=why) if key else None

    # ------------------------------------------------------------------------------------------ new messages

    async def _say(self, scene: Scene, effect: Say, shown: Face) -> Address:
        origin = read(effect.reply_to or effect.pressed)
        async with self._looks(shown) as look:
            answering = None if effect.lasting or effect.through else self._answering(effect.answers, origin)
            if answering is not None:
                by_it = answering
                at = await patiently(lambda: by_it.say(look, hidden=effect.private))
                if at is not None:
                    return at
            return await self._lasting(scene, effect, look, origin, answering)

    def _answering(self, event: str, origin: Address | None) -> Answering | None:
        """The interaction that a message answers, also one of before a restart."""
        known = self._open.get(event)
        if known is not None:
            return known.answering
        if not event or origin is None or not origin.lives(self._clock()):
            return None
        found = Answering(self._calls, self._outbox, 0, origin, "message", self._clock)
        self.opens(event, found)
        return found

    async def _lasting(
        self, scene: Scene, effect: Say, look: Look, origin: Address | None, answering: Answering | None
    ) -> Address:
        """A message of its own."""
        reply_to = origin.message if origin is not None and not origin.token and not effect.lasting else 0
        name = nonce(scene.id, effect.key)
        if scene.chat == scene.subject or (effect.private and scene.group):
            return await self._in_private(scene, look, name)
        try:
            return await self._in_channel(int(scene.chat), look, name, group=scene.group, reply_to=reply_to)
        except Unsendable as refusal:
            if not scene.group or refusal.code not in CLOSED_DOORS:
                raise
        beside = await answering.follow(look, hidden=False) if answering is not None else None
        return beside or await self._in_private(scene, look, name)

    async def _in_channel(self, channel: int, look: Look, name: str, *, group: bool, reply_to: int = 0) -> Address:
        async def act() -> int:
            return await self._calls.write(channel, look, name, reply_to)

        return Address(channel, await self._outbox.send(str(channel), lambda: patiently(act), group=group))

    async def _in_private(self, scene: Scene, look: Look, name: str) -> Address:
        async def act() -> int:
            return await self._calls.direct(int(scene.subject))

        channel = await self._outbox.send(f"person {scene.subject}", lambda: patiently(act))
        return await self._in_channel(channel, look, name, group=False)

    # ------------------------------------------------------------------------------------------ messages that are there

    async def _edit(self, scene: Scene, effect: Edit, shown: Face) -> None:
        address = read(effect.message)
        if address is None or not address.message:
            raise Unsendable("gone")
        place = address.message
        if effect.key:
            self._previews.pop(place, None)
        elif shown.media:
            self._previews[place] = Preview(shown.media, shown.spoiler)

        async def act() -> None:
            preview = self._previews.get(place)
            whole = replace(shown, media=preview.media, spoiler=preview.spoiler) if preview is not None else shown
            async with self._looks(whole) as look:
                await self._change(address, look)
            if preview is not None and self._previews.get(place) is preview:
                del self._previews[place]

        shown_by = (lambda: patiently(act)) if effect.key else act
        await self._outbox.edit(
            self._edits(address), str(address.message), shown_by, group=scene.group, paced=not effect.key
        )

    def _edits(self, address: Address) -> str:
        """What counts together: the platform counts edits apart from messages, for each channel or token."""
        return address.token if address.lives(self._clock()) else f"{address.channel} edits"

    async def _change(self, address: Address, look: Look) -> None:
        await self._somehow(
            address,
            lambda: self._calls.edit_by_token(address, look),
            lambda: self._calls.edit(address.channel, address.message, look),
        )

    async def _delete(self, effect: Delete) -> None:
        address = read(effect.message)
        if address is None or not address.message:
            raise Unsendable("gone")
        self._outbox.drop(self._edits(address), str(address.message))
        self._previews.pop(address.message, None)

        async def act() -> None:
            await self._somehow(
                address,
                lambda: self._calls.delete_by_token(address),
                lambda: self._calls.delete(address.channel, address.message),
            )

        try:
            await self._outbox.send(f"{address.channel} deletes", lambda: patiently(act))
        except Unsendable as refusal:
            if refusal.code != UNKNOWN_MESSAGE:  # that one is gone already
                raise

    async def _somehow(
        self, address: Address, by_token: Callable[[], Awaitable[None]], in_channel: Callable[[], Awaitable[None]]
    ) -> None:
        """By the token while it lives, else in the channel. Raises `Unsendable`."""
        if address.lives(self._clock()):
            try:
                return await by_token()
            except Unsendable as refusal:
                if refusal.why not in ("expired", "gone"):
                    raise
        try:
            await in_channel()
        except Unsendable as refusal:
            if address.token and refusal.code in CLOSED_DOORS:
                raise Unsendable("expired", refusal.code) from refusal
            raise

    # ------------------------------------------------------------------------------------------ presses

    async def _hint(self, effect: Answer, language: str) -> None:
        """A press is acknowledged by what follows; a sentence is shown unless that says more."""
        known = self._open.get(effect.press)
        if known is None or effect.said is None:
            return
        if effect.said.key in PROMISED:
            known.answering.promise = "message"
        elif effect.said.key in SHOWN_ANYWAY:
            await known.answering.nod()
        else:
            await known.answering.hint(Look(sentence(effect.said, language, DISCORD)))

    async def _ask(self, effect: Ask, language: str) -> None:
        """A window; where it is too late for one, a button that opens it."""
        known = self._open.get(effect.press)
        if known is None:
            return
        title = plainly(effect.form.title, language, DISCORD)
        asked = fields(questions(effect.form, language, DISCORD))
        if await known.answering.ask(title, effect.form.id, asked):
            return
        row = MessageActionRowBuilder()
        if known.again:
            row.add_interactive_button(hikari.ButtonStyle.PRIMARY, known.again, label=title)
        await known.answering.hint(Look(title, [row] if known.again else []))

    # ------------------------------------------------------------------------------------------ files

    @asynccontextmanager
    async def _looks(self, shown: Face) -> AsyncIterator[Look]:
        """The face with its files at hand. Raises `Unsendable` when they are gone, `Unclear` when nobody answers."""
        async with AsyncExitStack() as stack:
            try:
                found = [await self._file(stack, media, shown.spoiler) for media in shown.media]
            except Refused as error:
                raise Unsendable("refused", said=str(error.status)) from error
            except ClientError as error:
                raise Unclear(str(error)) from error
            yield Look(shown.text, rows(shown), [file for file in found if file is not None])

    async def _file(self, stack: AsyncExitStack, media: Media, spoiler: bool) -> hikari.File | hikari.Bytes | None:
        if isinstance(media, Artifact):
            return hikari.File(await stack.enter_async_context(self._errands.file(media)), spoiler=spoiler)
        seen = await self._errands.glimpse(media)
        return None if seen is None else hikari.Bytes(seen, glimpse_name(seen), spoiler=spoiler)
