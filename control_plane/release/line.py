"""The one line that makes a machine a worker.

The token reaches the installer by its environment: what stands in arguments is for every user of that machine to read.
Behind a private authority nothing on the machine knows whom to trust yet, so the line pins our key (RFC 7469's hash),
and the token carries the fingerprint of the authority.
"""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from control_plane import authority
from control_plane.release.handout import authority as authority_of
from control_plane.settings import Settings

TOKEN_VARIABLE = "TESSERA_AGENT_TOKEN"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def carrying(token: str, settings: Settings) -> str:
    """The token as it is told: with the fingerprint of a private authority behind a dot."""
    known = authority_of(settings)
    return f"{token}.{authority.fingerprint(known)}" if known else token


def install_line(token: str, settings: Settings) -> str:
    """`token`: as `carrying` gives it."""
    url = settings.base_url
    fetch = ["curl", "-fsS"]
    if settings.tls_authority is not None and settings.tls_certificate is not None:
        pin = authority.key_pin(settings.tls_certificate.read_text())
        fetch += ["-k", "--pinnedpubkey", f"sha256//{pin}"]
    run = ["sh", *(["-s", "--", "--plain-http"] if is_plain(url) else [])]
    return f"{shlex.join([*fetch, f'{url}/install/agent.sh'])} | {TOKEN_VARIABLE}={token} {shlex.join(run)}"


def enroll_line(token: str, settings: Settings) -> str:
    """For where the agent is installed already."""
    plain = " --plain-http" if is_plain(settings.base_url) else ""
    return f"tessera-agent enroll {settings.base_url} {token}{plain}"


def is_plain(url: str) -> bool:
    """Whether secrets would cross a network in the clear."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK
