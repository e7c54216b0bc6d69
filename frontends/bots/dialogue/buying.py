"""Tokens for money. Where the platform has money of its own (Stars), in that and by no other way, since its rules
forbid links to another checkout; elsewhere by a link to the site.

What is offered and what it costs is the API's; a bill carries the pack and its price, a checkout is approved only while
both still hold, and a payment is credited once by the provider's id of it, however often it is told.
"""

from __future__ import annotations

from control_plane.wire.payment import PackList, PaymentRequest, PaymentView
from frontends.bots.dialogue.effects import Approve
from frontends.bots.dialogue.events import Checkout, Paid
from frontends.bots.dialogue.requests import Answer, Credit, Packs
from frontends.bots.dialogue.screen import Button, Card
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

STARS = "XTR"
PROVIDER = "telegram_stars"


def buy(turn: Turn, cause: Cause, argument: str = "") -> None:
    """What can be bought, or the bill for a pack."""
    turn.toast(cause)
    if turn.platform.pays_by == "link":
        _link(turn, cause)
    elif turn.scene.group:
        turn.respond(cause, Card(lines=[said("buy.in_private")]))
    else:
        turn.call(Packs(), "packs_known", cause, pack=argument)


def _link(turn: Turn, cause: Cause) -> None:
    if not turn.house.site:
        turn.respond(cause, Card(lines=[said("buy.nowhere")]))
        return
    button = Button(label=said("button.buy_there"), url=turn.house.site)
    turn.respond(cause, Card(lines=[said("buy.there")], buttons=[[button]]))


def packs_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, PackList)
    chosen = next((pack for pack in answer.data if pack.name == about.get("pack")), None)
    if chosen is not None:
        turn.bill(
            cause,
            title=said("invoice_title.tokens", tokens=chosen.tokens),
            text=said("invoice.tokens", tokens=chosen.tokens),
            stars=chosen.stars,
            payload=f"pack:{chosen.name}:{chosen.stars}",
        )
        return
    buttons = [
        turn.button("pack", "buy", argument=pack.name, tokens=pack.tokens, stars=pack.stars) for pack in answer.data
    ]
    lines = [said("buy.choose") if buttons else said("buy.nowhere")]
    turn.respond(cause, Card(lines=lines, buttons=[[button] for button in buttons[: turn.platform.rows]]))


def checkout(turn: Turn, event: Checkout) -> None:
    """Somebody is about to pay: the pack and its price must still be so."""
    cause = Cause(id=event.id)
    turn.call(Packs(), "checked", cause, payload=event.payload, amount=str(event.amount), currency=event.currency)


def checked(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, PackList)
    offered = {(f"pack:{pack.name}:{pack.stars}", str(pack.stars), STARS) for pack in answer.data}
    holds = (about["payload"], about["amount"], about["currency"]) in offered
    turn.effects.append(Approve(checkout=cause.id, refusal=None if holds else said("toast.price_changed")))


def not_checked(turn: Turn, answer: object, cause: Cause, about: dict[str, str]) -> None:
    """Without knowing the price nobody pays."""
    turn.effects.append(Approve(checkout=cause.id, refusal=said("toast.not_now")))


def paid(turn: Turn, event: Paid) -> None:
    """Credited by the provider's id."""
    name = event.payload.split(":")[1] if event.payload.count(":") == 2 else ""
    request = PaymentRequest(
        provider=PROVIDER,
        provider_id=event.charge,
        pack=name,
        amount=event.amount,
        currency=event.currency,
        place=turn.scene.bot,
    )
    turn.call(Credit(paid=request), "credited", Cause(id=event.id))


def credited(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, PaymentView)
    turn.say(Card(lines=[said("buy.credited", count=answer.tokens)]), cause, key=f"paid:{answer.id.hex}")


def not_credited(turn: Turn, problem: object, cause: Cause, about: dict[str, str]) -> None:
    """It was paid and could not be credited: that is for a human, and nothing is lost, for the provider knows it."""
    turn.say(Card(lines=[said("buy.stuck", support=turn.house.support or turn.house.name)]), cause)
