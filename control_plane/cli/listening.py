"""Where to listen: a port that is free, said early and in a sentence when it is not."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import msgspec

from control_plane.cli.parsing import EX_CONFIG, EX_UNAVAILABLE, CommandError

if TYPE_CHECKING:
    from control_plane.settings import Settings


def settled(settings: Settings) -> Settings:
    """The settings with ports that can be listened on now; port 0 becomes a free one."""
    found = msgspec.structs.replace(settings, port=free_port(settings.host, settings.port))
    if settings.tls_certificate is None:
        return found
    return msgspec.structs.replace(found, tls_port=free_port(settings.tls_host, settings.tls_port))


def free_port(host: str, port: int) -> int:
    """`port` if it is free, or any free one for 0. Raises `CommandError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise CommandError(f"{host} is not an address that can be listened on.", EX_CONFIG) from error
    except OSError as error:
        raise CommandError(_why(host, port, error), EX_UNAVAILABLE) from error


def local_url(settings: Settings) -> str:
    """How programs on this machine reach the service, whatever its public address is."""
    return msgspec.structs.replace(settings, public_url=None).base_url


def _why(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is in use. Choose another with --port (0 = any free one), or stop what uses it."
        case errno.EACCES | errno.EPERM:
            return f"Port {port} may be used by root only. Choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"This machine has no address {host}. Choose another with --host (0.0.0.0 = every one)."
        case _:
            return f"{host}:{port} cannot be listened on ({error.strerror}). Choose another with --host and --port."
