"""Whether the public address leads here.

Two addresses of a file that never was are asked for by the public address: one signed by us, one with a signature that
is wrong. Only a service with our keys tells them apart, so that a page of a router or of another service is not taken
for ours. The address comes from the settings alone, never from whoever asks.
"""

from __future__ import annotations

import asyncio
import ssl
from uuid import uuid4

import aiohttp
import msgspec
import structlog

from control_plane import signing
from control_plane.settings import Settings
from control_plane.signing import SigningKeys
from control_plane.wire.setup import AddressCheck

ASK_SECONDS = 5.0
ANSWER_BYTES_MAX = 64 * 1024
URL_SECONDS = 60.0
UNKNOWN, UNSIGNED = "not-found", "forbidden"
"""Codes of the problems that we answer with to an address that is signed, and to one that is not."""

log = structlog.get_logger()


class Told(msgspec.Struct, frozen=True):
    code: str = ""


async def examine(keys: SigningKeys, settings: Settings) -> AddressCheck:
    """What answers at our public address."""
    url, authority = settings.base_url, settings.tls_authority
    trusted = ssl.create_default_context(cafile=str(authority) if authority is not None else None)
    signed = signing.artifact_url(keys, url, uuid4(), 0, URL_SECONDS, keys.now())
    wrong = signed[:-1] + ("0" if signed[-1] != "0" else "1")
    try:
        async with asyncio.timeout(ASK_SECONDS), aiohttp.ClientSession() as session:
            answered = [await _ask(session, address, trusted) for address in (signed, wrong)]
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        log.info("address.unanswered", reason=type(error).__name__)
        return _unreached(url, error)
    if any(300 <= status < 400 for status, _ in answered):
        return AddressCheck(
            outcome="elsewhere",
            said=f"{url} sends on to another address. Set TESSERA_PUBLIC_URL to where that ends, and start again.",
        )
    if [code for _, code in answered] != [UNKNOWN, UNSIGNED]:
        return AddressCheck(
            outcome="foreign",
            said=f"Something answers at {url}, but it is not this service. Does the proxy pass everything on to here?",
        )
    return AddressCheck(outcome="ours", said=f"{url} leads here.")


def _unreached(url: str, error: Exception) -> AddressCheck:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        said = (
            f"{url} answers, but this machine does not trust its certificate. With one of your own making that is as it"
            " should be, where people's browsers know it; else have the proxy get one, as Caddy does by itself."
        )
        return AddressCheck(outcome="untrusted", said=said)
    said = (
        f"Nobody answers at {url} from here. Does its name lead to your router or server, are the ports 80 and 443 let"
        " through to the proxy, and does the proxy run? Some routers do not let a house reach its own public address:"
        " then try it from a phone without Wi-Fi."
    )
    return AddressCheck(outcome="silent", said=said)


async def _ask(session: aiohttp.ClientSession, address: str, trusted: ssl.SSLContext) -> tuple[int, str]:
    """Status and code of the problem; no code when it is none of ours."""
    async with session.get(address, allow_redirects=False, ssl=trusted) as response:
        body = await response.content.read(ANSWER_BYTES_MAX)
    try:
        return response.status, msgspec.json.decode(body, type=Told).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return response.status, ""
