"""What somebody has: tokens, plan, jobs, models; as pages that answer a command."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from control_plane.wire.job import JobList, JobView
from control_plane.wire.user import AccountView, PlanList, PlanView
from frontends.bots.dialogue import payload, results
from frontends.bots.dialogue.requests import Answer, Cancel, ListJobs, Me, Plans
from frontends.bots.dialogue.screen import Button, Card, Moment, Said
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

HISTORY_PAGE = 5
OPEN_MAX = 20
"""Jobs that are looked through for what is not over."""
PROMPT_LENGTH = 80
"""Of a job in a list."""
MODELS_MAX = 12
STYLES_MAX = 20
OPEN = frozenset({"queued", "running", "canceling"})


# ---------------------------------------------------------------------------------------------- tokens and plans


def balance(turn: Turn, cause: Cause, argument: str = "") -> None:
    turn.toast(cause)
    turn.call(Me(), "balance_known", cause)


def balance_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, AccountView)
    tokens = answer.tokens
    lines = [
        said("balance.available", count=tokens.available),
        said("balance.parts", daily=tokens.daily_left, purchased=tokens.purchased, held=tokens.held),
        said("balance.resets", when=_moment(turn, tokens.resets_at), per_day=tokens.daily_per_day),
    ]
    turn.respond(cause, Card(lines=lines, buttons=turn.rows([turn.button("buy"), turn.button("plan")])))


def plan(turn: Turn, cause: Cause, argument: str = "") -> None:
    turn.toast(cause)
    turn.call(Me(), "plan_known", cause)


def plan_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, AccountView)
    limits = answer.limits
    lines = [
        said("plan.yours", plan=answer.plan),
        said("plan.limits", running=limits.running_max, queued=limits.queued_max, days=limits.retention_days),
        said("plan.sizes", megapixels=round(limits.pixels_max / 1_048_576, 1), seconds=limits.video_seconds_max),
        said("plan.in_use", running=answer.running, queued=answer.queued),
    ]
    if answer.paid_until is not None:
        lines.append(said("plan.paid_until", when=_moment(turn, answer.paid_until)))
    turn.call(Plans(), "plans_known", cause, lines=msgspec.json.encode(lines).decode(), plan=answer.plan)


def plans_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, PlanList)
    lines = msgspec.json.decode(about["lines"], type=list[Said])
    lines += [_other(other) for other in answer.data if other.name != about["plan"]]
    turn.respond(cause, Card(lines=lines, buttons=turn.rows([turn.button("buy"), turn.button("balance")])))


def _other(other: PlanView) -> Said:
    price = round(other.price_cents / 100, 2)
    return said("plan.offer", plan=other.name, tokens=other.tokens_per_day, price=price, currency=other.currency)


# ---------------------------------------------------------------------------------------------- jobs


def status(turn: Turn, cause: Cause, argument: str = "") -> None:
    turn.toast(cause)
    turn.call(ListJobs(limit=OPEN_MAX), "status_known", cause)


def status_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """What is not over, each with a button to cancel it."""
    assert isinstance(answer, JobList)
    found = [job for job in answer.data if job.status in OPEN]
    if not found:
        turn.respond(cause, Card(lines=[said("status.none")]))
        return
    shown = found[:HISTORY_PAGE]
    lines = [said("status.open", count=len(found)), *[_in_line(number, job) for number, job in enumerate(shown, 1)]]
    buttons = [turn.button("cancel_one", "cancel", job.id, number=number) for number, job in enumerate(shown, 1)]
    turn.respond(cause, Card(lines=lines, buttons=turn.rows(buttons)))


def _in_line(number: int, job: JobView) -> Said:
    prompt = _short(job)
    if job.status == "queued" and job.waiting is not None:
        reason = said(f"waiting.{job.waiting.reason}")
        if job.waiting.position is not None:
            return said("status.queued", number=number, prompt=prompt, place=job.waiting.position, reason=reason)
        return said("status.standing", number=number, prompt=prompt, state=reason)
    percent = int(job.progress.value * 100) if job.progress is not None else 0
    state = said("order.canceling") if job.status == "canceling" else said("status.running", percent=percent)
    return said("status.standing", number=number, prompt=prompt, state=state)


def cancel(turn: Turn, cause: Cause, text: str) -> None:
    """`/cancel`: the newest job that is not over; `/cancel all`: each of them."""
    about = {"all": "yes"} if text.strip() else {}
    turn.call(ListJobs(limit=OPEN_MAX), "to_cancel", cause, **about)


def to_cancel(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, JobList)
    found = [job for job in answer.data if job.status in ("queued", "running")]
    if not found:
        turn.respond(cause, Card(lines=[said("status.none")]))
        return
    chosen = found if about.get("all") else found[:1]
    for job in chosen:
        turn.call(Cancel(job_id=job.id), "canceled", Cause(pressed="none", answered=True))
    turn.respond(cause, Card(lines=[said("cancel.asked", count=len(chosen))]))


def history(turn: Turn, cause: Cause, argument: str = "") -> None:
    """Jobs that are over, a page at a time; the argument is from before when on (seconds since 1970)."""
    turn.toast(cause)
    before = datetime.fromtimestamp(int(argument), UTC) if argument.isdecimal() else None
    turn.call(ListJobs(limit=HISTORY_PAGE, before=before), "history_known", cause)


def history_known(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, JobList)
    if not answer.data:
        turn.respond(cause, Card(lines=[said("history.none")]))
        return
    lines = [said("history.title"), *[_of_old(turn, number, job) for number, job in enumerate(answer.data, 1)]]
    buttons = [turn.button("number", "show", job.id, number=number) for number, job in enumerate(answer.data, 1)]
    if answer.has_more:
        last = int(answer.data[-1].created_at.timestamp())
        buttons.append(Button(label=said("button.older"), payload=payload.written("history", argument=last)))
    turn.respond(cause, Card(lines=lines, buttons=turn.rows(buttons)))


def _of_old(turn: Turn, number: int, job: JobView) -> Said:
    key = "history.with_files" if job.artifacts else f"history.{job.status}"
    return said(key, number=number, prompt=_short(job), when=_moment(turn, job.created_at))


def facts(turn: Turn, job: JobView) -> Card:
    """How a job was made."""
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    lines = [
        *results.as_read(job)[:1],
        said("info.made", model=job.model, width=job.width, height=job.height, steps=job.steps),
        said("info.seed", seed=job.seed, guidance=job.guidance),
        said("info.cost", cost=job.cost.charged, seconds=seconds),
    ]
    if job.negative_prompt:
        lines.append(said("info.without", what=job.negative_prompt[:PROMPT_LENGTH]))
    lines.append(said("info.id", id=str(job.id)))
    return Card(quote=results.typed(job), lines=lines)


# ---------------------------------------------------------------------------------------------- models


def models(turn: Turn, cause: Cause, argument: str = "") -> None:
    """What can be ordered, and what it costs."""
    turn.toast(cause)
    offered = [model for model in turn.house.models if not model.paused][:MODELS_MAX]
    if not offered:
        turn.respond(cause, Card(lines=[said("models.none")]))
        return
    lines = [said("models.title")]
    for model in offered:
        key = "models.ready" if model.feasible_now else "models.waits"
        lines.append(said(key, name=model.name, title=model.title, cost=model.example_cost))
    if styles := list(dict.fromkeys(lora.name for model in offered for lora in model.loras)):
        lines.append(said("models.styles", names=styles[:STYLES_MAX], example=said("echo.style", name=styles[-1])))
    turn.respond(cause, Card(lines=lines))


def _short(job: JobView) -> str:
    text = " ".join(results.typed(job).split())
    return text if len(text) <= PROMPT_LENGTH else text[: PROMPT_LENGTH - 1] + "…"


def _moment(turn: Turn, when: datetime) -> Moment:
    return Moment(at=when.timestamp(), now=turn.at)


def job_id_in(text: str) -> UUID | None:
    """A job's id, if that is what somebody typed."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
