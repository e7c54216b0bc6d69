"""Whether the bucket's own addresses work, found out by using one of each kind, now and then.

An address is signed by this machine's clock and judged by the bucket's, and credentials may be allowed to read but
not to sign. Rather than send every customer to an error, a signed upload and a signed download are tried first; while
they fail, bytes go through this service. The trial costs four requests and is good for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from control_plane.errors import TesseraError
from control_plane.store.contract import Address
from control_plane.store.keys import new_check_key

TRIAL_SECONDS = 10.0
GOOD_SECONDS = 15 * 60.0
"""How long a trial that went well is believed."""
BAD_SECONDS = 60.0
CONTENT = b"Tessera looks whether this bucket can be reached by signed addresses."

Sign = Callable[[str, str], Awaitable[Address]]
"""(method, key) to an address."""

log = structlog.get_logger()


class Direct:
    """What the last trial showed."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._key = new_check_key()  # the same each time, so that trials that fail halfway do not pile up
        self._tried_until = 0.0
        self._fault: str | None = None
        self._trial = asyncio.Lock()

    async def works(self) -> bool:
        if time.monotonic() >= self._tried_until:
            async with self._trial:
                if time.monotonic() >= self._tried_until:
                    await self._try()
        return self._fault is None

    async def fault(self) -> str | None:
        """What does not work, tried now; None when all does."""
        async with self._trial:
            await self._try()
        return self._fault

    async def _try(self) -> None:
        before, self._fault = self._fault, await trial(self._sign, self._key)
        self._tried_until = time.monotonic() + (GOOD_SECONDS if self._fault is None else BAD_SECONDS)
        if self._fault is not None and self._fault != before:
            log.warning("store.indirect", reason=self._fault)


async def trial(sign: Sign, key: str) -> str | None:
    """Put, get and delete a small object by signed addresses; what went wrong, in words without an address."""
    doing = "upload"
    try:
        async with asyncio.timeout(TRIAL_SECONDS), aiohttp.ClientSession() as session:
            await _send(session, "PUT", await sign("PUT", key), CONTENT)
            doing = "download"
            if await _send(session, "GET", await sign("GET", key)) != CONTENT:
                return "a signed download brought something else than was uploaded"
            doing = "deletion"
            await _send(session, "DELETE", await sign("DELETE", key))
    except aiohttp.ClientResponseError as error:
        return f"a signed {doing} was answered with {error.status}"
    except (aiohttp.ClientError, OSError, TimeoutError, TesseraError) as error:
        return f"a signed {doing} failed ({type(error).__name__})"
    return None


async def _send(session: aiohttp.ClientSession, method: str, address: Address, data: bytes | None = None) -> bytes:
    async with session.request(
        method, address.url, headers=address.headers, data=data, allow_redirects=False, raise_for_status=True
    ) as response:
        return await response.content.read(len(CONTENT) + 1)
