"""Whether there is room: nothing new is accepted while less than the reserve is free.

Refusing a submit or an upload in time costs its sender a `Retry-After`; a full disk under PostgreSQL costs everybody
everything. Both folders count, the one that holds the database and the one that holds the artifacts.
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

    def check(self, wanted_bytes: int = 0) -> None:
        """Raises `DiskLow` when `wanted_bytes` more would eat into the reserve."""
        if self.free_bytes() - wanted_bytes < self.reserve_bytes:
            raise DiskLow(
                "The disk of this service is nearly full, so nothing new is accepted. Try again later.",
                retry_after=RETRY_SECONDS,
            )


def _free_bytes(folder: Path) -> int:
    """Of the nearest folder that exists: the rest is made when it is needed."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
