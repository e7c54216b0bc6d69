"""The way to the control plane: encryption, and how long an answer takes."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from agent.authority import trusting
from agent.checkup import Check

CONNECT_SECONDS = 10.0
LOOKS = 3
SLOW_SECONDS = 0.5
EXPIRES_DAYS_MIN = 7
DAY_SECONDS = 86_400


async def encryption(url: str, authority: str = "") -> Check | None:
    """The TLS of an https address, looked at by a connection of its own; None for http. `authority`: a private one."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=trusting(authority))
    except ssl.SSLCertVerificationError as error:
        cure = "The operator must renew or complete the certificate; or this machine's clock is far off."
        return Check(name="tls", result="bad", found=error.verify_message or str(error), cure=cure)
    except (OSError, TimeoutError) as error:
        cure = f"Is {parts.hostname} right? Is a firewall or a VPN in between?"
        return Check(name="tls", result="bad", found=str(error) or "no connection", cure=cure)
    try:
        return _certificate(writer.get_extra_info("ssl_object"))
    finally:
        writer.close()


def _certificate(connection: ssl.SSLObject) -> Check:
    until = str((connection.getpeercert() or {}).get("notAfter", ""))
    days = (ssl.cert_time_to_seconds(until) - time.time()) / DAY_SECONDS if until else EXPIRES_DAYS_MIN
    found = f"{connection.version()}, certificate good for {days:.0f} days"
    if days >= EXPIRES_DAYS_MIN:
        return Check(name="tls", result="ok", found=found)
    return Check(name="tls", result="note", found=found, cure="Tell the operator that it ends soon.")


async def latency(call: Callable[[], Awaitable[object]]) -> Check:
    """The quickest of a few calls over a connection that stands. What `call` raises is its caller's."""
    took = []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        await call()
        took.append(time.perf_counter() - begun)
    found = f"{min(took) * 1_000:.0f} ms for an answer"
    if min(took) < SLOW_SECONDS:
        return Check(name="latency", result="ok", found=found)
    cure = "Slow, but it works: the next job is asked for ahead. Is something else using the line?"
    return Check(name="latency", result="note", found=found, cure=cure)
