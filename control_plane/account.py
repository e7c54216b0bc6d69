"""Running the embedded database as an ordinary account when Tessera itself runs as root.

PostgreSQL refuses to be root. The account is the owner of an existing cluster, else `tessera` where the system has
such an account, else `nobody`; nothing is added to the system. Where that account cannot reach the cluster or the
binaries (a clone under `/root`), it gets the one capability to pass instead of our opening folders to everybody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

ACCOUNTS = ("tessera", "nobody")
SAME_FOR_ACCESS = "--securebits=+no_setuid_fixup"
"""Without it the kernel forgets the capability when a program asks by access(2) whether it may, as PostgreSQL does."""


def possible() -> bool:
    """Whether a command can be run as another account here, where that is needed at all."""
    return os.geteuid() != 0 or shutil.which("setpriv") is not None


def unprivileged(path: Path) -> int:
    """The uid to make a new cluster with: our own unless that is root's."""
    if os.geteuid() != 0:
        return os.geteuid()
    for candidate in ACCOUNTS:
        try:
            return pwd.getpwnam(candidate).pw_uid
        except KeyError:
            continue
    return path.parent.stat().st_uid


def owner(path: Path) -> int:
    return path.stat().st_uid


def name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def give(path: Path, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, pwd.getpwuid(uid).pw_gid)


def command(arguments: list[str], uid: int, reach: Sequence[Path]) -> list[str]:
    """`arguments` to be run as `uid`, able to reach the paths."""
    if uid == os.geteuid():
        return arguments
    reachable = all(map(_open_to_all, reach))
    keep = "-all" if reachable else "-all,+dac_override"
    options = [f"--reuid={uid}", f"--regid={pwd.getpwuid(uid).pw_gid}", "--clear-groups"]
    options += [f"--{kind}={keep}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    return ["setpriv", *options, *([] if reachable else [SAME_FOR_ACCESS]), *arguments]


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)
