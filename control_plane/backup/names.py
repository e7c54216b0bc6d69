"""How the files of a place are called and which are kept: decisions only.

    tessera-20261123T033000Z.tar.age    a backup; `.tar` when it is not closed
    tessera-20261123T033000Z.files      the pictures that belong to it, by their contents: a picture goes with its
                                        last list
    files/3f/3f0c….age                  a picture

Kept are the newest backup of each of the last DAYS days, WEEKS weeks and MONTHS months that have one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

DAYS, WEEKS, MONTHS = 7, 4, 6
SEALED_SUFFIX = ".age"
PICTURES = "files/"

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(tessera-(\d{8}T\d{6}Z))\.tar(\.age)?")
_LIST = re.compile(r"(tessera-\d{8}T\d{6}Z)\.files")


def stem(at: datetime) -> str:
    return f"tessera-{at.astimezone(UTC).strftime(_STAMP)}"


def archive(stem: str, *, sealed: bool) -> str:
    return f"{stem}.tar{SEALED_SUFFIX if sealed else ''}"


def listing(stem: str) -> str:
    return f"{stem}.files"


def picture(sha256: str, *, sealed: bool) -> str:
    return f"{PICTURES}{sha256[:2]}/{sha256}{SEALED_SUFFIX if sealed else ''}"


def is_archive(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_sealed(name: str) -> bool:
    return name.endswith(SEALED_SUFFIX)


def stem_of(name: str) -> str | None:
    """Of a backup or a list; None for anything else."""
    found = _NAME.fullmatch(name) or _LIST.fullmatch(name)
    return found[1] if found else None


def taken_at(name: str) -> datetime:
    found = _NAME.fullmatch(name)
    assert found is not None, name
    return datetime.strptime(found[2], _STAMP).replace(tzinfo=UTC)


def newest_first(names: Iterable[str]) -> list[str]:
    """The backups among these names."""
    return sorted(filter(is_archive, names), key=taken_at, reverse=True)


def kept(names: Iterable[str]) -> set[str]:
    """Of these backups."""
    ordered = newest_first(names)
    return _of_each(ordered, DAYS, _day) | _of_each(ordered, WEEKS, _week) | _of_each(ordered, MONTHS, _month)


def _of_each(ordered: list[str], most: int, period: Callable[[datetime], str]) -> set[str]:
    newest: dict[str, str] = {}
    for name in ordered:
        newest.setdefault(period(taken_at(name)), name)
    return set(list(newest.values())[:most])


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d")


def _week(at: datetime) -> str:
    return at.strftime("%G-%V")


def _month(at: datetime) -> str:
    return at.strftime("%Y-%m")
