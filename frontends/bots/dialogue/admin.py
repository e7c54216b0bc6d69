"""`/admin`: what an operator sees and does by a chat. Who is one the API knows; everybody else is told nothing more.

    status · workers · pause|resume submits|model NAME|lane N [reason] · drain WORKER · ban WHO [reason] ·
    grant WHO TOKENS reason · refund CHARGE [reason] · why JOB

People are named by identity (`telegram:123`), name or id. Answers are for the operator alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from control_plane.wire.conduct import REASON_LENGTH_MAX, Suspension
from control_plane.wire.operator import GrantView, ServiceView, SwitchRequest, WhyView, WorkerList
from control_plane.wire.payment import PaymentView
from frontends.bots.dialogue import account, troubles
from frontends.bots.dialogue.requests import (
    Answer,
    Ban,
    Drain,
    Grant,
    Problem,
    Refund,
    Status,
    Switch,
    Why,
    Workers,
)
from frontends.bots.dialogue.screen import Card, Said
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

LINES_MAX = 20
Deed = Callable[[Turn, Cause, list[str]], bool]
"""Does it; False when the words do not say what."""


def admin(turn: Turn, cause: Cause, text: str) -> None:
    words = text.split()
    deed = DEEDS.get(words[0].lower()) if words else None
    if turn.scene.group and not turn.platform.private_answers:
        turn.respond(cause, Card(lines=[said("admin.in_private")]))
    elif deed is None or not deed(turn, cause, words[1:]):
        turn.respond(cause, Card(lines=[said("page.admin")]))


def status(turn: Turn, cause: Cause, words: list[str]) -> bool:
    turn.call(Status(), "service_known", cause)
    return True


def service_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, ServiceView)
    lines = [said("admin.paused", reason=answer.reason or "–") if answer.submits_paused else said("admin.open")]
    workers = [f"{count} {condition}" for condition, count in sorted(answer.workers.items())]
    lines.append(said("admin.workers", workers=workers or ["–"]))
    for lane in answer.lanes[:LINES_MAX]:
        key = "admin.lane_paused" if lane.paused else "admin.lane"
        named = f"{lane.id} {lane.kind}/{lane.model}"
        lines.append(said(key, name=named, queued=lane.queued, leased=lane.leased, slots=lane.live_slots))
    turn.respond(cause, Card(lines=lines))


def workers(turn: Turn, cause: Cause, words: list[str]) -> bool:
    turn.call(Workers(), "workers_known", cause)
    return True


def workers_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, WorkerList)
    lines = [
        said("admin.worker", name=one.name, condition=one.condition, leases=one.leases, serves=one.serves or ["–"])
        for one in answer.data[:LINES_MAX]
    ]
    turn.respond(cause, Card(lines=lines or [said("admin.no_workers")]))


def pause(turn: Turn, cause: Cause, words: list[str]) -> bool:
    return _switch(turn, cause, words, paused=True)


def resume(turn: Turn, cause: Cause, words: list[str]) -> bool:
    return _switch(turn, cause, words, paused=False)


def _switch(turn: Turn, cause: Cause, words: list[str], *, paused: bool) -> bool:
    what: Literal["submits", "model", "lane"]
    match words:
        case ["model", name, *rest]:
            what = "model"
        case ["lane", name, *rest]:
            what = "lane"
        case ["submits", *rest] | ([] as rest):
            what, name = "submits", ""
        case _:
            return False
    asked = SwitchRequest(what=what, name=name[:64], paused=paused, reason=_reason(rest))
    turn.call(Switch(asked=asked), "done", cause)
    return True


def drain(turn: Turn, cause: Cause, words: list[str]) -> bool:
    if len(words) != 1:
        return False
    turn.call(Drain(worker=words[0]), "done", cause)
    return True


def done(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    turn.respond(cause, Card(lines=[said("admin.done")]))


def ban(turn: Turn, cause: Cause, words: list[str]) -> bool:
    if not words:
        return False
    turn.call(Ban(user=words[0], reason=_reason(words[1:])), "banned", cause)
    return True


def banned(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, Suspension)
    stopped = answer.canceled + answer.canceling
    turn.respond(cause, Card(lines=[said("admin.banned", id=str(answer.id), count=stopped)]))


def grant(turn: Turn, cause: Cause, words: list[str]) -> bool:
    if len(words) < 2 or not words[1].isdecimal() or not 1 <= int(words[1]) <= 10**9:
        return False
    reason = _reason(words[2:]) or "granted in a chat"
    turn.call(Grant(user=words[0], tokens=int(words[1]), reason=reason), "granted", cause)
    return True


def granted(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, GrantView)
    turn.respond(cause, Card(lines=[said("admin.granted", id=str(answer.id), count=answer.purchased)]))


def refund(turn: Turn, cause: Cause, words: list[str]) -> bool:
    if not words:
        return False
    turn.call(Refund(charge=words[0], reason=_reason(words[1:])), "refunded", cause)
    return True


def refunded(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, PaymentView)
    turn.respond(cause, Card(lines=[said("admin.refunded", amount=answer.amount, count=answer.tokens)]))


def why(turn: Turn, cause: Cause, words: list[str]) -> bool:
    job_id = account.job_id_in(words[0]) if words else None
    if job_id is None:
        return False
    turn.call(Why(job_id=job_id), "why_known", cause)
    return True


def why_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """The operator's diagnosis is told as the API tells it, in English."""
    assert isinstance(answer, WhyView)
    lines: list[Said] = [said("admin.line", line=line) for line in answer.lines[:LINES_MAX]]
    turn.respond(cause, Card(lines=lines))


def refused(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    """Nobody is told more than that they are no operator."""
    if problem.code in ("forbidden", "unauthorized"):
        turn.respond(cause, Card(lines=[said("admin.not_you")]))
    else:
        troubles.tell(turn, cause, problem)


def _reason(words: list[str]) -> str:
    return " ".join(words)[:REASON_LENGTH_MAX]


DEEDS: dict[str, Deed] = {
    "status": status,
    "workers": workers,
    "pause": pause,
    "resume": resume,
    "drain": drain,
    "ban": ban,
    "grant": grant,
    "refund": refund,
    "why": why,
}
