"""Times on the owner's wall clock: quiet hours, and until when a pause lasts.

Everything that has to do with leases measures durations only, since the clock of a GPU machine may be wrong. When the
owner wants the machine is another matter: it is said in the owner's own time, so it is read off this machine's clock in
its time zone. What is compared are instants, so the days on which clocks are set need no rule of their own: of an hour
that comes twice both belong to a window, and in one that is left out a window begins or ends with the jump.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
WINDOWS_MAX = 50
PAUSE_DAYS_MAX = 366
LOCAL_TIME = Path("/etc/localtime")

_WINDOW = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)(?:\s+([a-z,\s-]+))?", re.ASCII)
_DURATION = re.compile(r"(?=\d)(?:(\d{1,4})d)?\s*(?:(\d{1,5})h)?\s*(?:(\d{1,6})m(?:in)?)?", re.ASCII)
_TIME = re.compile(r"(\d\d?):(\d\d)", re.ASCII)


class Window(msgspec.Struct, frozen=True):
    """Minutes after midnight on the days on which it begins; an end that is not later lies on the next day."""

    start: int
    end: int
    days: tuple[int, ...] = tuple(range(7))

    def on(self, day: date, zone: tzinfo) -> tuple[datetime, datetime]:
        """Its first instant and the one after its last, of the window that begins on `day`."""
        end = self.end if self.end > self.start else self.end + DAY_MINUTES
        return _instant(day, self.start, zone, fold=0), _instant(day, end, zone, fold=1)


class QuietHours:
    """When the machine is its owner's."""

    def __init__(self, windows: tuple[Window, ...] = ()) -> None:
        self.windows = windows

    def ends(self, now: datetime, zone: tzinfo) -> datetime | None:
        """When the quiet time of this moment is over; None when it is none. Windows that touch are one."""
        today = now.astimezone(zone).date()
        stretches = sorted(
            window.on(today + timedelta(days=days), zone)
            for days in range(-1, 9)
            for window in self.windows
            if (today + timedelta(days=days)).weekday() in window.days
        )
        end: datetime | None = None
        for begins, over in stretches:
            if begins <= (end or now) < over:
                end = over
        return end


def quiet_hours(raw: object) -> QuietHours:
    """Of the settings: a list of windows, or one text with semicolons. Raises `ValueError`."""
    texts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(texts, Sequence) or len(texts) > WINDOWS_MAX or not all(isinstance(text, str) for text in texts):
        raise ValueError("quiet hours are a list of texts")
    return QuietHours(tuple(window(text) for text in texts if text.strip()))


def window(text: str) -> Window:
    """`18:00-23:30`, `22:00-02:00 fri,sat`, `18:00-24:00 mon-fri`. Raises `ValueError`."""
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is not like 18:00-23:30 mon-fri")
    start, end = _minutes(found[1], found[2]), _minutes(found[3], found[4])
    if start in (end, DAY_MINUTES):
        raise ValueError(f"{text!r} is empty; the whole day is 00:00-24:00")
    return Window(start, end, _days(found[5]) if found[5] else tuple(range(7)))


def until(text: str, now: datetime, zone: tzinfo) -> tuple[datetime, timedelta | None]:
    """When a pause `--until` this ends, and how long it lasts if a duration was said. Raises `ValueError`.

    `2h`, `90m`, `1d12h`; `18:00`, the next time that the clock shows it; `2026-12-24` or `2026-12-24T18:00`.
    """
    said = text.strip().lower()
    if lasts := _duration(said):
        return _near(now + lasts, now), lasts
    if found := _TIME.fullmatch(said):
        minutes, today = _minutes(found[1], found[2]), now.astimezone(zone).date()
        coming = (_instant(today + timedelta(days=days), minutes, zone, fold=1) for days in range(3))
        return next(at for at in coming if at > now), None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is neither a time (18:00), a duration (2h) nor a date (2026-12-24T18:00)") from None
    return _near((at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC), now), None


def zone(name: str | None) -> tzinfo:
    """The time zone of this name, else this machine's. Raises `ValueError`."""
    try:
        if name is not None:
            return ZoneInfo(name)
        with LOCAL_TIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        if name is not None:
            raise ValueError(f"there is no time zone {name!r}") from error
        return UTC


def _near(at: datetime, now: datetime) -> datetime:
    if not now < at <= now + timedelta(days=PAUSE_DAYS_MAX):
        raise ValueError(f"that is not within the next {PAUSE_DAYS_MAX} days")
    return at


def _instant(day: date, minutes: int, zone: tzinfo, fold: int) -> datetime:
    days, rest = divmod(minutes, DAY_MINUTES)
    at = day + timedelta(days=days)
    local = datetime(at.year, at.month, at.day, rest // 60, rest % 60, tzinfo=zone, fold=fold)
    return local.astimezone(UTC)


def _minutes(hours: str, minutes: str) -> int:
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > DAY_MINUTES:
        raise ValueError(f"{hours}:{minutes} is no time of day")
    return found


def _days(text: str) -> tuple[int, ...]:
    """`mon-fri`, `sat,sun`, `fri-mon`."""
    days: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, *others = part.split("-", 1)
        last = others[0] if others else first
        if first not in DAYS or last not in DAYS:
            raise ValueError(f"{part!r} is no day; there are {', '.join(DAYS)}")
        at, end = DAYS.index(first), DAYS.index(last)
        days |= {day % 7 for day in range(at, end + 1 if end >= at else end + 8)}
    return tuple(sorted(days))


def _duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)
