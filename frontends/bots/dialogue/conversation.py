"""One step of a conversation: the only way in.

    state, effects = step(state, event, house)

What a person does is looked at once, however often it is told. What the API answers goes to the continuation that was
named when it was asked. After a restart everything that was not acknowledged is asked for again under its old key.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.wire.user import Limits, Preferences
from frontends.bots.dialogue import (
    account,
    admin,
    buying,
    commands,
    delivery,
    linking,
    ordering,
    presses,
    rules,
    settings,
    troubles,
    waiting,
)
from frontends.bots.dialogue.effects import Call, Effect, Timer
from frontends.bots.dialogue.events import (
    Answered,
    Checkout,
    Command,
    Event,
    Expiring,
    Filled,
    Message,
    News,
    Paid,
    Passed,
    Pressed,
    Resumed,
    Sent,
    Unsent,
)
from frontends.bots.dialogue.requests import Answer, Credit, Grant, Problem
from frontends.bots.dialogue.screen import Card
from frontends.bots.dialogue.state import Cause, House, State
from frontends.bots.dialogue.turn import Turn, said

RETRY_SECONDS = 60.0
"""After which something that must not be lost is asked for again."""


def step(state: State, event: Event, house: House) -> tuple[State, list[Effect]]:
    """The state after an event, and what is to be done."""
    turn = Turn(state, house, event.at)
    match event:
        case Command() | Message() | Pressed() | Filled() | Checkout() | Paid():
            if turn.greet(event):
                _person(turn, event)
        case Answered():
            _answered(turn, event)
        case News():
            waiting.news(turn, event)
        case Sent():
            delivery.sent(turn, event)
        case Unsent():
            delivery.unsent(turn, event)
        case Expiring():
            delivery.expiring(turn, event)
        case Passed():
            _again(turn, event.key)
        case Resumed():
            _resumed(turn)
    return turn.state, turn.effects


def knows(state: State, chosen: Preferences, limits: Limits | None, at: float) -> State:
    """The state with what the person has chosen and what their plan allows, as the API has it."""
    turn = Turn(state, House(name=""), at)
    turn.change(choices=chosen, limits=limits or state.limits, choices_at=at)
    return turn.state


def _person(turn: Turn, event: Command | Message | Pressed | Filled | Checkout | Paid) -> None:
    match event:
        case Command():
            commands.command(turn, event)
        case Message():
            commands.message(turn, event)
        case Pressed():
            presses.pressed(turn, event)
        case Filled():
            presses.filled(turn, event)
        case Checkout():
            buying.checkout(turn, event)
        case Paid():
            buying.paid(turn, event)


def _answered(turn: Turn, event: Answered) -> None:
    """An answer of the API goes where it was asked from."""
    pending = turn.state.pending.get(event.key)
    if pending is None or not isinstance(pending.effect, Call):
        return
    if isinstance(event.answer, Problem):
        if isinstance(pending.effect.asked, Credit) and _may_pass(event.answer):
            turn.effects.append(Timer(key=event.key, at=turn.at + RETRY_SECONDS))
            return
        turn.settle(event.key)
        TROUBLES.get(pending.then, _trouble)(turn, event.answer, pending.cause, pending.about)
        return
    turn.settle(event.key)
    THEN[pending.then](turn, event.answer, pending.cause, pending.about)


def _may_pass(problem: Problem) -> bool:
    return problem.status == 0 or problem.status == 429 or problem.status >= 500


def _trouble(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    turn.toast(cause)
    troubles.tell(turn, cause, problem)


def _again(turn: Turn, key: str) -> None:
    """What waited for its time."""
    pending = turn.state.pending.get(key)
    if pending is not None:
        turn.effects.append(pending.effect)
    else:
        delivery.passed(turn, key)


def _resumed(turn: Turn) -> None:
    """Everything that was not acknowledged is done again, under its old key; jobs are followed again."""
    for key, pending in turn.state.pending.items():
        if isinstance(pending.effect, Call) and isinstance(pending.effect.asked, Grant):
            turn.settle(key)  # perhaps made already, and nobody can tell
            turn.respond(pending.cause, Card(lines=[said("admin.unsure")]))
        else:
            turn.effects.append(pending.effect)
    for order in turn.state.orders.values():
        if not order.told:
            turn.follow(order.job.id)
            delivery.watch(turn, order)


def nothing(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """There is nothing to tell."""


def _silent(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    """What could not be given back will be free tomorrow."""


THEN: dict[str, Callable[[Turn, Answer, Cause, dict[str, str]], None]] = {
    "nothing": nothing,
    "taken_in": ordering.taken_in,
    "translated": ordering.translated,
    "admitted": ordering.admitted,
    "placed": ordering.placed,
    "shared": presses.shared,
    "shared_words": presses.shared_words,
    "looked": presses.looked,
    "reworded": presses.reworded,
    "canceled": presses.canceled,
    "erased": presses.erased,
    "reported": presses.reported,
    "balance_known": account.balance_known,
    "plan_known": account.plan_known,
    "plans_known": account.plans_known,
    "status_known": account.status_known,
    "to_cancel": account.to_cancel,
    "history_known": account.history_known,
    "code_made": linking.code_made,
    "linked": linking.linked,
    "invited": linking.invited,
    "packs_known": buying.packs_known,
    "checked": buying.checked,
    "credited": buying.credited,
    "preferred": settings.preferred,
    "rules_known": rules.rules_known,
    "to_rule": rules.to_rule,
    "ruled": rules.ruled,
    "service_known": admin.service_known,
    "workers_known": admin.workers_known,
    "done": admin.done,
    "banned": admin.banned,
    "granted": admin.granted,
    "refunded": admin.refunded,
    "why_known": admin.why_known,
}
"""Who gets an answer, by the name that stands in the state."""

TROUBLES: dict[str, Callable[[Turn, Problem, Cause, dict[str, str]], None]] = {
    "nothing": _silent,
    "translated": ordering.untranslated,
    "placed": ordering.not_placed,
    "looked": presses.not_looked,
    "canceled": presses.not_looked,
    "erased": presses.not_looked,
    "checked": buying.not_checked,
    "credited": buying.not_credited,
    **dict.fromkeys(
        ("service_known", "workers_known", "done", "banned", "granted", "refunded", "why_known"), admin.refused
    ),
}
"""Who gets a refusal; else it is told as such."""
