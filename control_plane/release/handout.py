"""What lies below `/install`: the agent of this control plane with everything that installing it takes.

It is put together when it is first asked for, and once: a process hands out the same agent as long as it lives.
"""

from __future__ import annotations

import hashlib
import shlex
from functools import cache
from pathlib import Path

import msgspec

from control_plane.release.wheel import ROOT, Unpackable, Wheel, pack
from control_plane.settings import Settings
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.release import AgentRelease

PROTOCOL_MIN = 1
"""The oldest protocol that is still served."""
REQUIREMENTS = "ops/requirements-agent.lock"
INSTALLER = "ops/install-agent.sh"
FILLED_IN = "# (the control plane fills in its address here)\n"
"""A line of the installer."""


class Handout(msgspec.Struct, frozen=True, kw_only=True):
    wheel: Wheel
    requirements: bytes
    installer: str

    @property
    def release(self) -> AgentRelease:
        return AgentRelease(
            version=self.wheel.version,
            wheel=self.wheel.name,
            wheel_sha256=self.wheel.sha256,
            requirements_sha256=hashlib.sha256(self.requirements).hexdigest(),
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_VERSION,
        )

    def script(self, settings: Settings) -> bytes:
        """The installer as this control plane hands it out: it knows where it came from and whom to trust."""
        known = f"url={shlex.quote(settings.base_url)}\nauthority={shlex.quote(authority(settings))}\n"
        return self.installer.replace(FILLED_IN, known, 1).encode()


@cache
def handout(root: Path = ROOT) -> Handout:
    """Raises `Unpackable`."""
    return Handout(
        wheel=pack(root), requirements=_read(root / REQUIREMENTS), installer=_read(root / INSTALLER).decode()
    )


def authority(settings: Settings) -> str:
    """The certificate of who has signed ours, as PEM; empty when any system's own list knows them."""
    if settings.tls_authority is None:
        return ""
    try:
        return settings.tls_authority.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unpackable(f"TESSERA_TLS_AUTHORITY names {settings.tls_authority}, which cannot be read.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unpackable(f"{path} cannot be read, so no agent can be handed out. Install Tessera anew.") from error
