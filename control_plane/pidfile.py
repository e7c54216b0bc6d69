"""What `postmaster.pid` of a PostgreSQL cluster says, and whether the process that it names is that server.

A number alone proves nothing: after a power cut another program may have it, so the command line is looked at, too.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Pidfile:
    """The zero pid when there is none."""

    def __init__(self, lines: list[str]) -> None:
        self.pid = int(lines[0]) if lines else 0
        self.socket = Path(lines[4]) if len(lines) > 4 else Path()
        self.ready = len(lines) > 7 and lines[7].strip() == "ready"

    @classmethod
    def read(cls, folder: Path) -> Pidfile:
        try:
            return cls((folder / "postmaster.pid").read_text().splitlines())
        except FileNotFoundError:
            return cls([])

    def alive(self, folder: Path) -> bool:
        """Whether that process is a server on this folder, and not a stranger that got its pid after a power cut."""
        if self.pid <= 0 or not exists(self.pid):
            return False
        try:
            return os.fsencode(folder) in Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return not Path("/proc/self").exists()  # a system without it: a process of this pid must do


def exists(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has asked about yet does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return not Path("/proc/self").exists()
