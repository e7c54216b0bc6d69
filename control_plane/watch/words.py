"""An incident as its reader sees it. Plain text: every platform shows it, and nothing can be taken for markup."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from control_plane.watch.decision import Incident
from control_plane.watch.kinds import KINDS, RUNBOOK

Stage = Literal["opened", "updated", "reminded", "closed"]
FEW_SECONDS = 120.0


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of an incident, in one channel."""

    incident: Incident
    stage: Stage
    rings: bool
    """Whether it is worth a noise."""
    title: str
    text: str
    now: datetime


def message(incident: Incident, told: int, place: str, now: datetime) -> Message:
    """`told`: the edition that this channel knows, 0 for none; `place`: the address of the service;
    `now`: by the database's clock."""
    rings = incident.rings > told
    stage: Stage = "closed" if incident.closed_at else "opened" if not told else "reminded" if rings else "updated"
    about = KINDS[incident.kind]
    mark = "Over" if stage == "closed" else "Still" if stage == "reminded" else "Attention"
    return Message(
        incident=incident,
        stage=stage,
        rings=rings,
        now=now,
        title=f"{mark}: {about.title}{f' ({incident.subject})' if incident.subject else ''}",
        text="\n".join([incident.summary, _when(incident), *_what_to_do(incident), place]),
    )


def whole(told: Message) -> str:
    return f"{told.title}\n{told.text}"


def _when(incident: Incident) -> str:
    since = _clock(incident.first_seen_at)
    if incident.closed_at is None:
        return f"Since {since}."
    return f"From {since} to {_clock(incident.closed_at)}."


def _what_to_do(incident: Incident) -> list[str]:
    if incident.closed_at is not None:
        return []
    lines = [f'What to do: {RUNBOOK}, "{KINDS[incident.kind].section}".']
    if incident.acked_at is None:
        lines.append(f"`tessera incident ack {incident.id}` ends the reminders.")
    return lines


def _clock(moment: datetime) -> str:
    return moment.strftime("%d %b %H:%M UTC")
