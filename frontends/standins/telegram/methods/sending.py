"""Messages of a bot: text, files, albums, invoices."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.person import Invoice
from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import BOOL_TRUE
from frontends.standins.telegram.limits import (
    ALBUM_MAX,
    ALBUM_MIN,
    INVOICE_DESCRIPTION_MAX,
    INVOICE_PAYLOAD_BYTES_MAX,
    INVOICE_TITLE_MAX,
    Refusal,
    check_buttons,
    check_text,
)
from frontends.standins.telegram.messages import Message
from frontends.standins.telegram.places import Group, Place

STARS = "XTR"


async def text(call: Call) -> Any:
    request = call.request
    place = call.writable(request.peer)
    if not request.message.strip():
        raise Refusal(400, "MESSAGE_EMPTY", violation=True)
    check_text(request.message, caption=False)
    return await _send(call, place, [_draft(call, place, request)], [request.random_id])


async def media(call: Call) -> Any:
    request = call.request
    place = call.writable(request.peer)
    check_text(request.message, caption=True)
    message = _draft(call, place, request)
    if isinstance(request.media, tl.InputMediaInvoice):
        message.invoice = _invoice(request.media)
    else:
        message.file = call.telegram.files.sent(request.media, int(call.now))
        message.spoiler = bool(request.media.spoiler)
    return await _send(call, place, [message], [request.random_id])


async def album(call: Call) -> Any:
    request = call.request
    place = call.writable(request.peer)
    if not ALBUM_MIN <= len(request.multi_media) <= ALBUM_MAX:
        raise Refusal(400, "MULTI_MEDIA_TOO_LONG", violation=True)
    number, messages = call.telegram.next_id(), []
    for one in request.multi_media:
        check_text(one.message, caption=True)
        message = call.telegram.draft(place, bot=call.bot, text=one.message, entities=list(one.entities or []))
        message.file = call.telegram.files.sent(one.media, int(call.now))
        message.spoiler = bool(one.media.spoiler)
        message.album, message.reply_to = number, _reply(call, place)
        messages.append(message)
    return await _send(call, place, messages, [one.random_id for one in request.multi_media])


async def typing(call: Call) -> Any:
    call.writable(call.request.peer).actions.append(type(call.request.action).__name__)
    call.telegram.changes.tell()
    return BOOL_TRUE


async def react(call: Call) -> Any:
    message = call.message(call.request.msg_id)
    if message is None:
        raise Refusal(400, "MESSAGE_ID_INVALID")
    message.reactions = [reaction.emoticon for reaction in call.request.reaction or []]
    call.telegram.changes.tell(message)
    return call.telegram.updates(call.bot, [], [], message.place)


def _draft(call: Call, place: Place, request: Any) -> Message:
    check_buttons(request.reply_markup)
    message = call.telegram.draft(place, bot=call.bot, text=request.message, entities=list(request.entities or []))
    message.markup, message.reply_to = request.reply_markup, _reply(call, place)
    return message


def _reply(call: Call, place: Place) -> int | None:
    """The message that is replied to. Raises the refusal when it is not there."""
    wanted = getattr(call.request.reply_to, "reply_to_msg_id", None)
    if wanted is not None and not any(said.id == wanted and not said.deleted for said in place.messages):
        raise Refusal(400, "REPLY_MESSAGE_ID_INVALID")
    return wanted


def _invoice(media: Any) -> Invoice:
    prices = media.invoice.prices
    if not (1 <= len(media.title) <= INVOICE_TITLE_MAX and 1 <= len(media.description) <= INVOICE_DESCRIPTION_MAX):
        raise Refusal(400, "INVOICE_TITLE_INVALID", violation=True)
    if not 1 <= len(media.payload) <= INVOICE_PAYLOAD_BYTES_MAX:
        raise Refusal(400, "INVOICE_PAYLOAD_INVALID", violation=True)
    if media.invoice.currency != STARS or len(prices) != 1 or media.provider:
        raise Refusal(400, "STARS_INVOICE_INVALID", violation=True)
    return Invoice(media.title, media.description, STARS, prices[0].amount, media.payload)


async def _send(call: Call, place: Place, messages: list[Message], random_ids: list[int]) -> Any:
    call.once(*random_ids)
    try:
        call.spend(place, len(messages))
    except Refusal:
        call.bot.random_ids -= set(random_ids)
        raise
    kind = tl.UpdateNewChannelMessage if isinstance(place, Group) and place.supergroup else tl.UpdateNewMessage
    updates = []
    for message, random_id in zip(messages, random_ids, strict=True):
        await call.telegram.post(message)
        note = call.bot.note(message, kind, random_id)
        updates += [tl.UpdateMessageID(id=message.id, random_id=random_id), note]
    return call.telegram.updates(call.bot, updates, call.telegram.present(place), place)


METHODS: dict[str, Method] = {
    "messages.SendMessage": text,
    "messages.SendMedia": media,
    "messages.SendMultiMedia": album,
    "messages.SetTyping": typing,
    "messages.SendReaction": react,
}
