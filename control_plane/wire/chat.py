"""Chats in which several people order: what their own administrators allow there."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.job import Name, SubmitRequest
from control_plane.wire.model import Refusal

MODELS_MAX = 20
DAILY_CAP_MAX = 2**31 - 1


class ChatRules(Request, frozen=True, kw_only=True):
    """What holds in a chat beside everything that holds anyway."""

    who: Literal["everyone", "admins"] = "everyone"
    """Who may order there."""
    models: Annotated[list[Name], Meta(min_length=1, max_length=MODELS_MAX)] | None = None
    """Only these; absent: all."""
    safe_only: bool = True
    """No adult content."""
    shares: bool = False
    """Whether everybody may press the buttons under anybody's results."""
    daily_cap: Annotated[int, Meta(ge=1, le=DAILY_CAP_MAX)] | None = None
    """Tokens that may be ordered there in a day (UTC) by all together; absent: any number."""


class ChatView(Message, frozen=True, kw_only=True):
    """A chat with its rules and what was ordered there today."""

    rules: ChatRules
    ordered_today: int
    """Tokens."""


class AdmitRequest(Request, frozen=True, kw_only=True):
    """An order that is about to be placed in a chat."""

    order: SubmitRequest
    key: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]*\Z")]
    """The Idempotency-Key of the order: asked twice, it counts once."""
    is_admin: bool = False
    """Whether the person is an administrator of the chat."""
    adult_allowed: bool = False
    """Whether the platform lets adult content be shown there."""


class Admission(Message, frozen=True, kw_only=True):
    """Whether an order may be placed in a chat. One that may is counted by the chat's cap until it is given back."""

    cost: int
    adult: bool
    """Whether it asks for adult content: shown covered, if at all."""
    refusal: Refusal | None
    """Absent: go on."""
    left: int | None
    """Of the chat's cap, after this order; absent without a cap."""
