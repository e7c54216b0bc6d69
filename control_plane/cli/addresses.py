"""Addresses of databases on a command line: never with a password, which every user of the machine could read there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from control_plane.cli.parsing import EX_USAGE, CommandError


def database_address(word: str) -> str:
    """The address itself, or the one in the file `@FILE` names."""
    if not word.startswith("@"):
        address = word
        if _password(address):
            raise CommandError(
                "A password on the command line is seen by everybody on this machine. Write the address into a file"
                " that only you can read, and say @FILE.",
                EX_USAGE,
            )
    else:
        try:
            address = Path(word[1:]).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{word[1:]} cannot be read: {error}.", EX_USAGE) from error
    if not address.startswith(("postgresql://", "postgres://")):
        raise CommandError("The address of a database looks like postgresql://user@host/database.", EX_USAGE)
    return address


def _password(address: str) -> bool:
    try:
        url = urlsplit(address)
        return bool(url.password) or "password=" in url.query
    except ValueError:
        return False
