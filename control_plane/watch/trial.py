"""A message that says nothing but that messages arrive."""

from __future__ import annotations

from datetime import datetime

from control_plane.watch import telling
from control_plane.watch.channels import Channel
from control_plane.watch.decision import Incident
from control_plane.watch.kinds import Kind
from control_plane.watch.words import Message

KIND: Kind = "no_worker"
TEXT = "This is a trial of TESSERA_NOTIFY. Whatever is wrong with the service is told here."


async def tell(channel: Channel, place: str, now: datetime) -> None:
    """Raises `NotTold`."""
    incident = Incident(
        id=0, kind=KIND, subject="trial", summary=TEXT, first_seen_at=now, last_seen_at=now, edition_at=now
    )
    message = Message(
        incident=incident, stage="opened", rings=True, now=now, title="Tessera: a trial", text=f"{TEXT}\n{place}"
    )
    await telling.tell(channel, message, None)
