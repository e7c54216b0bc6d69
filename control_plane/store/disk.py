"""Whether there is room: nothing new is accepted while less than the reserve is free.

Refusing an order or an input in time costs its sender a `Retry-After`; a full disk under PostgreSQL costs everybody
everything. Both folders count, the one that holds the database and the one that holds the artifacts. What agents bring
for jobs that were taken goes into the reserve, for the work is done and only its result ends it; a share of the reserve
is left to the database whatever comes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from control_plane.errors import DiskLow
from control_plane.settings import Settings

MEASURE_SECONDS = 1.0
"""How long a measurement is good for; asking the file system at every submit would cost more than the answer."""
RETRY_SECONDS = 60.0
DATABASE_SHARE = 1 / 8
"""Of the reserve: what results may not use up either."""


class Disk:
    """Free space of one machine, measured at most once a second."""

    def __init__(self, settings: Settings) -> None:
        self._folders = (settings.data_dir, settings.artifacts_folder)
        self.reserve_bytes = settings.disk_reserve_bytes
        self._free_bytes = 0
        self._measured_at = -MEASURE_SECONDS

    def free_bytes(self) -> int:
        """What an ordinary user may still write to the fuller of the two folders."""
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self._free_bytes = min(map(_free_bytes, self._folders))
            self._measured_at = time.monotonic()
        return self._free_bytes

    def bytes(self) -> int:
        """How large the file system of the fuller of the two is."""
        folder = min(self._folders, key=_free_bytes)
        found = os.statvfs(_nearest(folder))
        return found.f_blocks * found.f_frsize

    def check(self, wanted_bytes: int = 0) -> None:
        """For what is new. Raises `DiskLow` when `wanted_bytes` more would eat into the reserve."""
        self._check(wanted_bytes, self.reserve_bytes)

    def check_result(self, wanted_bytes: int) -> None:
        """For the result of a job that was taken. Raises `DiskLow` when the reserve itself is nearly used up."""
        self._check(wanted_bytes, int(self.reserve_bytes * DATABASE_SHARE))

    @property
    def is_low(self) -> bool:
        """Whether nothing new is accepted."""
        return self.free_bytes() < self.reserve_bytes

    def _check(self, wanted_bytes: int, left_bytes: int) -> None:
        if self.free_bytes() - wanted_bytes < left_bytes:
            raise DiskLow(
                "The disk of this service is nearly full, so nothing new is accepted. Try again later.",
                retry_after=RETRY_SECONDS,
            )


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(_nearest(folder))
    return found.f_bavail * found.f_frsize


def _nearest(folder: Path) -> Path:
    """The nearest folder that exists: the rest is made when it is needed."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
