"""What is to be shown, done: each message under a number that its key gives, so however often it is sent it is one.

A message whose answer was lost is sent again under its number; Telegram refuses that when it has it already, and the
inbox finds which one it is. Text is sent as it is: nothing in it is markup, whatever was typed. Several files become
albums, of what Telegram lets stand together. Presses and payments are answered at once, everything else in the
outbox's time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from msgspec.structs import replace
from pyrogram.errors import RPCError
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from frontends.bots.dialogue.effects import Answer, Approve, Ask, Bill, Delete, Edit, Say, Shown
from frontends.bots.dialogue.events import Refusal, Sent, Unsent
from frontends.bots.dialogue.rendering import Face, face, plainly, questions
from frontends.bots.dialogue.screen import Media
from frontends.bots.dialogue.state import Scene
from frontends.bots.limits import TELEGRAM, cut, length
from frontends.bots.outbox import Outbox
from frontends.bots.refusal import BotRefused
from frontends.bots.telegram import reading, refusals
from frontends.bots.telegram.inbox import Inbox
from frontends.bots.telegram.layout import Part, entities, keyboard, laid_out, random_id
from frontends.bots.telegram.line import Line
from frontends.bots.telegram.media import Files
from frontends.problems import ClientError

SHOWN_MAX = 5_000
"""Messages of which it is remembered whether they have a picture."""
STARS = "XTR"
TITLE_LENGTH, TEXT_LENGTH, PLACEHOLDER_LENGTH = 32, 255, 64
"""Of a bill, and of what stands in an empty answer."""
DUPLICATE = "RANDOM_ID_DUPLICATE"

log = structlog.get_logger()


class Query(Protocol):
    """A call that sends something, once it has an address."""

    def __call__(self, *, peer: Any, random_id: int, reply_to: Any) -> Any: ...


class Hand:
    """Of one bot. `clock` is seconds since 1970."""

    def __init__(
        self, name: str, line: Line, inbox: Inbox, outbox: Outbox, files: Files, clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._line = line
        self._inbox = inbox
        self._outbox = outbox
        self._files = files
        self._clock = clock
        self._pictured: OrderedDict[tuple[str, str], bool] = OrderedDict()
        """Which messages have a picture, of those that were sent or changed lately."""
        self._previews: dict[tuple[str, str], Preview] = {}
        """That are still to be shown: the next edit takes its message's along, whichever that is."""

    async def perform(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """See `Skin.perform`."""
        key = effect.key if isinstance(effect, Say | Edit | Bill | Ask | Delete) else ""
        try:
            if isinstance(effect, Delete) and not await self._delete(scene, effect.message):
                return self._unsent(key, "gone")
            message = await self._shown(scene, effect, language)
        except RPCError as error:
            log.info("message.refused", bot=self._name, effect=type(effect).__name__, error=refusals.name(error))
            why = refusals.why(error)
            return self._unsent(key, "gone" if why == "blocked" and scene.group else why)
        except BotRefused:
            return self._unsent(key, "bot_gone")
        except ClientError as error:
            log.info("file.gone", bot=self._name, error=type(error).__name__)
            return self._unsent(key, "refused")
        return Sent(key=key, at=self._clock(), message=message) if key else None

    def _unsent(self, key: str, why: Refusal) -> Unsent | None:
        return Unsent(key=key, at=self._clock(), why=why) if key else None

    async def _shown(self, scene: Scene, effect: Shown, language: str) -> str:
        match effect:
            case Say():
                return await self._say(scene, effect, language)
            case Edit():
                return await self._edit(scene, effect, language)
            case Answer():
                await self._answer(effect, language)
            case Approve():
                await self._approve(effect, language)
            case Ask():
                return await self._ask(scene, effect, language)
            case Bill():
                return await self._bill(scene, effect, language)
        return ""

    # ------------------------------------------------------------------------------------------ at once

    async def _answer(self, answer: Answer, language: str) -> None:
        said = plainly(answer.said, language, TELEGRAM) if answer.said is not None else None
        text = cut(said, TELEGRAM.toast_length, TELEGRAM) if said else None
        await self._line.ask(fn.messages.SetBotCallbackAnswer(query_id=int(answer.press), cache_time=0, message=text))

    async def _approve(self, approval: Approve, language: str) -> None:
        refusal = plainly(approval.refusal, language, TELEGRAM) if approval.refusal is not None else None
        query = fn.messages.SetBotPrecheckoutResults(
            query_id=int(approval.checkout), success=True if refusal is None else None, error=refusal
        )
        await self._line.ask(query)

    async def _delete(self, scene: Scene, message: str) -> bool:
        """Whether anything went: what is too old stays, without an error."""
        self._outbox.drop(scene.chat, message)
        self._previews.pop((scene.chat, message), None)
        ids = [int(message)]
        query: Any = fn.messages.DeleteMessages(id=ids, revoke=True)
        if reading.is_channel(scene.chat):
            peer = await self._line.peer(scene.chat)
            channel = tl.InputChannel(channel_id=peer.channel_id, access_hash=peer.access_hash)
            query = fn.channels.DeleteMessages(channel=channel, id=ids)
        return bool((await self._line.ask(query)).pts_count)

    # ------------------------------------------------------------------------------------------ in their time

    async def _say(self, scene: Scene, effect: Say, language: str) -> str:
        shown = face(effect.card, language, TELEGRAM)
        parts = await self._parts(scene.chat, shown)
        message = ""
        for number, part in enumerate(parts):
            key = f"{effect.key}/{number}" if number else effect.key
            answered = effect.reply_to if number == 0 else ""
            message = await self._sent(scene, key, part.query, answered, weight=max(1, len(part.files)))
        self._note(scene.chat, message, bool(parts[-1].files))
        return message

    async def _parts(self, chat: str, shown: Face) -> list[Part]:
        """The messages that a card is."""
        files = [(media, await self._files.up(chat, media, spoiler=shown.spoiler)) for media in shown.media]
        return laid_out(shown, [(media, file) for media, file in files if file is not None])

    async def _ask(self, scene: Scene, effect: Ask, language: str) -> str:
        asked = questions(effect.form, language, TELEGRAM)[0]
        title = plainly(effect.form.title, language, TELEGRAM)
        text = "\n".join(part for part in (title, asked.label if asked.label != title else "", asked.value) if part)
        looks: list[Any] = []
        if asked.value:  # as code, it is copied by a touch, to be changed
            before, length = _units(text) - _units(asked.value), _units(asked.value)
            looks.append(tl.MessageEntityCode(offset=before, length=length))
        if scene.group and not effect.message:  # asks the person who is named, nobody else
            user = await self._user(scene.subject)
            named = tl.InputMessageEntityMentionName(offset=0, length=_units(title), user_id=user)
            looks.insert(0, named)
        placeholder = cut(asked.placeholder, PLACEHOLDER_LENGTH, TELEGRAM) or None
        markup = tl.ReplyKeyboardForceReply(selective=True, single_use=True, placeholder=placeholder)

        def query(**address: Any) -> Any:
            return fn.messages.SendMessage(
                **address, message=text, no_webpage=True, reply_markup=markup, entities=looks or None
            )

        return await self._sent(scene, effect.key, query, effect.message)

    async def _bill(self, scene: Scene, effect: Bill, language: str) -> str:
        title = cut(plainly(effect.title, language, TELEGRAM), TITLE_LENGTH, TELEGRAM)
        price = tl.LabeledPrice(label=title, amount=effect.stars)
        media = tl.InputMediaInvoice(
            title=title,
            description=cut(plainly(effect.text, language, TELEGRAM), TEXT_LENGTH, TELEGRAM),
            invoice=tl.Invoice(currency=STARS, prices=[price]),
            payload=effect.payload.encode(),
            provider_data=tl.DataJSON(data="{}"),
        )

        def query(**address: Any) -> Any:
            return fn.messages.SendMedia(**address, media=media, message="")

        return await self._sent(scene, effect.key, query, "")

    async def _edit(self, scene: Scene, effect: Edit, language: str) -> str:
        card, chat, place = effect.card, scene.chat, (scene.chat, effect.message)
        if card.media:
            self._previews[place] = Preview(card.media[0], card.spoiler)
        elif effect.key:
            self._previews.pop(place, None)
        pictured = place in self._previews or self._pictured.get(place, True)
        shown = face(
            card, language, replace(TELEGRAM, message_length=TELEGRAM.caption_length) if pictured else TELEGRAM
        )

        async def act() -> None:
            preview = self._previews.get(place)
            if preview is not None and preview.file is None:
                preview.file = await self._files.up(chat, preview.media, spoiler=preview.spoiler)
            query = fn.messages.EditMessage(
                peer=await self._line.peer(chat),
                id=int(effect.message),
                message=shown.text,
                entities=entities(shown),
                no_webpage=True,
                reply_markup=keyboard(shown.keys),
                media=preview.file if preview is not None else None,
            )
            try:
                await self._line.ask(query)
            except RPCError as error:
                if refusals.name(error) != "MESSAGE_NOT_MODIFIED":
                    raise
            if preview is not None and self._previews.get(place) is preview:
                del self._previews[place]
                if preview.file is not None:
                    self._note(chat, effect.message, True)

        await self._outbox.edit(chat, effect.message, act, group=scene.group, paced=not effect.key)
        return effect.message

    async def _sent(self, scene: Scene, key: str, query: Query, reply_to: str, *, weight: int = 1) -> str:
        """Sends something; the message that it is, or "" when nobody can say which."""
        number, chat = random_id(scene.chat, scene.subject, key), scene.chat
        answered = tl.InputReplyToMessage(reply_to_msg_id=int(reply_to)) if reply_to else None

        async def act() -> str:
            return await once(answered)

        async def once(reply: Any) -> str:
            peer = await self._line.peer(chat)
            try:
                return _id_of(await self._line.ask(query(peer=peer, random_id=number, reply_to=reply)), number)
            except RPCError as error:
                name = refusals.name(error)
                if name == DUPLICATE:
                    return str(await self._inbox.receipt(chat, number) or "")
                if name == "REPLY_MESSAGE_ID_INVALID" and reply is not None:
                    return await once(None)  # what it answers was deleted meanwhile
                raise

        return await self._outbox.send(chat, act, group=scene.group, weight=weight if scene.group else 1)

    async def _user(self, subject: str) -> Any:
        peer = await self._line.peer(subject)
        return tl.InputUser(user_id=peer.user_id, access_hash=peer.access_hash)

    def _note(self, chat: str, message: str, pictured: bool) -> None:
        self._pictured[chat, message] = pictured
        while len(self._pictured) > SHOWN_MAX:
            self._pictured.popitem(last=False)


@dataclass
class Preview:
    """What a job looks like in the middle of it."""

    media: Media
    spoiler: bool
    file: Any = None
    """Once it is uploaded."""


def _id_of(answer: Any, number: int) -> str:
    """Which message it has become."""
    if isinstance(answer, tl.UpdateShortSentMessage):
        return str(answer.id)
    told = getattr(answer, "updates", ())
    return next((str(one.id) for one in told if isinstance(one, tl.UpdateMessageID) and one.random_id == number), "")


def _units(text: str) -> int:
    """Length as Telegram counts it."""
    return length(text, TELEGRAM)
