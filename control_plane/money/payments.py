"""Payments that were made elsewhere: credited exactly once by the provider's id, and taken back by it.

A payment and its grant are one transaction, and the provider's id is unique: told twice, by whichever process, it is
credited once. What is credited follows from the pack at its price now, in proportion to what was paid, so a price that
changed between the bill and the payment neither cheats anybody nor refuses money that was taken already. A refund is a
correction of what the payer has now, below zero if need be.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import AlreadyCredited, Invalid, Merged, NotFound
from control_plane.money.ledger import ADJUST, GRANT
from control_plane.wire.payment import PackView, PaymentRequest, PaymentView

STARS = "XTR"
PAGE_MAX = 100

log = structlog.get_logger()


class PaymentRow(PaymentView, frozen=True, kw_only=True):
    """A payment, and whose it is now."""

    user_id: UUID


PACKS = Query("payments.packs", PackView)
PACK = Query("payments.pack", PackView)
SET_PACK = Query("payments.set_pack", str)
ADD = Query("payments.add", UUID)
FIND = Query("payments.find", PaymentRow)
REFUND = Query("payments.refund", UUID)
OF_USER = Query("payments.of_user", PaymentRow)
NOTE_UNMATCHED: Query[None] = Query("payments.note_unmatched")
MATCHED: Query[None] = Query("payments.matched")


async def set_pack(
    database: Database,
    name: str,
    *,
    tokens: int,
    stars: int,
    price_cents: int,
    currency: str,
    hidden: bool,
    actor: Actor,
) -> None:
    """Offers a pack, changes it, or (`hidden`) takes it off; what was paid for it is still credited."""
    detail = {"tokens": tokens, "stars": stars, "price_cents": price_cents, "currency": currency, "hidden": hidden}
    async with database.transaction() as connection:
        await SET_PACK.one(connection, {"name": name, **detail})
        await audit.record(connection, actor, "set", ("pack", name), detail)


async def credit(
    database: Database, user_id: UUID, paid: PaymentRequest, payer: str | None, actor: Actor
) -> tuple[PaymentView, bool]:
    """The payment as it stands, and whether it was credited just now.

    Raises `Invalid` for a pack or a currency that is none and for less than a token, `AlreadyCredited` when somebody
    else has it; the operator is told, since the money is taken. Raises `Merged` when the account has just become part
    of another: nothing is written then, and it is to be told again."""
    named = {"provider": paid.provider, "provider_id": paid.provider_id}
    try:
        return await _credited(database, user_id, paid, payer, actor)
    except (Invalid, AlreadyCredited) as error:
        await database.run(NOTE_UNMATCHED, {**named, "user_id": user_id, "reason": error.slug})
        raise


async def _credited(
    database: Database, user_id: UUID, paid: PaymentRequest, payer: str | None, actor: Actor
) -> tuple[PaymentView, bool]:
    named = {"provider": paid.provider, "provider_id": paid.provider_id}
    async with database.transaction() as connection:
        tokens = _worth(await PACK.one(connection, {"name": paid.pack}), paid)
        given = {"user_id": user_id, **named, "pack": paid.pack, "amount": paid.amount, "currency": paid.currency}
        payment_id = await ADD.one(connection, given | {"tokens": tokens, "place": paid.place, "payer": payer})
        if payment_id is not None:
            reason = f"payment {paid.provider}"
            if await GRANT.one(connection, {"user_id": user_id, "amount": tokens, "reason": reason}) is None:
                raise Merged("This account has just become part of another one. Tell it again.", retry_after=1)
        if payment_id is not None:
            await audit.record(connection, actor, "credit", ("payment", payment_id), {"tokens": tokens})
            await MATCHED.run(connection, named)
        found = await _found(connection, named)
    if found.user_id != user_id:
        raise AlreadyCredited("This payment has been credited to another account.")
    if payment_id is not None:
        log.info("payment.credited", user_id=user_id, payment_id=payment_id, provider=paid.provider, tokens=tokens)
    return shown(found), payment_id is not None


async def refund(database: Database, provider: str, provider_id: str, reason: str, actor: Actor) -> PaymentRow:
    """Takes back what was credited, once; idempotent. Raises `NotFound`, `Merged`.

    A payment that nobody has told of yet is refused, since whoever asked must not give the money back before tokens can
    be taken; that it was asked is written down, so that a payment which comes later is not forgotten."""
    named = {"provider": provider, "provider_id": provider_id}
    try:
        return await _refunded(database, named, reason, actor)
    except NotFound:
        detail = {"provider": provider, "reason": reason}
        await audit.record(database, actor, "refund_unknown", ("payment", provider_id), detail)
        log.warning("payment.refund_unknown", provider=provider, provider_id=provider_id)
        raise


async def _refunded(database: Database, named: dict[str, str], reason: str, actor: Actor) -> PaymentRow:
    async with database.transaction() as connection:
        found = await _found(connection, named)
        if await REFUND.one(connection, {"payment_id": found.id}) is not None:
            why = f"refund {named['provider']}"
            taken = {"user_id": found.user_id, "amount": -found.tokens, "reason": why}
            if found.tokens and await ADJUST.one(connection, taken) is None:
                raise Merged("The payer's account has just become part of another one. Try again.", retry_after=1)
            await audit.record(connection, actor, "refund", ("payment", found.id), {"reason": reason})
            log.info("payment.refunded", user_id=found.user_id, payment_id=found.id, tokens=found.tokens)
        return await _found(connection, named)


async def of_user(database: Database, user_id: UUID) -> list[PaymentView]:
    """What a user has paid, the newest first."""
    return [shown(row) for row in await database.many(OF_USER, {"user_id": user_id, "most": PAGE_MAX})]


def shown(row: PaymentRow) -> PaymentView:
    return PaymentView(**{name: getattr(row, name) for name in PaymentView.__struct_fields__})


async def _found(connection: AsyncConnection[Any], named: dict[str, str]) -> PaymentRow:
    found = await FIND.one(connection, named)
    if found is None:
        raise NotFound("There is no such payment.")
    return found


def _worth(pack: PackView | None, paid: PaymentRequest) -> int:
    """Tokens for what was paid: those of the pack for its price, else in proportion, rounded down."""
    if pack is None:
        raise Invalid.at("/pack", "There is no such pack. GET /api/v1/packs lists those that are offered.", "unknown")
    if paid.currency not in (STARS, pack.currency):
        raise Invalid.at("/currency", f"This pack is paid in {STARS} or {pack.currency}.", "unknown")
    price = pack.stars if paid.currency == STARS else pack.price_cents
    worth = pack.tokens * paid.amount // price
    if worth < 1:
        raise Invalid.at("/amount", "This is worth less than one token of the pack.", "out_of_range")
    return worth
