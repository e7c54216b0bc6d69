"""Turning a one-time token into a credential of one's own.

The secret is made here and only its hash is sent. The same token with the same hash gives the same worker again,
so a lost answer is simply asked for once more.
"""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

from agent.client import NoAnswer, agent_version, connect
from agent.credential import Credential, new_secret, secret_sha256
from agent.retry import pause
from control_plane.wire.worker import Enrolled, EnrollRequest

TRIES_MAX = 3


async def enroll(url: str, token: str, name: str) -> Credential:
    """Raises `Problem` (refused) or `NoAnswer` (not reached)."""
    secret = new_secret()
    request = EnrollRequest(token=token, secret_sha256=secret_sha256(secret), name=name, agent_version=agent_version())
    enrolled = await _enroll(url, request)
    return Credential(url=url.rstrip("/"), secret=secret, worker_id=enrolled.worker_id, name=enrolled.name)


async def _enroll(url: str, request: EnrollRequest) -> Enrolled:
    async with connect(url) as client:
        for tries in range(1, TRIES_MAX):
            try:
                return await client.enroll(request)
            except NoAnswer:
                await asyncio.sleep(pause(tries))
        return await client.enroll(request)


def is_exposed(url: str) -> bool:
    """Whether the credential would cross a foreign network in clear text: http, and no loopback or private address."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in (None, "localhost"):
        return False
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return "." in (parts.hostname or "") and not (parts.hostname or "").endswith((".local", ".lan", ".internal"))
    return not (address.is_private or address.is_loopback)
