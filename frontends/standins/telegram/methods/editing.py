"""Changing, deleting and reading messages."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import only_known, same, unbare
from frontends.standins.telegram.limits import DELETE_SECONDS, Refusal, check_buttons, check_text
from frontends.standins.telegram.messages import Message
from frontends.standins.telegram.places import Group


async def edit(call: Call) -> Any:
    request = call.request
    place = call.writable(request.peer)
    message = call.message(request.id)
    if message is None or message.bot is not call.bot or message.place is not place:
        raise Refusal(400, "MESSAGE_ID_INVALID")
    text = message.text if request.message is None else request.message
    entities = message.entities if request.message is None else list(request.entities or [])
    check_text(text, caption=bool(message.file or request.media))
    check_buttons(request.reply_markup)
    if not request.media and text == message.text and same(request.reply_markup, message.markup):
        raise Refusal(400, "MESSAGE_NOT_MODIFIED")
    call.spend(place)
    if request.media:
        message.file = call.telegram.files.sent(request.media, int(call.now))
        message.spoiler = bool(request.media.spoiler)
    _change(message, text, entities, request.reply_markup, call.now)
    call.telegram.changes.tell(message)
    kind = tl.UpdateEditChannelMessage if isinstance(place, Group) and place.supergroup else tl.UpdateEditMessage
    return call.telegram.updates(call.bot, [call.bot.note(message, kind)], call.telegram.present(place), place)


def _change(message: Message, text: str, entities: list[Any], markup: Any, now: float) -> None:
    message.edits.append(message.text)
    message.text, message.entities, message.markup, message.edited_at = text, entities, markup, now


async def delete(call: Call) -> Any:
    """Own messages, and in private the person's: while they are young. What is gone already is passed over."""
    found = [message for message in map(call.message, call.request.id) if message is not None]
    for message in found:
        mine = message.bot is call.bot or message.place.private
        if not mine and not (isinstance(message.place, Group) and call.bot.id in message.place.admins):
            raise Refusal(403, "MESSAGE_DELETE_FORBIDDEN")
        if call.now - message.at > DELETE_SECONDS:
            raise Refusal(403, "MESSAGE_DELETE_FORBIDDEN")
    for message in found:
        message.deleted = True
        call.telegram.changes.tell(message)
    call.bot.pts += len(found)
    return tl.messages.AffectedMessages(pts=call.bot.pts, pts_count=len(found))


async def get(call: Call) -> Any:
    wanted = [unbare(one).id for one in call.request.id]
    found = [(id, call.message(id)) for id in wanted]
    places = dict.fromkeys(message.place for _, message in found if message)
    people = dict.fromkeys(person for place in places for person in call.telegram.present(place))
    return only_known(
        tl.messages.Messages,
        messages=[message.to_tl(call.bot) if message else only_known(tl.MessageEmpty, id=id) for id, message in found],
        topics=[],
        chats=[place.to_tl() for place in places if isinstance(place, Group)],
        users=[call.bot.to_tl(), *(person.to_tl() for person in people)],
    )


METHODS: dict[str, Method] = {
    "messages.EditMessage": edit,
    "messages.DeleteMessages": delete,
    "messages.GetMessages": get,
    "channels.DeleteMessages": delete,
    "channels.GetMessages": get,
}
