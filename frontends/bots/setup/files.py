"""What is stored: the configuration file, which is only ever appended to, and secrets in files of their own beside it.

So what somebody has written into the file by hand stays as it is, and the file itself may be read by anybody.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from frontends.bots.configuration import ConfigurationError

HEAD = "# The bots of a Tessera service. Their secrets are in credentials/ beside this file.\n"

Value = str | int


class File:
    """A configuration file as it stands, if it does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document = _document(path)

    @property
    def bots(self) -> list[dict[str, Any]]:
        return [table for table in self.document.get("bot", []) if isinstance(table, dict)]

    def bot(self, name: str) -> dict[str, Any] | None:
        return next((table for table in self.bots if table.get("name") == name), None)

    def begin(self, **values: Value) -> None:
        """The upper part of a file that is not there yet."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._append(HEAD + _lines(values), "x")

    def add(self, header: str, **values: Value) -> None:
        """A further table."""
        self._append(f"\n{header}\n{_lines(values)}", "a")

    def _append(self, text: str, mode: str) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error}.") from error
        self.document = _document(self.path)


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


def _lines(values: dict[str, Value]) -> str:
    """As TOML writes them, whose basic strings are JSON's."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
