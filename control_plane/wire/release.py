"""The agent that belongs to a control plane, as its installer and `tessera-agent update` hear of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from control_plane.wire import Message

INSTALL_PATH = "/install"
"""Below it, without any credential: `agent.json`, `agent.sh`, the wheel, `requirements.txt`, `ca.pem`."""

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.+-]{1,200}\Z")]
"""Nothing that could lead out of a folder."""


class AgentRelease(Message, frozen=True, kw_only=True):
    """What to install, and what its files must hash to."""

    version: FileName
    """Of the project, and behind the plus what tells apart agents that are not the same."""
    wheel: FileName
    wheel_sha256: Hash
    requirements_sha256: Hash
    """Of `requirements.txt`: every library with its version and hashes; from which index is the owner's business."""
    protocol_min: int
    protocol_max: int
