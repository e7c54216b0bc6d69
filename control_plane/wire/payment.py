"""Tokens that are bought: what is offered, and payments that were made elsewhere and are credited here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.conduct import REASON_LENGTH_MAX
from control_plane.wire.job import Name

AMOUNT_MAX = 10**9

_NO_NUL = r"^[^\x00]*$"

ProviderName = Annotated[str, Meta(pattern=r"^[a-z_]{1,32}\Z")]
ProviderId = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*\Z")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class PackView(Message, frozen=True, kw_only=True):
    """Tokens that can be bought at once."""

    name: str
    tokens: int
    stars: int
    """What it costs in Telegram Stars (currency `XTR`)."""
    price_cents: int
    """What it costs elsewhere, in hundredths of `currency`."""
    currency: str


class PackList(Message, frozen=True, kw_only=True):
    data: list[PackView]
    """The smallest first."""


class PaymentRequest(Request, frozen=True, kw_only=True):
    """A payment that was made, as its provider tells it."""

    provider: ProviderName
    """Who took the money: `telegram_stars`."""
    provider_id: ProviderId
    """The provider's id of the payment; it is credited once."""
    pack: Name
    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    """In Stars, or in hundredths of the currency."""
    currency: Currency
    place: Annotated[str, Meta(max_length=64, pattern=_NO_NUL)] = ""
    """Where it was made, such as the name of a bot: who refunds it must know."""


class PaymentView(Message, frozen=True, kw_only=True):
    """A payment and what was credited for it."""

    id: UUID
    provider: str
    provider_id: str
    pack: str
    amount: int
    currency: str
    tokens: int
    state: Literal["credited", "refunded"]
    place: str
    payer: str | None
    """As whom the provider knows who paid: the subject of their identity there."""
    created_at: datetime
    refunded_at: datetime | None


class PaymentList(Message, frozen=True, kw_only=True):
    data: list[PaymentView]
    """The newest first."""


class RefundRequest(Request, frozen=True, kw_only=True):
    """Takes back what was credited for a payment; the money is given back by whoever took it."""

    provider: ProviderName
    provider_id: ProviderId
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX, pattern=_NO_NUL)] = ""
