"""Answers to presses and checkouts; Stars that were paid and go back."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.person import Answer
from frontends.standins.telegram.bots import Query
from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import BOOL_TRUE, only_known
from frontends.standins.telegram.limits import (
    CALLBACK_ANSWER_CHARACTERS_MAX,
    CALLBACK_SECONDS,
    CHECKOUT_SECONDS,
    Refusal,
)


async def press(call: Call) -> Any:
    request = call.request
    if len(request.message or "") > CALLBACK_ANSWER_CHARACTERS_MAX:
        raise Refusal(400, "MESSAGE_TOO_LONG", violation=True)
    query = _open(call, CALLBACK_SECONDS)
    query.answer = Answer(request.message or None, bool(request.alert), request.url)
    call.telegram.changes.tell()
    return BOOL_TRUE


async def checkout(call: Call) -> Any:
    query = _open(call, CHECKOUT_SECONDS)
    query.declined = None if call.request.success else call.request.error or ""
    query.answer = Answer(query.declined)
    call.telegram.changes.tell()
    return BOOL_TRUE


def _open(call: Call, seconds: float) -> Query:
    """The query that is answered, once and in time. Too late is a violation."""
    query = call.bot.queries.get(call.request.query_id)
    late = query is not None and call.now - query.at > seconds
    if query is None or late or query.answer is not None:
        raise Refusal(400, "QUERY_ID_INVALID", violation=late)
    return query


async def refund(call: Call) -> Any:
    charge = call.bot.charges.get(call.request.charge_id)
    if charge is None or charge.person is not call.person(call.request.user_id):
        raise Refusal(400, "CHARGE_ID_INVALID")
    if charge.refunded:
        raise Refusal(400, "CHARGE_ALREADY_REFUNDED")
    charge.refunded = True
    told = tl.MessageActionPaymentRefunded(
        peer=tl.PeerUser(user_id=charge.person.id),
        currency="XTR",
        total_amount=charge.amount,
        payload=charge.payload,
        charge=tl.PaymentCharge(id=call.request.charge_id, provider_charge_id=call.request.charge_id),
    )
    await call.telegram.post(call.telegram.draft(charge.place, person=charge.person, action=told))
    return call.telegram.updates(call.bot, [], [charge.person], charge.place)


async def stars(call: Call) -> Any:
    balance = sum(charge.amount for charge in call.bot.charges.values() if not charge.refunded)
    return only_known(
        tl.payments.StarsStatus,
        balance=tl.StarsAmount(amount=balance, nanos=0),
        chats=[],
        users=[call.bot.to_tl()],
    )


METHODS: dict[str, Method] = {
    "messages.SetBotCallbackAnswer": press,
    "messages.SetBotPrecheckoutResults": checkout,
    "payments.RefundStarsCharge": refund,
    "payments.GetStarsStatus": stars,
    "payments.GetStarsTransactions": stars,
}
