"""Why this machine takes no work for the time being, and until when.

Two reasons hold the whole agent: its owner paused it, or these are quiet hours. A pause of the owner is written down,
so that it outlives a restart. `resume` ends both: of quiet hours, those that are going on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from agent import clock
from agent.settings import Settings

PauseReason = Literal["owner", "quiet hours"]


class Pause(msgspec.Struct, frozen=True):
    reason: PauseReason
    until: datetime | None = None
    """An instant of this machine's wall clock, for people; None: until it is resumed."""


class _Kept(msgspec.Struct, frozen=True):
    until: datetime | None


class Pauses:
    def __init__(self, settings: Settings) -> None:
        self.current: Pause | None = None
        self._quiet = settings.quiet_hours
        self._zone = settings.time_zone
        self._file = settings.pause_file
        self._owner: Pause | None = _read(self._file)
        self._over_at: float | None = None
        """For a pause of which its owner said how long it lasts: by the agent's clock, which nobody sets."""
        self._awake_until: datetime | None = None
        """The end of quiet hours that the owner does not want."""
        self.look()

    def pause(self, until: datetime | None = None, lasts: timedelta | None = None) -> None:
        self._owner = Pause("owner", until)
        self._over_at = None if lasts is None else clock.now() + lasts.total_seconds()
        self._file.write_bytes(msgspec.json.encode(_Kept(until)))
        self.look()

    def resume(self) -> None:
        self._end()
        self._awake_until = self._quiet.ends(datetime.now(UTC), self._zone)
        self.look()

    def look(self) -> bool:
        """What holds now; whether that has changed."""
        before, now = self.current, datetime.now(UTC)
        if self._owner is not None and self._is_over(self._owner, now):
            self._end()
        self.current = self._owner or self._quiet_now(now)
        return self.current != before

    def _is_over(self, pause: Pause, now: datetime) -> bool:
        if self._over_at is not None:
            return clock.now() >= self._over_at
        return pause.until is not None and now >= pause.until

    def _quiet_now(self, now: datetime) -> Pause | None:
        ends = self._quiet.ends(now, self._zone)
        return None if ends is None or ends == self._awake_until else Pause("quiet hours", ends)

    def _end(self) -> None:
        self._owner = self._over_at = None
        self._file.unlink(missing_ok=True)


def _read(file: Path) -> Pause | None:
    """The pause that an earlier agent left, when there is one."""
    try:
        return Pause("owner", msgspec.json.decode(file.read_bytes(), type=_Kept).until)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Pause("owner")
