"""Rules of a group or server, made by its administrators: who may order, which models, adult content, a shared cap."""

from __future__ import annotations

from msgspec import structs

from control_plane.wire.chat import ChatRules, ChatView
from frontends.bots.dialogue import settings
from frontends.bots.dialogue.requests import Answer, LookAtChat, RuleChat
from frontends.bots.dialogue.screen import Button, Card
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

CAPS = (50, 200, 1_000)
NAME_LENGTH_MAX = 20
MODELS_MAX = 6


def open_settings(turn: Turn, cause: Cause, argument: str = "") -> None:
    """`/settings`: in a group its rules, which only its administrators change; else one's own."""
    if not turn.scene.group:
        settings.settings(turn, cause)
        return
    turn.toast(cause)
    turn.call(LookAtChat(chat=turn.scene.place), "rules_known", cause)


def rules_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, ChatView)
    turn.respond(cause, page(turn, answer, cause))


def page(turn: Turn, view: ChatView, cause: Cause) -> Card:
    """The rules, with buttons for those who make them."""
    rules = view.rules
    lines = [
        said("rules.title"),
        said(f"rules.who_{rules.who}"),
        said("rules.models_some", models=rules.models) if rules.models else said("rules.models_all"),
        said("rules.safe_on" if rules.safe_only else "rules.safe_off"),
        said("rules.shares_on" if rules.shares else "rules.shares_off"),
        said("rules.cap", cap=rules.daily_cap, ordered=view.ordered_today)
        if rules.daily_cap
        else said("rules.no_cap", ordered=view.ordered_today),
    ]
    return Card(lines=lines, buttons=turn.rows(_buttons(turn, rules)) if cause.is_admin else [])


def _buttons(turn: Turn, rules: ChatRules) -> list[Button]:
    other = "admins" if rules.who == "everyone" else "everyone"
    found = [
        turn.button(f"who_{other}", "rule", argument=f"who={other}"),
        turn.button("safe_off" if rules.safe_only else "safe_on", "rule", argument="safe="),
        turn.button("shares_off" if rules.shares else "shares_on", "rule", argument="shares="),
        *[turn.button("cap", "rule", argument=f"cap={cap}", tokens=cap) for cap in CAPS],
        turn.button("no_cap", "rule", argument="cap=0"),
        turn.button("models_all", "rule", argument="model="),
    ]
    offered = {model.name[:NAME_LENGTH_MAX]: model.title for model in turn.house.models}  # one may make both kinds
    for name, title in list(offered.items())[:MODELS_MAX]:
        found.append(turn.button("model", "rule", argument=f"model={name}", name=title))
    return found


def rule(turn: Turn, cause: Cause, argument: str) -> None:
    """A rule is changed: whoever presses must administer the chat, whoever was shown the button."""
    if not turn.scene.group or not cause.is_admin:
        turn.toast(cause, said("toast.admins_only"))
        return
    turn.toast(cause, said("toast.chosen"))
    turn.call(LookAtChat(chat=turn.scene.place), "to_rule", cause, argument=argument)


def to_rule(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, ChatView)
    changed = _changed(turn, answer.rules, about["argument"])
    if changed is not None:
        turn.call(RuleChat(chat=turn.scene.place, rules=changed), "ruled", cause)


def ruled(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, ChatView)
    if cause.pressed:
        turn.edit(cause.pressed, page(turn, answer, cause))
    else:
        turn.respond(cause, page(turn, answer, cause))


def _changed(turn: Turn, rules: ChatRules, argument: str) -> ChatRules | None:
    what, _, value = argument.partition("=")
    match what:
        case "who" if value in ("everyone", "admins"):
            return structs.replace(rules, who=value)
        case "safe":
            return structs.replace(rules, safe_only=not rules.safe_only)
        case "shares":
            return structs.replace(rules, shares=not rules.shares)
        case "cap" if value.isdecimal():
            return structs.replace(rules, daily_cap=int(value) or None)
        case "model":
            return structs.replace(rules, models=_models(turn, rules.models, value))
        case _:
            return None


def _models(turn: Turn, now: list[str] | None, value: str) -> list[str] | None:
    """The model is taken in, or out again; none left means all."""
    name = next((m.name for m in turn.house.models if value and m.name[:NAME_LENGTH_MAX] == value), None)
    if name is None:
        return None
    listed = set(now or ())
    return sorted(listed ^ {name}) or None
