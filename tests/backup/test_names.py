"""Which backups are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from control_plane.backup import names

NOW = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))


def nightly(nights: int) -> list[str]:
    return [names.archive(names.stem(NOW - timedelta(days=night)), sealed=True) for night in range(nights)]


def test_a_year_of_nights_leaves_seven_days_four_weeks_and_six_months() -> None:
    kept = names.kept(nightly(365))
    ages = sorted((NOW - names.taken_at(name)).days for name in kept)
    assert ages[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert len(kept) <= names.DAYS + names.WEEKS + names.MONTHS
    assert len({names.taken_at(name).strftime("%Y-%m") for name in kept}) == names.MONTHS
    assert 140 < ages[-1] < 190


@given(st.sets(moments, min_size=1, max_size=60))
def test_the_newest_is_kept_whatever_there_is_and_so_is_all_that_was_kept_when_asked_again(when: set[datetime]) -> None:
    made = [names.archive(names.stem(at), sealed=False) for at in when]
    kept = names.kept(made)
    assert names.newest_first(made)[0] in kept
    assert names.kept(kept) == kept
    assert len(kept) <= names.DAYS + names.WEEKS + names.MONTHS


def test_several_of_one_day_leave_the_last_one() -> None:
    made = [names.archive(names.stem(NOW + timedelta(hours=hour)), sealed=True) for hour in range(5)]
    assert names.kept(made) == {made[-1]}


def test_what_is_no_backup_is_none_of_our_business() -> None:
    strange = ["notes.txt", "tessera-20261123T033000Z.tar.gz", "tessera-x.tar", "tessera-20261123T033000Z.files"]
    assert names.kept(strange) == set()
    assert [names.stem_of(name) for name in strange] == [None, None, None, "tessera-20261123T033000Z"]
