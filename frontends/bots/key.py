"""Whether the key of the service is one that the bots can live by. Asked without naming anybody, so nothing changes."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType

from frontends.bots.configuration import KEY_COMMAND
from frontends.bots.limits import PlatformName
from frontends.client import Client
from frontends.problems import Refused

HEADERS = {"Content-Type": "application/json"}
NEEDS = (
    ("read", "GET", "/api/v1/user/preferences"),
    ("submit", "POST", "/api/v1/jobs"),
    ("payments", "POST", "/api/v1/payments"),
    ("operate", "GET", "/api/v1/admin/status"),
)
"""Scopes, and a call that is refused to those who lack one, and otherwise for want of somebody to act for."""
NOBODY = "0"


_HOW = f"The operator makes one with: {KEY_COMMAND}"


class WrongKey(Exception):
    """The key does not do; the message says why and what to do."""


async def check(client: Client, platforms: Collection[PlatformName]) -> None:
    """Raises `WrongKey`, and `ClientError` when the service cannot be asked."""
    lacking = await _lacking(client)
    if lacking:
        raise WrongKey(f"The key of the service lacks {' and '.join(lacking)}. {_HOW}")
    for platform in platforms:
        refused = await _refused(client.acting(f"{platform}:{NOBODY}"), "POST", "/api/v1/user/invite")
        if refused.status == 403:
            raise WrongKey(f"The key of the service may not act for people of {platform}. {_HOW}")


async def _lacking(client: Client) -> list[str]:
    asked = [await _refused(client, method, path) for _, method, path in NEEDS]
    if any(refused.status == 401 for refused in asked):
        raise WrongKey(f"The service does not know this key. {_HOW}")
    return [
        f"the scope `{scope}`"
        for (scope, *_), refused in zip(NEEDS, asked, strict=True)
        if f"`{scope}`" in refused.document.detail
    ]


async def _refused(client: Client, method: str, path: str) -> Refused:
    """How a call is refused that must be. Raises `ClientError` when nobody answers."""
    body = b"{}" if method == "POST" else None
    try:
        await client.call(method, path, NoneType, body=body, headers=HEADERS if body else None)
    except Refused as refused:
        if refused.status >= 500 or refused.status == 429:
            raise
        return refused
    raise WrongKey(f"This is the key of an account, not of a service. {_HOW}")
