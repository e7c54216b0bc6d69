"""Ties a program to the process that starts it: `python -m control_plane.cli.tether PROGRAM ARGUMENT…`

When the parent dies, even by SIGKILL, the kernel ends the program too (Linux: PR_SET_PDEATHSIG, which survives the
exec). Elsewhere a small guardian stays behind and watches for the same. So nothing of `tessera up` outlives it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
BEAT_SECONDS = 0.5
"""How often the guardian looks, where the kernel does not tell."""


def main(parent: int, command: list[str]) -> None:
    """Become `command`, tied to `parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _guard(parent, os.getpid())
    if os.getppid() != parent:  # it died before the knot was tied
        sys.exit(os.EX_UNAVAILABLE)
    os.execv(command[0], command)  # noqa: S606 - this is the whole purpose


def _guard(parent: int, program: int) -> None:
    """A process of its own that ends the program when its parent has gone, and itself when either has."""
    if os.fork() != 0:
        return
    os.setsid()
    while _alive(program):
        if not _alive(parent):
            os.kill(program, signal.SIGKILL)
        time.sleep(BEAT_SECONDS)
    os._exit(os.EX_OK)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command(*argv: str) -> list[str]:
    """What to start so that `argv` is tied to this process."""
    return [sys.executable, "-m", "control_plane.cli.tether", str(os.getpid()), *argv]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
