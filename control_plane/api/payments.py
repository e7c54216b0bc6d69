"""Operations on tokens: what can be bought, what was bought elsewhere, giving it back, and every one that moved.

This is also the seam for a processor of cards, which is not built. It would be one more service with a key of the scope
`payments`: it hears the processor's webhook, checks its signature, and calls `credit_payment` with a `provider` name of
its own, the processor's id of the charge, the pack, amount and currency. The id is unique by provider, so a webhook
that comes twice credits once; a chargeback is `refund_payment`. What is only begun there is no payment here: rows have
the states `credited` and `refunded`, since nothing is held for money that has not come.
"""

from __future__ import annotations

from typing import Annotated

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import audit, cursors
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.cursors import Cursor
from control_plane.errors import AlreadyCredited, Merged, NotFound
from control_plane.money import ledger, payments
from control_plane.wire import Request
from control_plane.wire.payment import PackList, PaymentList, PaymentRequest, PaymentView, RefundRequest
from control_plane.wire.user import LedgerLine, LedgerList

CACHE = "public, max-age=5"
LINES_DEFAULT, LINES_MAX = 30, 200


class LedgerQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=LINES_MAX)] = LINES_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before; absent for the newest lines."""


@operation("GET", "/api/v1/packs", guard=guards.PUBLIC, answers={200: PackList}, tag="Payments")
async def list_packs(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The packs of tokens that can be bought."""
    return answers.json(PackList(data=await call.context.database.many(payments.PACKS)), cache=CACHE)


@operation("GET", "/api/v1/payments", guard=guards.READ, answers={200: PaymentList}, tag="Payments")
async def list_payments(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """What you have paid, the newest first."""
    return answers.json(PaymentList(data=await payments.of_user(call.context.database, call.who.user_id)))


@operation("GET", "/api/v1/user/ledger", guard=guards.READ, answers={200: LedgerList}, tag="Payments")
async def list_ledger(call: Call[Person, Nothing, LedgerQuery]) -> ASGIApp:
    """Every token of yours that came, was put aside, was charged or came back, the newest first."""
    context, user_id, query = call.context, call.who.user_id, call.query
    keys, scope = context.signing_keys, ("ledger", user_id)
    before = int(cursors.unseal(keys, query.cursor, *scope)) if query.cursor is not None else None
    found = await ledger.page(context.database, user_id, before=before, most=query.limit + 1)
    lines, more = found[: query.limit], len(found) > query.limit
    sealed = cursors.seal(keys, str(lines[-1].id).encode(), *scope) if more else None
    return answers.json(LedgerList(data=[_line(line) for line in lines], has_more=more, next_cursor=sealed))


@operation(
    "POST",
    "/api/v1/payments",
    guard=guards.TELLER,
    answers={201: PaymentView, 200: PaymentView},
    problems=(AlreadyCredited, Merged),
    tag="Payments",
)
async def credit_payment(call: Call[Person, PaymentRequest, Nothing]) -> ASGIApp:
    """Tell of a payment that a provider took from the person you act for; its tokens are credited once.

    201 when they were credited just now, 200 when they had been already: repeating this is harmless.
    """
    identity, actor = guards.acted_for(call.request), audit.service(call.who.key.id)
    payer = identity.subject if identity is not None else None
    payment, fresh = await payments.credit(call.context.database, call.who.user_id, call.body, payer, actor)
    return answers.json(payment, status=201 if fresh else 200)


@operation(
    "POST",
    "/api/v1/admin/payments/refund",
    guard=guards.OPERATOR,
    answers={200: PaymentView},
    problems=(NotFound, Merged),
    tag="Operator",
)
async def refund_payment(call: Call[Person, RefundRequest, Nothing]) -> ASGIApp:
    """Take back what was credited for a payment; who took the money gives it back.

    The account may fall below zero: then nothing new can be ordered until that is made up for. Repeating this changes
    nothing.
    """
    body, actor = call.body, audit.user(call.who.user_id)
    row = await payments.refund(call.context.database, body.provider, body.provider_id, body.reason, actor)
    return answers.json(payments.shown(row))


def _line(line: ledger.Line) -> LedgerLine:
    return LedgerLine(
        id=line.id,
        at=line.created_at,
        kind=line.kind,
        amount=ledger.signed(line),
        words=ledger.in_words(line),
        job_id=line.job_id,
        purchased=line.purchased,
        held=line.held,
    )
