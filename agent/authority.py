"""A private certificate authority that this agent trusts, and no other beside it.

The enrolment token carries its fingerprint behind a dot. So it does not matter that the certificate itself is fetched
from somebody who cannot be known yet: what hashes to something else is refused, and so is from then on everybody whose
certificate it has not signed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import ssl

import aiohttp

from control_plane.wire.release import INSTALL_PATH

FETCH_SECONDS = 10.0
PEM_BYTES_MAX = 16 * 1024
_CERTIFICATE = re.compile(f"{ssl.PEM_HEADER}.*?{ssl.PEM_FOOTER}", re.DOTALL)
_TOKEN = re.compile(r"(\S+)\.([0-9a-f]{64})")


class ForeignAuthority(Exception):
    """Who answers is not who made the token; the message says what to do."""


def split(token: str) -> tuple[str, str | None]:
    """What the control plane gets to see, and the fingerprint of its authority, if it has one of its own."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else (token, None)


async def fetch(url: str, fingerprint: str) -> str:
    """The certificate of this fingerprint, as PEM. Raises `ForeignAuthority`, `aiohttp.ClientError` or `OSError`."""
    async with (
        asyncio.timeout(FETCH_SECONDS),
        aiohttp.ClientSession() as session,
        session.get(f"{url.rstrip('/')}{INSTALL_PATH}/ca.pem", ssl=False, allow_redirects=False) as response,
    ):
        text = ""
        async for piece in response.content.iter_any():  # a single `read` would be content with the first of them
            text += piece.decode("ascii", errors="replace")
            if len(text) > PEM_BYTES_MAX:
                break
    certificate = first_certificate(text)
    if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), fingerprint):
        raise ForeignAuthority(
            f"Whoever answers at {url} is not the control plane that made this token: somebody may stand in between,"
            " or the token is of another Tessera. Ask the operator for a new one."
        )
    return ssl.DER_cert_to_PEM_cert(certificate)


def first_certificate(text: str) -> bytes:
    """The first one of a file, as DER; nothing where there is none. The library takes two for a single one."""
    found = _CERTIFICATE.search(text)
    try:
        return ssl.PEM_cert_to_DER_cert(found[0]) if found else b""
    except ValueError:
        return b""


def trusting(authority: str) -> ssl.SSLContext:
    """Trusts this one alone, or those that the system knows when it is empty."""
    return ssl.create_default_context(cadata=authority or None)
