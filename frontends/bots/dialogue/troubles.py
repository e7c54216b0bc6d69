"""What the API refuses, as a card that says what to do: tokens that are short, plans, lines that are full, accounts."""

from __future__ import annotations

from datetime import datetime

from frontends.bots.dialogue.requests import Problem
from frontends.bots.dialogue.screen import Button, Card, Moment, Said, Slot
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.language.catalogue import slots_of
from frontends.bots.language.tongue import FALLBACK, tongue

DETAIL_LENGTH_MAX = 300


def tell(turn: Turn, cause: Cause, problem: Problem) -> None:
    """The answer to whoever wanted what cannot be."""
    turn.respond(cause, card(turn, problem))


def card(turn: Turn, problem: Problem) -> Card:
    """A refusal, with the buttons that help."""
    return Card(lines=[sentence(problem, turn.at)], buttons=turn.rows(_ways_out(turn, problem)))


def sentence(problem: Problem, now: float) -> Said:
    """A problem of the API in the catalogue's words; one that has none there says its own."""
    key = f"problem.{problem.code}"
    slots: dict[str, Slot] = {**problem.fields, "detail": problem.detail[:DETAIL_LENGTH_MAX]}
    if (resets_at := problem.fields.get("resets_at")) is not None:
        slots["resets_at"] = Moment(at=datetime.fromisoformat(str(resets_at)).timestamp(), now=now)
    known = tongue(FALLBACK).sentences
    if key not in known or slots_of(known[key]) - set(slots):
        return said("problem.unknown", detail=problem.detail[:DETAIL_LENGTH_MAX] or problem.code)
    return Said(key, slots)


def _ways_out(turn: Turn, problem: Problem) -> list[Button]:
    match problem.code:
        case "tokens-short":
            return [turn.button("buy"), turn.button("balance")]
        case "plan-forbids":
            return [turn.button("plan")]
        case "queue-full":
            return [turn.button("queue")]
        case "invite-needed":
            return [turn.button("invite"), turn.button("link")]
        case "signup-closed" | "signup-limit" | "unlinked":
            return [turn.button("link")]
        case _:
            return []
