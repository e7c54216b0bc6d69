"""Requests to the addresses that the operator has named.

They are the operator's own, so they may lead into the house; but plain http may lead nowhere else, nothing is
redirected, no proxy is used, and time and size are limited as for webhooks (`webhooks/egress.py`). What goes wrong is
told without the address, since that holds the secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from control_plane.webhooks import egress
from control_plane.webhooks.egress import Answer, Refused

EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class NotTold(Exception):
    """A channel did not take it; the message names no address."""


async def call(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, fine: frozenset[int] = frozenset()
) -> Answer:
    """Raises `NotTold` unless the answer is a success, or one of `fine`."""
    try:
        answer = await egress.send(method, await _route(url), body, headers, _tls())
    except Refused as error:
        raise NotTold(str(error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotTold(f"no answer ({type(error).__name__})") from None
    if not 200 <= answer.status < 300 and answer.status not in fine:
        raise NotTold(f"the answer was {answer.status}")
    return answer


async def call_json(
    method: str, url: str, facts: object, *, fine: frozenset[int] = frozenset()
) -> tuple[Answer, dict[str, Any]]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    answer = await call(method, url, msgspec.json.encode(facts), headers, fine=fine)
    return answer, decoded(answer)


def decoded(answer: Answer) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.begun, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


async def is_at_home(host: str, port: int) -> bool:
    """Whether a name leads nowhere but into the operator's own networks."""
    return all(egress.inside(ip_address(address)) is not None for address in await egress.lookup(host, port))


async def _route(url: str) -> egress.Route:
    parsed = URL(url)
    route = await egress.route(parsed, EVERYWHERE)
    if parsed.scheme != "https" and any(egress.inside(ip_address(address)) is None for address in route.addresses):
        raise Refused("plain http is for one's own network only; use https")
    return route


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
