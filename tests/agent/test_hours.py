"""Quiet hours and pauses on the owner's clock, also on the days on which clocks are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.hours import DAYS, QuietHours, quiet_hours, until, window

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, tzinfo=BERLIN)
"""At 2:00 it becomes 3:00."""
AUTUMN = datetime(2026, 10, 25, tzinfo=BERLIN)
"""At 3:00 it becomes 2:00."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def ends(hours: QuietHours, now: datetime) -> str | None:
    found = hours.ends(now, BERLIN)
    return None if found is None else found.astimezone(BERLIN).strftime("%a %H:%M")


def test_an_evening_is_quiet_on_its_days_until_its_end() -> None:
    hours = quiet_hours(["18:00-23:30 mon-fri"])
    assert ends(hours, at("2026-11-23T18:00")) == "Mon 23:30"
    assert ends(hours, at("2026-11-23T17:59:59")) is None
    assert ends(hours, at("2026-11-23T23:30")) is None
    assert ends(hours, at("2026-11-28T20:00")) is None


def test_a_night_belongs_to_the_day_on_which_it_begins_and_windows_that_touch_are_one() -> None:
    assert ends(quiet_hours("22:00-02:00 fri"), at("2026-11-28T01:59")) == "Sat 02:00"
    assert ends(quiet_hours("22:00-02:00 fri"), at("2026-11-29T01:59")) is None
    assert ends(quiet_hours("18:00-24:00 fri; 00:00-09:30 sat"), at("2026-11-27T19:00")) == "Sat 09:30"


def test_on_the_days_on_which_clocks_are_set_a_window_lasts_as_the_clock_shows() -> None:
    night = quiet_hours("01:30-03:30")

    def lasts(day: datetime) -> float:
        minutes = (day.astimezone(UTC) + timedelta(minutes=minute) for minute in range(26 * 60))
        return (
            sum(night.ends(now, BERLIN) is not None and now.astimezone(BERLIN).day == day.day for now in minutes) / 60
        )

    assert (lasts(SPRING), lasts(SPRING + timedelta(days=3)), lasts(AUTUMN)) == (1.0, 2.0, 3.0)
    assert ends(quiet_hours("01:00-02:30"), AUTUMN.replace(hour=2, minute=29, fold=1)) == "Sun 02:30"


@given(
    windows=st.lists(st.tuples(st.integers(0, 1_439), st.integers(0, 1_440), st.sets(st.integers(0, 6), min_size=1))),
    minute=st.integers(0, 366 * 1_440),
)
def test_it_is_quiet_exactly_when_the_clock_shows_a_time_of_a_window(
    windows: list[tuple[int, int, set[int]]], minute: int
) -> None:
    """Compared with the plain reading of the clock, in a zone where no clock is ever set."""
    texts = [
        f"{start // 60}:{start % 60:02}-{end // 60}:{end % 60:02} {','.join(DAYS[day] for day in days)}"
        for start, end, days in windows[:4]
        if start != end
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    clock = now.hour * 60 + now.minute
    yesterday = (now.weekday() - 1) % 7

    def shows(start: int, end: int, days: set[int]) -> bool:
        if end > start:
            return now.weekday() in days and start <= clock < end
        return (now.weekday() in days and clock >= start) or (yesterday in days and clock < end)

    expected = any(shows(*each) for each in windows[:4] if each[0] != each[1])
    found = quiet_hours(texts).ends(now, UTC)
    assert (found is not None) == expected
    assert found is None or found > now


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "Mon 18:30"),
        ("90m", "Mon 18:00"),
        ("1h30m", "Mon 18:00"),
        ("1d", "Tue 16:30"),
        ("18:00", "Mon 18:00"),
        ("16:30", "Tue 16:30"),
        ("2026-11-25", "Wed 00:00"),
        ("2026-11-25T07:15", "Wed 07:15"),
        ("2026-11-25T07:15Z", "Wed 08:15"),
    ],
)
def test_a_pause_ends_when_it_was_said(text: str, expected: str) -> None:
    found, lasts = until(text, at("2026-11-23T16:30"), BERLIN)
    assert found.astimezone(BERLIN).strftime("%a %H:%M") == expected
    assert (lasts is not None) == text.endswith(("h", "m", "d"))


@pytest.mark.parametrize("text", ["", "soon", "25:00", "18:60", "0h", "2026-11-22", "400d", "18", "-2h", "99999h"])
def test_a_time_that_is_none_or_has_passed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        until(text, at("2026-11-23T16:30"), BERLIN)


@pytest.mark.parametrize("text", ["18-23", "18:00-18:00", "24:00-10:00", "18:00-23:30 someday", "18:00-23:30 mon-"])
def test_hours_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        window(text)
