"""Secrets of the bots: each a file of its own that its user alone can read, or a line of the configuration file.

The files lie in `credentials` beside the configuration file (`tessera-bots setup` writes them there), or where systemd
puts them (`LoadCredential=`, which tells the folder as `CREDENTIALS_DIRECTORY`). A file that others can read is
refused, because whoever has a token is the bot.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o077
PRIVATE_IN_SYSTEMD = 0o007
"""systemd lets the service's user in by an access list, which `stat` shows as rights of the group."""


class CredentialError(Exception):
    """A secret cannot be used; the message says why and what to do."""


class Credentials:
    """`folders` with what others may not do there, the first that has a secret wins."""

    def __init__(self, own: Path, systemd: Path | None = None) -> None:
        self.own = own
        self._folders = [(systemd, PRIVATE_IN_SYSTEMD)] if systemd is not None else []
        self._folders.append((own, PRIVATE))

    def read(self, name: str) -> str | None:
        """None when there is no such file. Raises `CredentialError`."""
        for folder, forbidden in self._folders:
            path = folder / name
            try:
                check_private(path, forbidden)
                return path.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise CredentialError(f"{path} cannot be read: {error}.") from error
        return None

    def write(self, name: str, secret: str) -> Path:
        """Written whole or not at all."""
        self.own.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, fresh = self.own / name, self.own / f"{name}.new"
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        return path


def check_private(path: Path, forbidden: int = PRIVATE) -> None:
    """Raises `CredentialError` when others can read it, `OSError` when there is none."""
    if path.stat().st_mode & forbidden:
        raise CredentialError(f"{path} holds secrets and can be read by others on this machine. Run: chmod 600 {path}")
