"""Operations on chats in which several people order: their rules, and whether an order keeps to them.

A service tells of a chat and of who administers it; it may speak of the chats of its own providers only.
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.jobs import SUBMIT_PROBLEMS, permitted
from control_plane.api.operation import Call, Nothing, operation
from control_plane.conduct import chats
from control_plane.conduct.chats import Chat
from control_plane.errors import Forbidden, Invalid
from control_plane.jobs import desk
from control_plane.wire import Request
from control_plane.wire.chat import Admission, AdmitRequest, ChatRules, ChatView

SUBJECT_LENGTH_MAX = 128


class OrderQuery(Request, frozen=True, kw_only=True):
    key: Annotated[str, Meta(min_length=1, max_length=255)]
    """The Idempotency-Key of the order."""


@operation("GET", "/api/v1/chats/{provider:str}/{chat:str}", guard=guards.READ, answers={200: ChatView}, tag="Chats")
async def get_chat(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The rules of a chat, and what was ordered there today.

    Where nobody has made any, everybody may order, and no adult content.
    """
    return answers.json(await chats.view(call.context.database, _chat(call)))


@operation("PUT", "/api/v1/chats/{provider:str}/{chat:str}", guard=guards.LIVE, answers={200: ChatView}, tag="Chats")
async def set_chat(call: Call[Person, ChatRules, Nothing]) -> ASGIApp:
    """Make the rules of a chat. Only for those who administer it: the service that asks vouches for that."""
    chat, database = _chat(call), call.context.database
    await chats.set_rules(database, chat, call.body, call.who.user_id)
    return answers.json(await chats.view(database, chat))


@operation(
    "POST",
    "/api/v1/chats/{provider:str}/{chat:str}/orders",
    guard=guards.SUBMIT,
    answers={200: Admission},
    problems=SUBMIT_PROBLEMS,
    tag="Chats",
)
async def admit_order(call: Call[Person, AdmitRequest, Nothing]) -> ASGIApp:
    """Ask whether an order may be placed in a chat; one that may is counted by the chat's cap.

    Nothing is ordered yet. Ask with the Idempotency-Key of the order: asked twice, it counts once.
    """
    context, body = call.context, call.body
    quote = await desk.quote(context, call.who.user_id, permitted(call.who, body.order), by=call.who.key)
    return answers.json(await chats.admit(context.database, _chat(call), body, quote))


@operation(
    "DELETE",
    "/api/v1/chats/{provider:str}/{chat:str}/orders",
    guard=guards.SUBMIT,
    answers={204: None},
    tag="Chats",
)
async def give_back_order(call: Call[Person, Nothing, OrderQuery]) -> ASGIApp:
    """An order was not placed after all: the chat's cap does not count it. Repeating this changes nothing."""
    await chats.give_back(call.context.database, _chat(call), call.query.key)
    return answers.nothing()


def _chat(call: Call[Person, Any, Any]) -> Chat:
    """The chat of the path, if this service may speak of it. Raises `Forbidden`, `Invalid`."""
    provider, subject = call.path("provider"), call.path("chat")
    if provider not in call.who.key.providers:
        raise Forbidden("Only a service can speak of the chats of its providers.")
    if not 1 <= len(subject) <= SUBJECT_LENGTH_MAX or not subject.isprintable():
        raise Invalid.at("chat", f"A chat is named by 1 to {SUBJECT_LENGTH_MAX} characters.")
    return Chat(provider, subject)
