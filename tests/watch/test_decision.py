"""What becomes of incidents: promises about every course that trouble can take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from control_plane.watch.decision import (
    QUIET_SECONDS,
    REMINDER_SECONDS,
    REOPEN_SECONDS,
    UPDATE_SECONDS,
    Incident,
    Trouble,
    decide,
)
from control_plane.watch.kinds import KINDS, Kind

START = datetime(2026, 11, 23, tzinfo=UTC)
COURSES = st.lists(
    st.tuples(
        st.floats(1.0, 7_200.0),
        st.sets(st.sampled_from([("disk_low", ""), ("bot_dead", "a"), ("bot_dead", "b"), ("no_worker", "")])),
        st.sets(st.sampled_from(["bot_dead", "disk_low"])),
        st.sampled_from(["ten", "nine"]),
        st.booleans(),
    ),
    max_size=40,
)
"""Of looks: seconds since the one before, what is wrong, what could not be looked at, in which words, and whether
somebody acknowledges what is open."""


class Table:
    """What the database would hold."""

    def __init__(self) -> None:
        self.now = START
        self.rows: dict[int, Incident] = {}
        self.rung: list[tuple[datetime, Incident]] = []

    def look(self, found: list[Trouble], blind: set[Kind], seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        reach = self.now - timedelta(seconds=REOPEN_SECONDS)
        known = [row for row in self.rows.values() if row.closed_at is None or row.closed_at > reach]
        decision = decide(known, found, blind, self.now)
        for incident in decision.forgotten:
            assert incident.id is not None
            del self.rows[incident.id]
        for incident in decision.changed:
            self.write(incident)

    def write(self, incident: Incident) -> None:
        row = incident if incident.id is not None else replace(incident, id=max(self.rows, default=0) + 1)
        assert row.id is not None
        before = self.rows.get(row.id)
        assert before is None or row.edition >= before.edition
        if row.rings > (before.rings if before is not None else 0):
            self.rung.append((self.now, row))
        self.rows[row.id] = row

    def acknowledge(self) -> None:
        for row in list(self.rows.values()):
            if row.closed_at is None and row.opened_at is not None and row.id is not None:
                self.rows[row.id] = replace(row, acked_at=self.now)


def wrong(*kinds: tuple[Kind, str], words: str = "ten") -> list[Trouble]:
    return [Trouble(kind=kind, subject=subject, summary=words) for kind, subject in kinds]


@given(COURSES)
def test_whatever_comes_and_goes_there_is_one_incident_of_each_thing_and_it_rings_rarely(
    course: list[tuple[float, set[tuple[Kind, str]], set[Kind], str, bool]],
) -> None:
    table = Table()
    for seconds, kinds, blind, words, acked in course:
        seen = {(kind, subject) for kind, subject in kinds if kind not in blind}
        table.look(wrong(*sorted(seen), words=words), blind, seconds)
        live = [(row.kind, row.subject) for row in table.rows.values() if row.closed_at is None]
        assert len(live) == len(set(live))
        assert seen <= set(live), "what is wrong now is never closed"
        for row in table.rows.values():
            assert row.closed_at is None or row.opened_at is not None
            assert row.rings <= row.edition
            assert row.edition > 0 or row.opened_at is None
        if acked:
            table.acknowledge()
    for thing in {(row.kind, row.subject) for _, row in table.rung}:
        times = [at for at, row in table.rung if (row.kind, row.subject) == thing]
        least = timedelta(seconds=min(REOPEN_SECONDS, *REMINDER_SECONDS))
        assert all(later - earlier >= least for earlier, later in pairwise(times))
    assert not any(row.reminders and row.acked_at and row.acked_at < at for at, row in table.rung)


@given(st.sampled_from(sorted(KINDS)), st.floats(1.0, 600.0))
@example("disk_low", 60 / 7)  # seven of them are a minute by a clock of microseconds, and less by the sum of floats
def test_what_lasts_is_told_after_its_patience_and_closed_when_it_is_gone_for_a_while(kind: Kind, beat: float) -> None:
    table = Table()
    table.look(wrong((kind, "")), set(), 0.0)
    began = table.now
    while table.now - began < timedelta(seconds=KINDS[kind].patience_seconds):
        assert not table.rung
        table.look(wrong((kind, "")), set(), beat)
    assert len(table.rung) == 1
    last_seen = table.now
    while table.now - last_seen < timedelta(seconds=QUIET_SECONDS):
        assert table.rows[1].closed_at is None
        table.look([], set(), beat)
    assert table.rows[1].closed_at == table.now
    assert len(table.rung) == 1, "an end makes no noise"


def test_what_goes_before_it_was_told_leaves_nothing() -> None:
    table = Table()
    table.look(wrong(("bot_dead", "a")), set(), 0.0)
    table.look([], set(), 30.0)
    assert (table.rows, table.rung) == ({}, [])


def test_what_cannot_be_looked_at_stays_as_it_was() -> None:
    table = Table()
    table.look(wrong(("disk_low", "")), set(), 0.0)
    table.look(wrong(("disk_low", "")), set(), 60.0)
    before = dict(table.rows)
    table.look([], {"disk_low"}, 10 * QUIET_SECONDS)
    assert table.rows == before


def test_other_words_are_told_silently_and_not_at_every_look() -> None:
    table = Table()
    for _ in range(3):
        table.look(wrong(("no_worker", "")), set(), 30.0)
    table.look(wrong(("no_worker", ""), words="twelve"), set(), 30.0)
    assert table.rows[1].summary == "ten"
    table.look(wrong(("no_worker", ""), words="twelve"), set(), UPDATE_SECONDS)
    assert (table.rows[1].summary, table.rows[1].edition, table.rows[1].rings) == ("twelve", 2, 1)


def test_what_stays_is_told_again_ever_more_rarely_until_somebody_knows() -> None:
    table = Table()
    for _ in range(3 * 24 * 12):
        table.look(wrong(("no_worker", "")), set(), 300.0)
    rung = [(at - START).total_seconds() - 300.0 for at, _ in table.rung]
    assert rung == [0.0, 3_600.0, 5 * 3_600.0, 29 * 3_600.0, 53 * 3_600.0]
    table.acknowledge()
    for _ in range(3 * 24 * 12):
        table.look(wrong(("no_worker", "")), set(), 300.0)
    assert len(table.rung) == len(rung)


def test_what_comes_back_soon_is_the_same_incident_and_makes_no_noise() -> None:
    table = Table()
    table.look(wrong(("no_worker", "")), set(), 0.0)
    table.look([], set(), QUIET_SECONDS)
    table.look(wrong(("no_worker", "")), set(), REOPEN_SECONDS - 1)
    assert (table.rows[1].closed_at, table.rows[1].edition, len(table.rung)) == (None, 3, 1)
    table.look([], set(), QUIET_SECONDS)
    table.look(wrong(("no_worker", "")), set(), REOPEN_SECONDS)
    assert (len(table.rows), len(table.rung)) == (2, 2)
