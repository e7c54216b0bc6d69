"""Closing files with age, and opening them.

A file is closed to public keys; the secret key that opens it (the identity) stays with the operator, on another machine
or on paper. So that a backup can be proven where it was made, each run closes to one more key, which is made for it,
never leaves its memory, and opens what was read back. `none` closes nothing: the operator has said so, and it is told.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_plane.backup import BackupError

if TYPE_CHECKING:
    from types import ModuleType

NONE = "none"
SECRET_PREFIX = "AGE-SECRET-KEY-"
NO_RECIPIENT = (
    "TESSERA_BACKUP_RECIPIENT is not set. A backup holds everybody's pictures, prompts and secrets, so it is closed"
    " with a key: `tessera backup key` makes one and says what to do with it. To leave backups open, set it to `none`."
)


class Seal:
    """To whom the files of one run are closed."""

    def __init__(self, recipients: str | None) -> None:
        if recipients is None:
            raise BackupError(NO_RECIPIENT)
        self.closed = recipients != NONE
        self._probe: Any = None
        self._recipients: list[Any] = []
        if self.closed:
            age = _age()
            self._probe = age.x25519.Identity.generate()
            self._recipients = [*map(_recipient, recipients.split(",")), self._probe.to_public()]

    def close(self, source: Path, target: Path) -> None:
        if self.closed:
            _age().encrypt_file(str(source), str(target), self._recipients)
        else:
            shutil.copyfile(source, target)

    def reopen(self, source: Path, target: Path) -> None:
        """What this run has closed. Raises `BackupError` when it is not what it was."""
        _open(source, target, [self._probe] if self.closed else None)


class Opener:
    """Opens files of any run, by the operator's identity; `None` opens only what was never closed."""

    def __init__(self, identity: Path | None) -> None:
        self._identities = None if identity is None else _identities(identity)

    def open(self, source: Path, target: Path, *, closed: bool) -> None:
        if closed and self._identities is None:
            raise BackupError(
                "This backup is closed. Give the file with the secret key that `tessera backup key` has printed:"
                " --identity FILE."
            )
        _open(source, target, self._identities if closed else None)


def new_key() -> tuple[str, str]:
    """(secret identity, public recipient)"""
    made = _age().x25519.Identity.generate()
    return str(made), str(made.to_public())


def _open(source: Path, target: Path, identities: list[Any] | None) -> None:
    if identities is None:
        shutil.copyfile(source, target)
        return
    age = _age()
    try:
        age.decrypt_file(str(source), str(target), identities)
    except (age.DecryptError, OSError) as error:
        raise BackupError(f"{source.name} cannot be opened: it is damaged, or the key is not its own.") from error


def _recipient(text: str) -> Any:
    age = _age()
    try:
        return age.x25519.Recipient.from_str(text.strip())
    except age.RecipientError as error:
        raise BackupError(
            f"TESSERA_BACKUP_RECIPIENT: {text.strip()} is no public key of age; is it whole? (age1…)"
        ) from error


def _identities(file: Path) -> list[Any]:
    age = _age()
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
        found = [age.x25519.Identity.from_str(line) for line in lines if line.startswith(SECRET_PREFIX)]
    except (OSError, UnicodeDecodeError, age.IdentityError) as error:
        raise BackupError(f"The secret key in {file} cannot be read.") from error
    if not found:
        raise BackupError(f"There is no secret key in {file}: a line that begins with {SECRET_PREFIX}.")
    return found


def _age() -> ModuleType | Any:
    try:
        import pyrage
    except ImportError as error:
        raise BackupError(
            "Backups are closed with the package pyrage, which is not here: pip install 'tessera[control-plane]'."
        ) from error
    return pyrage
