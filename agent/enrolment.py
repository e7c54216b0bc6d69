"""Turning a one-time token into a credential of one's own.

The secret is made here and only its hash is sent. The same token with the same hash gives the same worker again,
so a lost answer is simply asked for once more.
"""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

import aiohttp

from agent.authority import ForeignAuthority, fetch, split
from agent.client import NoAnswer, agent_version, connect
from agent.credential import Credential, new_secret, secret_sha256
from agent.retry import pause
from control_plane.wire.worker import Enrolled, EnrollRequest

TRIES_MAX = 3


async def enroll(url: str, token: str, name: str) -> Credential:
    """Raises `Problem` (refused), `NoAnswer` (not reached) or `ForeignAuthority`."""
    bare, fingerprint = split(token)
    pem = await _authority(url, fingerprint) if fingerprint is not None else ""
    secret = new_secret()
    request = EnrollRequest(token=bare, secret_sha256=secret_sha256(secret), name=name, agent_version=agent_version())
    enrolled = await _enroll(url, request, pem)
    return Credential(
        url=url.rstrip("/"), secret=secret, worker_id=enrolled.worker_id, name=enrolled.name, authority=pem
    )


async def _authority(url: str, fingerprint: str) -> str:
    if urlsplit(url).scheme != "https":
        raise ForeignAuthority(f"This token belongs to an https:// address, and {url} is none.")
    try:
        return await fetch(url, fingerprint)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NoAnswer(str(error) or "no answer in time") from error


async def _enroll(url: str, request: EnrollRequest, authority: str) -> Enrolled:
    async with connect(url, authority=authority) as client:
        for tries in range(1, TRIES_MAX):
            try:
                return await client.enroll(request)
            except NoAnswer:
                await asyncio.sleep(pause(tries))
        return await client.enroll(request)


def is_plain(url: str) -> bool:
    """Whether everybody on the way could read along: http to another machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in (None, "localhost"):
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
