"""Which licences were accepted on this machine: by whom, when, and in which version. Kept beside the agent's state.

It is a record for the owner, not a proof against him: the time is this machine's own. A licence whose version or
address has changed since is asked for again.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from agent.settings import ConfigurationError
from control_plane.wire.weights import Licence


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    licence: str
    name: str
    version: str
    url: str
    who: str
    """`user@machine`."""
    when: datetime
    how: Literal["asked", "option"]
    """On a terminal, or by --accept."""


def load(path: Path) -> list[Acceptance]:
    """Raises `ConfigurationError`: nothing is taken for accepted because a file is broken, nor is the file lost."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Acceptance])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}). Mend it, or move it away and accept anew."
        ) from error


def is_accepted(acceptances: Sequence[Acceptance], key: str, licence: Licence) -> bool:
    wanted = (key, licence.version, licence.url)
    return any((given.licence, given.version, given.url) == wanted for given in acceptances)


def accept(path: Path, key: str, licence: Licence, how: Literal["asked", "option"]) -> Acceptance:
    """Written before anything is loaded."""
    given = Acceptance(
        licence=key,
        name=licence.name,
        version=licence.version,
        url=licence.url,
        who=_who(),
        when=datetime.now(UTC),
        how=how,
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode([*load(path), given])) + b"\n")
    fresh.replace(path)
    return given


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
