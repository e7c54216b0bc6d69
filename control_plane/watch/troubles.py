"""What is wrong, given the facts. Pure; numbers in the words are rounded so that they change rarely."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from control_plane.watch.decision import Trouble
from control_plane.watch.facts import Certificate, Facts, House, Line
from control_plane.watch.kinds import Kind

UNSERVED_SECONDS = 600.0
BACKUP_LATE_SECONDS = 26 * 3_600.0
"""Since the last good one: a day, and time to make it."""
BACKUP_FIRST_SECONDS = 48 * 3_600.0
"""A new service may be so old before it misses its first backup."""
DISK_SHARE_MIN = 0.10
CERTIFICATE_DAYS_MIN = 14.0
"""Those that renew by themselves do so thirty days ahead."""
NAMED_MAX = 5
GIB = 1024**3
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


def troubles(facts: Facts) -> list[Trouble]:
    return [trouble for look in LOOKS for trouble in look(facts)]


def blind(facts: Facts) -> set[Kind]:
    """The kinds that these facts say nothing about."""
    unseen: dict[Kind, object] = {
        "job_overdue": facts.overdue,
        "disk_low": facts.room,
        "bot_dead": facts.bots,
        "certificate_ending": facts.certificate,
        "ledger_violated": facts.house.ledger_violations,
    }
    return {kind for kind, seen in unseen.items() if seen is None}


def _no_worker(facts: Facts) -> Iterator[Trouble]:
    unserved = [line for line in facts.lines if is_unserved(line)]
    if unserved:
        named = ", ".join(f"{line.kind}/{line.model}" for line in unserved[:NAMED_MAX])
        waiting = max(line.oldest_seconds for line in unserved)
        summary = (
            f"Orders wait for {named}, and no machine that is there can do them. The oldest waits {rough(waiting)}."
        )
        yield Trouble(kind="no_worker", summary=summary)


def is_unserved(line: Line) -> bool:
    """Work waits, and for ten minutes nobody has been there for it."""
    long_gone = line.unserved_seconds is None or line.unserved_seconds >= UNSERVED_SECONDS
    return line.live_slots == 0 and line.oldest_seconds >= UNSERVED_SECONDS and long_gone


def _overdue(facts: Facts) -> Iterator[Trouble]:
    late = sorted(facts.overdue or (), key=lambda one: -one.waited_seconds)
    if late:
        summary = (
            f"Job {late[0].job_id} ({late[0].lane}) has waited {rough(late[0].waited_seconds)}, longer than its bound"
            f" allows. `tessera job why {late[0].job_id}` says what holds it up."
        )
        yield Trouble(kind="job_overdue", summary=summary)


def _ledger(facts: Facts) -> Iterator[Trouble]:
    if violations := facts.house.ledger_violations:
        count = "A disagreement" if violations == 1 else f"{violations} disagreements"
        yield Trouble(
            kind="ledger_violated", summary=f"{count} in the books. `tessera ledger check` names what disagrees."
        )


def _backup(facts: Facts) -> Iterator[Trouble]:
    house = facts.house
    if house.backup_error is not None:
        # The error may hold names of places; `tessera backup list` shows it to who may see them.
        yield Trouble(kind="backup_failed", summary="The last backup failed. `tessera backup list` says why.")
    if late := backup_late(house):
        yield Trouble(kind="backup_late", summary=late)


def backup_late(house: House) -> str | None:
    """Why there should have been a backup by now; None when all is well."""
    if house.backup_good_seconds is not None:
        if house.backup_good_seconds < BACKUP_LATE_SECONDS:
            return None
        return f"The last good backup is {rough(house.backup_good_seconds)} old."
    if house.age_seconds < BACKUP_FIRST_SECONDS:
        return None
    return "There has never been a good backup of this service. Set TESSERA_BACKUP_URL, and `tessera backup` makes one."


def _disk(facts: Facts) -> Iterator[Trouble]:
    room = facts.room
    if room is None or (room.share >= DISK_SHARE_MIN and room.free_bytes >= room.reserve_bytes):
        return
    summary = (
        f"{room.share * 100:.0f} % of the disk is free ({room.free_bytes / GIB:.0f} of {room.bytes / GIB:.0f} GiB)."
    )
    if room.free_bytes < room.reserve_bytes:
        summary += " Orders and uploads are refused."
    yield Trouble(kind="disk_low", summary=summary)


def _bots(facts: Facts) -> Iterator[Trouble]:
    for bot in facts.bots or ():
        if not bot.ready:
            why = f": {bot.why}" if bot.why else ""
            yield Trouble(kind="bot_dead", subject=bot.name, summary=f"The bot {bot.name} is not ready{why}.")


def _reports(facts: Facts) -> Iterator[Trouble]:
    house = facts.house
    if house.reports_open:
        count = "A report is" if house.reports_open == 1 else f"{house.reports_open} reports are"
        summary = (
            f"{count} open, the oldest for {rough(house.report_seconds or 0.0)}. `tessera report list` shows them."
        )
        yield Trouble(kind="report_waiting", summary=summary)


def _payments(facts: Facts) -> Iterator[Trouble]:
    if count := facts.house.payments_unmatched:
        number = "A payment" if count == 1 else f"{count} payments"
        summary = f"{number} of the last seven days could not be credited to anybody."
        yield Trouble(kind="payment_unmatched", summary=summary)


def _certificate(facts: Facts) -> Iterator[Trouble]:
    found = facts.certificate
    if found is not None and (words := certificate_trouble(found)):
        yield Trouble(kind="certificate_ending", subject=found.host, summary=words)


def certificate_trouble(found: Certificate) -> str | None:
    if found.days is None:
        return f"{found.host} does not answer by TLS as browsers want it: {found.fault}."
    if found.days < CERTIFICATE_DAYS_MIN:
        return f"The certificate of {found.host} ends in {max(found.days, 0):.0f} days."
    return None


LOOKS: tuple[Callable[[Facts], Iterator[Trouble]], ...] = (
    *(_no_worker, _overdue, _ledger, _backup, _disk, _bots, _reports, _payments, _certificate),
)


def rough(seconds: float) -> str:
    """A duration in words that change rarely."""
    for unit, name in ((DAY, "days"), (HOUR, "hours")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(10.0, seconds // (10 * MINUTE) * 10):.0f} minutes"
