"""Buttons and forms that are not about a job: what each of them opens."""

from __future__ import annotations

from collections.abc import Callable

from frontends.bots.dialogue import account, buying, linking, rules, settings
from frontends.bots.dialogue.screen import Card
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

Menu = Callable[[Turn, Cause, str], None]


def helped(turn: Turn, cause: Cause, argument: str = "") -> None:
    """What this bot can do."""
    turn.toast(cause)
    turn.respond(cause, Card(lines=[said(f"page.help_{turn.scene.makes}", name=turn.house.name)]))


MENUS: dict[str, Menu] = {
    "help": helped,
    "buy": buying.buy,
    "balance": account.balance,
    "plan": account.plan,
    "queue": account.status,
    "history": account.history,
    "models": account.models,
    "link": lambda turn, cause, argument: linking.link(turn, cause),
    "enter_code": linking.ask_code,
    "enter": linking.enter,
    "invite": linking.ask_invite,
    "language": settings.language,
    "set": settings.chosen,
    "rule": rules.rule,
}
"""By the action of a payload without a job."""

FORMS: dict[str, Callable[[Turn, Cause, str, str], None]] = {
    "make": linking.made,
    "code": linking.code_typed,
    "invite": linking.invite_typed,
}
"""By the action of a form without a job: what was typed."""
