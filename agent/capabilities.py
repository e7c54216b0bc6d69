"""What this machine has to offer besides its engine: memory and disk, read from the system."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

GIB = 1024**3


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    memory_gib: float
    memory_available_gib: float
    disk_free_gib: float
    disk_total_gib: float
    resident_mib: float
    """Of this process."""


def machine(folder: Path) -> Machine:
    """`folder` or its nearest existing parent says which disk is meant."""
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    memory = _fields(Path("/proc/meminfo"))
    return Machine(
        memory_gib=memory.get("MemTotal", 0) / GIB,
        memory_available_gib=memory.get("MemAvailable", 0) / GIB,
        disk_free_gib=disk.free / GIB,
        disk_total_gib=disk.total / GIB,
        resident_mib=_fields(Path("/proc/self/status")).get("VmRSS", 0) / 1024**2,
    )


def _fields(path: Path) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file in /proc, in bytes; empty where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    parts = [line.split() for line in lines]
    return {part[0].rstrip(":"): int(part[1]) * 1024 for part in parts if len(part) == 3 and part[2] == "kB"}
