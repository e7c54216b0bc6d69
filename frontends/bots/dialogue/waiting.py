"""One message for each job, while it waits and runs: what it costs, where it stands, why, and a button to cancel.

News come as they like, twice and out of order; the message shows the newest that makes sense. Moments are rendered by
the client where it can, so nothing is edited for a clock to tick. Previews are shown at a few points that lie ever
further apart, since each of them is an upload.
"""

from __future__ import annotations

import msgspec

from control_plane.wire.job import JobView
from frontends.bots.dialogue import results
from frontends.bots.dialogue.events import News
from frontends.bots.dialogue.screen import Card, Glimpse, Moment, Said, Slot
from frontends.bots.dialogue.state import Order
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.dialogue.wishing import clippings, model_of, reads

GLIMPSES = (0.125, 0.25, 0.5)
"""At which part of the work a preview is shown."""
BAR_LENGTH = 10
FINISHED = frozenset({"succeeded", "failed", "canceled", "expired"})


def news(turn: Turn, event: News) -> None:
    """A job as it is now."""
    order = turn.order(event.job.id)
    if order is None or order.told or _is_older(event.job, order.job):
        return
    order = msgspec.structs.replace(order, job=event.job)
    turn.keep(order)
    if event.job.status in FINISHED:
        results.tell_end(turn, order)
    else:
        show(turn, order)


def show(turn: Turn, order: Order) -> None:
    """The message as it should look now, if it looks otherwise."""
    if not order.message:
        return
    shown_card = card(turn, order)
    progress = order.job.progress.value if order.job.status == "running" and order.job.progress is not None else 0.0
    due = sum(progress >= point for point in GLIMPSES)
    if due > order.glimpses:
        glimpse = Glimpse(job_id=order.job.id, identity=turn.scene.identity)
        shown_card = msgspec.structs.replace(shown_card, media=[glimpse], spoiler=order.adult)
    elif face(shown_card) == order.shown:
        return
    turn.keep(msgspec.structs.replace(order, shown=face(shown_card), glimpses=max(due, order.glimpses)))
    turn.edit(order.message, shown_card)


def card(turn: Turn, order: Order) -> Card:
    """How a job that is not over looks."""
    job = order.job
    lines = [said("order.taken", cost=job.cost.held), *_standing(turn, job)]
    if order.echo:
        lines.append(said("order.understood", what=order.echo))
    lines += clippings(order.clipped)
    lines += results.as_read(job)
    if order.unread:
        lines.append(said("order.unread", reads=list(reads(model_of(turn, job)))))
    buttons = [] if job.status == "canceling" else [[turn.button("cancel", "cancel", job.id)]]
    return Card(quote=results.typed(job), lines=lines, buttons=buttons)


def face(shown: Card) -> str:
    """What a card looks like, to see whether another one looks otherwise: moments do not count, they tick."""
    lines = [Said(line.key, _still(line)) for line in shown.lines]
    return msgspec.json.encode(msgspec.structs.replace(shown, lines=lines, media=[])).decode()


def _still(line: Said) -> dict[str, Slot]:
    """The slots without what only the clock changes."""
    return {
        name: str(round(value.at / 15.0)) if isinstance(value, Moment) else str(value)
        for name, value in line.slots.items()
    }


def _standing(turn: Turn, job: JobView) -> list[Said]:
    """Where it stands, as sentences."""
    if job.status == "canceling":
        return [said("order.canceling")]
    if job.status == "running":
        return [_running(job)]
    if job.waiting is None:
        return [said("order.waiting")]
    lines = [said(f"waiting.{job.waiting.reason}")]
    if job.waiting.position is not None:
        lines.append(said("order.place", place=job.waiting.position))
    if job.waiting.eta is not None:
        ready = Moment(at=turn.at + job.waiting.eta.p50_seconds, now=turn.at)
        lines.append(said("order.ready", ready=ready))
    return lines


def _running(job: JobView) -> Said:
    if job.progress is None:
        return said("order.running")
    done = int(min(1.0, job.progress.value) * BAR_LENGTH)
    bar = "▰" * done + "▱" * (BAR_LENGTH - done)
    percent = int(min(1.0, job.progress.value) * 100)
    return said("order.progress", bar=bar, percent=percent)


def _is_older(fresh: JobView, known: JobView) -> bool:
    """Whether news are late: nothing comes after an end, and work is undone by another try only."""
    if known.status in FINISHED:
        return True
    if known.status == "canceling":
        return fresh.status not in FINISHED and fresh.status != "canceling"
    if fresh.status == known.status == "running" and fresh.started_at == known.started_at:
        return _done(fresh) < _done(known)
    return False


def _done(job: JobView) -> float:
    return job.progress.value if job.progress is not None else 0.0
