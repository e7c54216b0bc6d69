"""How a genuine client gets to the stand-in: trusts its key, and connects to it instead of a data centre.

    Client(..., connection_factory=reach.connection_factory("127.0.0.1", port, media_port))

Works from any process. Only loopback is allowed, because everybody can know the stand-in's secret key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from pyrogram.connection import Connection
from pyrogram.crypto import rsa

from frontends.standins.telegram.keys import RSA_EXPONENT, RSA_FINGERPRINT, RSA_MODULUS


def connection_factory(host: str, port: int, media_port: int) -> Callable[..., Any]:
    """For `Client(connection_factory=)`. Raises ValueError when the host is not loopback."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not loopback; a stand-in of Telegram is reached on this machine alone")
    rsa.server_public_keys[RSA_FINGERPRINT] = rsa.PublicKey(RSA_MODULUS, RSA_EXPONENT)

    def connect(**options: Any) -> Any:
        options |= {"server_address": host, "port": media_port if options.get("media") else port}
        return Connection(**options)

    return connect
