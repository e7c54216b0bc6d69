"""What becomes of incidents, given what is wrong now. Pure.

    first seen ─ patience ─► open ─ other words: told anew, silently ─ still there: reminders, ever more rarely
        └ gone: forgotten        └ gone for QUIET_SECONDS: closed ─ back within REOPEN_SECONDS: the same one, silently

So something that comes and goes rings no more often than something that stays. `edition` counts what is to be told of
an incident; `rings` is the last edition that was worth a noise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from control_plane.watch.kinds import KINDS, Kind

QUIET_SECONDS = 120.0
REOPEN_SECONDS = 900.0
UPDATE_SECONDS = 300.0
"""Other words are told no more often than this."""
REMINDER_SECONDS = (3_600.0, 4 * 3_600.0, 24 * 3_600.0)
"""After the opening or the reminder before; the last is repeated."""
SUMMARY_LENGTH_MAX = 1_000


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong now."""

    kind: Kind
    subject: str = ""
    summary: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Trouble as the operator is told of it; see the table."""

    id: int | None
    """None: it is not written down yet."""
    kind: Kind
    subject: str
    summary: str
    first_seen_at: datetime
    last_seen_at: datetime
    opened_at: datetime | None = None
    reminded_at: datetime | None = None
    reminders: int = 0
    acked_at: datetime | None = None
    closed_at: datetime | None = None
    edition: int = 0
    edition_at: datetime
    rings: int = 0


class Decision(msgspec.Struct, frozen=True):
    changed: list[Incident]
    """As they are from now on; those without an id are new."""
    forgotten: list[Incident]


def decide(known: Sequence[Incident], found: Collection[Trouble], blind: Collection[Kind], now: datetime) -> Decision:
    """`known`: those that are not over, and those closed within REOPEN_SECONDS. `blind`: kinds that could not be looked
    at; what is known of these stays as it is."""
    troubles = {(trouble.kind, trouble.subject): trouble for trouble in found}
    standing = {(incident.kind, incident.subject): incident for incident in sorted(known, key=_age)}
    changed, forgotten = [], []
    for key, trouble in troubles.items():
        before = standing.get(key)
        changed.append(_again(before, trouble, now) if before is not None else _begun(trouble, now))
    for key, incident in standing.items():
        if key in troubles or incident.kind in blind or incident.closed_at is not None:
            continue
        if incident.opened_at is None:
            forgotten.append(incident)
        elif _passed(incident.last_seen_at, now, QUIET_SECONDS):
            changed.append(_told(replace(incident, closed_at=now), now))
    return Decision(changed, forgotten)


def _age(incident: Incident) -> tuple[bool, datetime]:
    """The one that is not over last, so that it is the one that counts; else the newest."""
    return incident.closed_at is None, incident.first_seen_at


def _begun(trouble: Trouble, now: datetime) -> Incident:
    summary = trouble.summary[:SUMMARY_LENGTH_MAX]
    begun = Incident(
        id=None,
        kind=trouble.kind,
        subject=trouble.subject,
        summary=summary,
        first_seen_at=now,
        last_seen_at=now,
        edition_at=now,
    )
    return _opened(begun, now)


def _again(before: Incident, trouble: Trouble, now: datetime) -> Incident:
    """The same is still wrong, or once more."""
    if before.closed_at is not None and _passed(before.closed_at, now, REOPEN_SECONDS):
        return _begun(trouble, now)
    summary, seen = trouble.summary[:SUMMARY_LENGTH_MAX], replace(before, last_seen_at=now)
    if before.closed_at is not None:
        return _told(replace(seen, summary=summary, closed_at=None), now)
    if before.opened_at is None:
        return _opened(replace(seen, summary=summary), now)
    if _is_reminder_due(before, now):
        reminded = replace(seen, summary=summary, reminded_at=now, reminders=before.reminders + 1)
        return _told(reminded, now, ring=True)
    if summary != before.summary and _passed(before.edition_at, now, UPDATE_SECONDS):
        return _told(replace(seen, summary=summary), now)
    return seen


def _opened(brewing: Incident, now: datetime) -> Incident:
    if not _passed(brewing.first_seen_at, now, KINDS[brewing.kind].patience_seconds):
        return brewing
    return _told(replace(brewing, opened_at=now), now, ring=True)


def _is_reminder_due(incident: Incident, now: datetime) -> bool:
    if incident.acked_at is not None:
        return False
    since = incident.reminded_at or incident.opened_at
    assert since is not None, "it is open"
    return _passed(since, now, REMINDER_SECONDS[min(incident.reminders, len(REMINDER_SECONDS) - 1)])


def _told(incident: Incident, now: datetime, *, ring: bool = False) -> Incident:
    edition = incident.edition + 1
    return replace(incident, edition=edition, edition_at=now, rings=edition if ring else incident.rings)


def _passed(since: datetime, now: datetime, seconds: float) -> bool:
    return now - since >= timedelta(seconds=seconds)
