"""What Telegram tells, as plain data: who said, pressed or paid what, where, and in answer to which message.

Pure: nothing is asked here. Only new messages of people, presses, and payments concern a bot; the rest is None. Ids of
chats are as bots know them: people above zero, groups below. A picture of several in one message is heard when it
carries the words, or is the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from pyrogram.raw import types as tl

from frontends.bots.dialogue.events import Picture

CHANNELS = -1_000_000_000_000
"""Large groups (channels, in Telegram's schema) are numbered downward from here."""
COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]+))?(?:\s+|\Z)", re.ASCII)

People = Mapping[int, Any]
"""Whom an update names, by their ids."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person did."""

    id: str
    """Of Telegram, the same when it is told twice."""
    chat: str
    user: str
    language: str = ""
    """As the person's client says."""

    @property
    def group(self) -> bool:
        return self.chat != self.user


class Words(Heard, frozen=True, kw_only=True):
    """A message."""

    number: int
    text: str
    picture: Picture | None = None
    reply_to: int | None = None
    mentions: tuple[str, ...] = ()
    """Ids of those whom it names without a username."""
    album: int | None = None


class Press(Heard, frozen=True, kw_only=True):
    """A button."""

    payload: str
    number: int
    """Of the message under which it stands."""


class Purchase(Heard, frozen=True, kw_only=True):
    """Somebody is about to pay, or (with a `charge`) has paid."""

    payload: str
    amount: int
    currency: str
    charge: str = ""


def people_of(told: Any) -> People:
    return {user.id: user for user in told.users}


def read(update: Any, people: People) -> Heard | None:
    """What of an update concerns a bot."""
    match update:
        case tl.UpdateNewMessage() | tl.UpdateNewChannelMessage():
            return message(update.message, people)
        case tl.UpdateBotCallbackQuery() if update.data is not None:
            return Press(
                id=str(update.query_id),
                chat=chat_id(update.peer),
                user=str(update.user_id),
                language=_language(people, update.user_id),
                payload=update.data.decode("utf-8", "replace"),
                number=update.msg_id,
            )
        case tl.UpdateBotPrecheckoutQuery():
            return Purchase(
                id=str(update.query_id),
                chat=str(update.user_id),
                user=str(update.user_id),
                language=_language(people, update.user_id),
                payload=update.payload.decode("utf-8", "replace"),
                amount=update.total_amount,
                currency=update.currency,
            )
        case _:
            return None


def message(said: Any, people: People) -> Heard | None:
    """A new message, when it is a person's."""
    user = _author(said)
    if user is None or said.out or getattr(people.get(user), "bot", False):
        return None
    chat = chat_id(said.peer_id)
    who = {"id": f"{chat}.{said.id}", "chat": chat, "user": str(user), "language": _language(people, user)}
    if isinstance(said, tl.MessageService):
        return _paid(said.action, who)
    return Words(
        **who,
        number=said.id,
        text=said.message or "",
        picture=picture(said),
        reply_to=replied(said),
        mentions=tuple(str(one.user_id) for one in said.entities or [] if isinstance(one, tl.MessageEntityMentionName)),
        album=said.grouped_id,
    )


def picture(said: Any) -> Picture | None:
    """The picture in a message, by where it can be fetched again: links to files end, messages do not."""
    media, reference = said.media, f"{chat_id(said.peer_id)}/{said.id}"
    if isinstance(media, tl.MessageMediaPhoto) and isinstance(media.photo, tl.Photo):
        return Picture(reference=reference, mime_type="image/jpeg")
    if isinstance(media, tl.MessageMediaDocument) and isinstance(media.document, tl.Document):
        document = media.document
        if document.mime_type.startswith("image/"):
            return Picture(reference=reference, bytes=document.size, mime_type=document.mime_type)
    return None


def replied(said: Any) -> int | None:
    """The message that another one answers; in a forum a message that only stands in a topic answers none."""
    header = said.reply_to
    if not isinstance(header, tl.MessageReplyHeader) or (header.forum_topic and not header.reply_to_top_id):
        return None
    number: int | None = header.reply_to_msg_id
    return number


def payloads(said: Any) -> list[str]:
    """What the buttons under a message carry."""
    rows = said.reply_markup.rows if isinstance(said.reply_markup, tl.ReplyInlineMarkup) else []
    buttons = [button.type for row in rows for button in row.buttons]
    return [one.data.decode("utf-8", "replace") for one in buttons if isinstance(one, tl.InlineButtonTypeCallback)]


def command(text: str) -> tuple[str, str, str] | None:
    """The name of a command, the bot that it is for (if it says so), and what comes after."""
    found = COMMAND.match(text)
    return (found[1].lower(), (found[2] or "").lower(), text[found.end() :]) if found else None


def without_name(text: str, username: str) -> tuple[str, bool]:
    """A text without the bot's name in it, and whether it was there."""
    name = re.compile(rf"(?<!\w)@{re.escape(username)}(?!\w)[,:]?[ \t]*", re.IGNORECASE | re.ASCII)
    shorter, times = name.subn("", text)
    return shorter.strip(), times > 0


# ---------------------------------------------------------------------------------------------- chats and stories


def chat_id(peer: Any) -> str:
    if isinstance(peer, tl.PeerUser):
        return str(peer.user_id)
    if isinstance(peer, tl.PeerChat):
        return str(-peer.chat_id)
    return str(CHANNELS - peer.channel_id)


def is_channel(chat: str) -> bool:
    return int(chat) < CHANNELS


def channel_of(chat: str) -> int:
    """The number of a large group in Telegram's schema."""
    return CHANNELS - int(chat)


def story_of_channel(channel_id: int) -> int:
    return CHANNELS - channel_id


def story_of(update: Any) -> int:
    """Whose numbers an update counts: a large group's, or (0) those of the account."""
    peer = getattr(getattr(update, "message", None), "peer_id", None)
    channel = getattr(peer, "channel_id", None) or getattr(update, "channel_id", None)
    return story_of_channel(channel) if channel else 0


def _author(said: Any) -> int | None:
    """The person; None for channels, and for administrators who stay unnamed."""
    if not isinstance(said, tl.Message | tl.MessageService) or getattr(said, "post", False):
        return None
    peer = said.from_id or said.peer_id
    return peer.user_id if isinstance(peer, tl.PeerUser) else None


def _language(people: People, user: int) -> str:
    return getattr(people.get(user), "lang_code", None) or ""


def _paid(action: Any, who: dict[str, str]) -> Purchase | None:
    if not isinstance(action, tl.MessageActionPaymentSentMe):
        return None
    return Purchase(
        **who,
        payload=action.payload.decode("utf-8", "replace"),
        amount=action.total_amount,
        currency=action.currency,
        charge=action.charge.id,
    )
