"""What belongs to the service beside database and pictures: settings, keys, CA, bots with their sessions, workflows.

All of the data folder goes along but what is named here, so that nothing new is forgotten. SQLite files (sessions and
memories of bots) are copied by SQLite, since a copy of one in use is of no use. What is larger than FILE_BYTES_MAX is
no setting and no key; it is left out, and told.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from control_plane.backup.archive import ALSO, DATA, SETTINGS, Member
from control_plane.settings import FIELDS, Settings

FILE_BYTES_MAX = 64 * 1024**2
LEFT = frozenset({"artifacts", "spool", "scratch", "demo_chats", "restored", "address", "up.lock"})
"""In the data folder: what is backed up otherwise, what is on its way, and what says who runs just now."""
LEFT_PREFIX = "postgres"
"""The embedded server, its locks, and what an upgrade has left of an older one."""
SQLITE = b"SQLite format 3\0"
SQLITE_BESIDE = ("-wal", "-shm", "-journal")


def is_left(name: str) -> bool:
    """Whether something of this name in the data folder is in no backup; so none may bring it back either."""
    return name in LEFT or name.startswith(LEFT_PREFIX)


class Belongings:
    """Found once; `left_out` says what was too large or could not be read."""

    def __init__(self, settings: Settings, keep_out: tuple[Path, ...]) -> None:
        self.left_out: list[str] = []
        self._settings = settings
        self._keep_out = {path.resolve() for path in (settings.artifacts_folder, *keep_out)}

    def members(self) -> Iterator[Member]:
        chosen = self._settings
        yield Member(SETTINGS, settings_toml(chosen).encode())
        for entry in sorted(chosen.data_dir.glob("*")):
            if not is_left(entry.name):
                yield from self._below(entry, DATA, chosen.data_dir)
        elsewhere = (chosen.policy, chosen.workflows, *chosen.backup_also)
        for path in dict.fromkeys(path for path in elsewhere if path is not None):
            if not path.is_relative_to(chosen.data_dir):
                if not path.exists():
                    self.left_out.append(f"{path} (is not there)")
                yield from self._below(path, ALSO, Path("/"))

    def _below(self, path: Path, prefix: str, root: Path) -> Iterator[Member]:
        for file in sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]:
            if not file.is_file() or file.is_symlink() or self._kept_out(file) or file.name.endswith(SQLITE_BESIDE):
                continue
            try:
                if (found := self._member(file, f"{prefix}/{file.relative_to(root)}")) is not None:
                    yield found
            except OSError as error:
                self.left_out.append(f"{file} ({error.strerror})")

    def _member(self, file: Path, name: str) -> Member | None:
        stat = file.stat()
        if stat.st_size > FILE_BYTES_MAX:
            self.left_out.append(f"{file} ({stat.st_size // 1024**2} MiB)")
            return None
        content = file.read_bytes()
        return Member(name, _sqlite(file, content) if content.startswith(SQLITE) else content, stat.st_mode)

    def _kept_out(self, file: Path) -> bool:
        return any(file.resolve().is_relative_to(folder) for folder in self._keep_out)


def _sqlite(file: Path, content: bytes) -> bytes:
    """As of one moment, whoever is writing. A file with a log that nobody has open is whole as it lies there; SQLite
    would want to make its log anew, and a right to write in that folder."""
    address = f"file:{quote(str(file))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(":memory:")) as copy:
            source.backup(copy)
            return copy.serialize()
    except sqlite3.OperationalError as error:
        if file.with_name(file.name + "-wal").exists():
            raise OSError(errno.EACCES, str(error)) from error
        return content


def settings_toml(settings: Settings) -> str:
    """What differs from the defaults, secrets too, as the file that TESSERA_CONFIG may name."""
    defaults = Settings(data_dir=settings.data_dir)
    lines = [
        "# The settings that were in effect when this backup was made. Name this file in TESSERA_CONFIG to use them.\n"
    ]
    for name in FIELDS:
        value = getattr(settings, name)
        if value != getattr(defaults, name) or name == "data_dir":
            lines.append(f"{name} = {_toml(value)}\n")
    return "".join(lines)


def _toml(value: Any) -> str:
    plain = value if isinstance(value, bool | int | float) else str(value)
    return json.dumps(plain, ensure_ascii=False)  # of such values TOML and JSON write the same
