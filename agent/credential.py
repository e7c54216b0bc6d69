"""Who this agent is to the control plane: its address and the worker's own secret, in a file only its owner reads.

The agent makes the secret and sends nothing but its hash, so the secret exists on this machine alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from uuid import UUID

import msgspec

SECRET_PREFIX = "tsw_"
SECRET_BYTES = 32


class CredentialError(Exception):
    """The credential file cannot be used; the message says why and what to do."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """Of the control plane, without a slash at the end."""
    secret: str
    worker_id: UUID
    name: str
    authority: str = ""
    """The certificate of the private authority that the control plane must show, as PEM; empty: any that is known."""


def new_secret() -> str:
    return SECRET_PREFIX + secrets.token_hex(SECRET_BYTES)


def secret_sha256(secret: str) -> str:
    """All that the control plane ever learns about the secret at enrolment."""
    return hashlib.sha256(secret.encode()).hexdigest()


def save(credential: Credential, path: Path) -> None:
    """Written whole or not at all, readable by the owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(credential))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path) -> Credential:
    try:
        if path.stat().st_mode & 0o077:
            raise CredentialError(f"{path} can be read by others on this machine. Run: chmod 600 {path}")
        return msgspec.json.decode(path.read_bytes(), type=Credential)
    except FileNotFoundError:
        raise CredentialError(
            "This machine is not enrolled yet. Run: tessera-agent enroll URL TOKEN"
            " (the operator makes the token with `tessera worker enroll-token`)."
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise CredentialError(f"{path} cannot be read ({error}). Enrol again with --replace.") from error
