"""The certificate of the public address, as a browser would meet it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from control_plane.settings import Settings
from control_plane.watch.facts import Certificate

CONNECT_SECONDS = 10.0
DAY_SECONDS = 86_400.0


async def look(settings: Settings, now: datetime) -> Certificate | None:
    """None for an address that is not https."""
    parts = urlsplit(settings.base_url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    host, port = parts.hostname, parts.port or 443
    try:
        tls = _trusting(settings.tls_authority)
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        return Certificate(host=host, days=None, fault=error.verify_message or "its certificate is not trusted")
    except (OSError, ssl.SSLError) as error:
        return Certificate(host=host, days=None, fault=getattr(error, "strerror", None) or "no connection")
    try:
        return Certificate(host=host, days=_days(writer.get_extra_info("ssl_object"), now))
    finally:
        writer.close()


def ends(found: Certificate, now: datetime) -> float:
    """By the clock that everybody reckons with, in seconds since 1970; 0 for one that is not trusted."""
    return 0.0 if found.days is None else now.timestamp() + found.days * DAY_SECONDS


def _trusting(authority: Path | None) -> ssl.SSLContext:
    """What browsers trust, and an authority of one's own if there is one."""
    context = ssl.create_default_context()
    if authority is not None:
        context.load_verify_locations(authority)
    return context


def _days(connection: ssl.SSLObject, now: datetime) -> float:
    """Until it ends."""
    until = str((connection.getpeercert() or {})["notAfter"])
    return (ssl.cert_time_to_seconds(until) - now.timestamp()) / DAY_SECONDS
