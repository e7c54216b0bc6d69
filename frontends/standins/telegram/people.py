"""A person on Telegram: what they do reaches the bots as updates, what they see is the chat as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyrogram.raw import types as tl

from frontends.standins import person as words
from frontends.standins import seeing
from frontends.standins.person import WITHIN_SECONDS, Answer, Button, Form
from frontends.standins.telegram.bots import Charge, Query
from frontends.standins.telegram.layer import only_known
from frontends.standins.telegram.limits import CHECKOUT_SECONDS
from frontends.standins.telegram.messages import Message
from frontends.standins.telegram.places import Group, Place, Private
from frontends.standins.telegram.texts import command_entities

if TYPE_CHECKING:
    from frontends.standins.telegram.telegram import Telegram


class Declined(AssertionError):
    """The bot refused a checkout, and said why."""


@dataclass(eq=False)
class Person:
    telegram: Telegram
    id: int
    name: str
    language: str

    async def says(
        self, text: str, *, to: words.Bot, where: words.Place | None = None, reply_to: words.Message | None = None
    ) -> Message:
        place = self._place(to, where)
        message = self.telegram.draft(place, person=self, text=text, entities=command_entities(text))
        message.reply_to = reply_to.id if reply_to else None
        await self.telegram.post(message)
        return message

    async def starts(self, bot: words.Bot, parameter: str = "") -> Message:
        """Open the chat by its link (t.me/name?start=parameter) and press Start."""
        self.telegram.chat(self, bot).blocked = False
        return await self.says(f"/start {parameter}".rstrip(), to=bot)

    async def sends_photo(
        self,
        photo: bytes,
        caption: str = "",
        *,
        to: words.Bot,
        where: words.Place | None = None,
        reply_to: words.Message | None = None,
        name: str = "photo.jpg",
    ) -> Message:
        telegram = self.telegram
        message = telegram.draft(self._place(to, where), person=self, text=caption, entities=command_entities(caption))
        message.reply_to = reply_to.id if reply_to else None
        message.file = telegram.files.photo(name, photo, int(telegram.clock.now()))
        await telegram.post(message)
        return message

    async def sends_file(self, data: bytes, name: str, mime_type: str, caption: str = "", *, to: words.Bot) -> Message:
        """A picture or anything else as a file, unchanged."""
        message = self.telegram.draft(self._place(to, None), person=self, text=caption)
        named = [tl.DocumentAttributeFilename(file_name=name)]
        message.file = self.telegram.files.document(name, mime_type, data, named, int(self.telegram.clock.now()))
        await self.telegram.post(message)
        return message

    async def presses(self, button: Button, choice: str = "", *, within: float = WITHIN_SECONDS) -> Answer:
        message = self._own(button.message)
        assert button in [one for row in message.buttons for one in row], f"{button.label!r} is gone by now"
        if button.kind != "press":
            return Answer(url=button.url or None)
        update = only_known(
            tl.UpdateBotCallbackQuery,
            query_id=self.telegram.next_id(),
            user_id=self.id,
            peer=message.place.peer(),
            msg_id=message.id,
            chat_instance=message.place.id * 31,
            data=button.data.encode(),
        )
        query = await self._asks(update, message, within)
        assert query.answer is not None
        return query.answer

    async def answers(
        self, question: words.Message | Form, text: str, *, within: float = WITHIN_SECONDS, **fields: str
    ) -> Answer:
        assert isinstance(question, Message), "Telegram has no forms"
        assert question.bot is not None
        assert not fields, "Telegram has no forms"
        await self.says(text, to=question.bot, where=question.place, reply_to=question)
        return Answer()

    async def reacts(self, message: words.Message, emoji: str) -> None:
        own = self._own(message)
        assert own.bot is not None
        update = tl.UpdateBotMessageReaction(
            peer=own.place.peer(),
            msg_id=own.id,
            date=int(self.telegram.clock.now()),
            actor=tl.PeerUser(user_id=self.id),
            old_reactions=[],
            new_reactions=[tl.ReactionEmoji(emoticon=emoji)],
            qts=self.telegram.next_id(),
        )
        await own.bot.push([update], [self], own.place)

    async def pays(self, message: words.Message, *, within: float = CHECKOUT_SECONDS) -> str:
        """Pay the invoice with Stars: the bot is asked, then told. Returns the charge's id; raises `Declined`."""
        own = self._own(message)
        invoice, bot = own.invoice, own.bot
        assert invoice is not None, "there is nothing to pay"
        assert bot is not None
        update = only_known(
            tl.UpdateBotPrecheckoutQuery,
            query_id=self.telegram.next_id(),
            user_id=self.id,
            payload=invoice.payload,
            currency=invoice.currency,
            total_amount=invoice.amount,
        )
        query = await self._asks(update, own, within)
        if query.declined is not None:
            raise Declined(query.declined)
        own.invoice = replace(invoice, paid=True)
        charge = f"charge-{update.query_id}"
        bot.charges[charge] = Charge(self, own.place, invoice.amount, invoice.payload)
        paid = only_known(
            tl.MessageActionPaymentSentMe,
            currency=invoice.currency,
            total_amount=invoice.amount,
            payload=invoice.payload,
            charge=tl.PaymentCharge(id=charge, provider_charge_id=charge),
        )
        await self.telegram.post(self.telegram.draft(own.place, person=self, action=paid))
        return charge

    async def blocks(self, bot: words.Bot) -> None:
        await self._stops(bot, True)

    async def unblocks(self, bot: words.Bot) -> None:
        await self._stops(bot, False)

    async def sees(
        self,
        what: str | Callable[[words.Message], object],
        *,
        by: words.Bot | None = None,
        where: words.Place | None = None,
        after: words.Message | None = None,
        within: float = WITHIN_SECONDS,
    ) -> Message:
        found = await seeing.until(self, self.telegram.changes, what, by, where, after, within)
        assert isinstance(found, Message)
        return found

    def may_see(self, message: words.Message) -> bool:
        place = message.place
        return self in place.people if isinstance(place, Group) else isinstance(place, Private) and place.person is self

    def messages(self, *, by: words.Bot | None = None, where: words.Place | None = None) -> list[words.Message]:
        places: list[Place] = [bot.chats[self.id] for bot in self.telegram.bots.values() if self.id in bot.chats]
        places += self.telegram.places(self)
        return seeing.shown(self, places, by, where)

    def to_tl(self) -> Any:
        return only_known(
            tl.User, id=self.id, access_hash=self.access_hash, first_name=self.name, lang_code=self.language
        )

    @property
    def access_hash(self) -> int:
        return self.id * 1_000_003

    async def _asks(self, update: Any, message: Message, within: float) -> Query:
        """Send a query and wait for its answer."""
        assert message.bot is not None
        query = message.bot.queries[update.query_id] = Query(self.telegram.clock.now())
        await message.bot.push([update], [self], message.place)
        await self.telegram.changes.until(
            lambda: query.answer, within, lambda: f"{message.bot and message.bot.name} did not answer"
        )
        return query

    async def _stops(self, bot: words.Bot, stopped: bool) -> None:
        chat = self.telegram.chat(self, bot)
        chat.blocked = stopped
        update = tl.UpdateBotStopped(
            user_id=self.id, date=int(self.telegram.clock.now()), stopped=stopped, qts=self.telegram.next_id()
        )
        await chat.bot.push([update], [self], chat)

    def _place(self, bot: words.Bot, where: words.Place | None) -> Place:
        if where is None:
            return self.telegram.chat(self, bot)
        assert isinstance(where, Private | Group)
        return where

    def _own(self, message: words.Message) -> Message:
        assert isinstance(message, Message)
        assert not message.deleted, "the message was deleted"
        return message
