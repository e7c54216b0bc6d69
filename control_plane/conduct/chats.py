"""Chats in which several people order: rules made by the chat's own administrators, beside those of the service.

Who is an administrator of a chat only its platform knows, so the service that asks vouches for it. An order is asked
for before it is placed; what it costs is counted by the chat's cap under the key of the order, once however often it is
asked for, and given back when it was not placed after all.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import ChatForbids, TesseraError
from control_plane.wire.chat import Admission, AdmitRequest, ChatRules, ChatView
from control_plane.wire.model import Quote, Refusal

RULES = Query("chats.rules", dict[str, Any])
SET_RULES = Query("chats.set_rules", str)
ORDERED = Query("chats.ordered", int)
HOLD_STILL: Query[None] = Query("chats.hold_still")
FORGET: Query[None] = Query("chats.forget")
COUNT = Query("chats.count", int)
GIVE_BACK: Query[None] = Query("chats.give_back")


class Chat(msgspec.Struct, frozen=True):
    """A group, a server or a channel, as its platform calls it."""

    provider: str
    subject: str


async def view(database: Database, chat: Chat) -> ChatView:
    """The rules of a chat, and what was ordered there today."""
    ordered = await database.one(ORDERED, _named(chat)) or 0
    return ChatView(rules=await rules(database, chat), ordered_today=ordered)


async def rules(database: Database, chat: Chat) -> ChatRules:
    """What holds in a chat; the default where nobody has said anything."""
    found = await database.one(RULES, _named(chat))
    return ChatRules() if found is None else msgspec.convert(found, ChatRules)


async def set_rules(database: Database, chat: Chat, wanted: ChatRules, user_id: UUID) -> None:
    """Makes the rules of a chat."""
    body = msgspec.json.encode(wanted).decode()
    await database.one(SET_RULES, {**_named(chat), "rules": body, "user_id": user_id})


async def admit(database: Database, chat: Chat, asked: AdmitRequest, quote: Quote) -> Admission:
    """Whether an order may be placed in a chat; counted by its cap if so."""
    found = await rules(database, chat)
    refusal = _refused(found, asked, quote) or quote.refusal
    left: int | None = None
    if refusal is None and found.daily_cap is not None:
        left = await _counted(database, chat, asked.key, quote.cost, found.daily_cap)
        if left is None:
            said = f"All {found.daily_cap} tokens that may be ordered here in a day are used, or nearly so."
            refusal = _told(ChatForbids(said))
    return Admission(cost=quote.cost, adult=quote.adult, refusal=refusal, left=left)


async def give_back(database: Database, chat: Chat, key: str) -> None:
    """An order was not placed after all. Idempotent."""
    await database.run(GIVE_BACK, {**_named(chat), "key": key})


async def _counted(database: Database, chat: Chat, key: str, cost: int, cap: int) -> int | None:
    """What is left of the cap after this order; None when it does not fit."""
    named = _named(chat)
    async with database.transaction() as connection:
        await HOLD_STILL.run(connection, named)
        await FORGET.run(connection, named)
        before = await COUNT.one(connection, {**named, "key": key, "tokens": cost, "cap": cap})
    return None if before is None else cap - before - cost


def _refused(found: ChatRules, asked: AdmitRequest, quote: Quote) -> Refusal | None:
    if found.who == "admins" and not asked.is_admin:
        return _told(ChatForbids("Only administrators may order in this chat."))
    if found.models is not None and quote.spec.model not in found.models:
        return _told(ChatForbids(f"In this chat only these models may be used: {', '.join(found.models)}."))
    if quote.adult and (found.safe_only or not asked.adult_allowed):
        return _told(ChatForbids("No adult content is made in this chat."))
    return None


def _told(error: TesseraError) -> Refusal:
    return Refusal(code=error.slug, status=error.status, detail=error.detail)


def _named(chat: Chat) -> dict[str, str]:
    return {"provider": chat.provider, "subject": chat.subject}
