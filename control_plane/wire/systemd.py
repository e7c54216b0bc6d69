"""What systemd is told of this process (sd_notify(3)): that it works, that it is alive, and what it is at.

A datagram to the socket that systemd names; without one there is nobody to tell. The watchdog is beaten from the event
loop, so a program whose loop stands still is restarted. All our programs speak to systemd alike, so it is among
what they share.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

BEAT_SECONDS = 10.0
"""Without a watchdog, only for the status line."""
BEATS_PER_WATCHDOG = 3.0


class Notify:
    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        self._address = address
        self._beat_seconds = watchdog_seconds / BEATS_PER_WATCHDOG if watchdog_seconds else BEAT_SECONDS

    def tell(self, *lines: str) -> None:
        """Whether it arrives is systemd's matter, not ours."""
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            link.sendto("\n".join(lines).encode(), address)

    async def beat(self, status: Callable[[], str]) -> None:
        """Ready from now on, and alive until cancelled."""
        if self._address is None:
            return
        self.tell("READY=1", f"STATUS={status()}")
        try:
            while True:
                await asyncio.sleep(self._beat_seconds)
                self.tell("WATCHDOG=1", f"STATUS={status()}")
        finally:
            self.tell("STOPPING=1")


NOBODY = Notify(None, None)


def from_environment(environ: Mapping[str, str]) -> Notify:
    """As systemd has set it up; nobody to tell when it has not."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    return Notify(environ.get("NOTIFY_SOCKET"), int(microseconds) / 1e6 if microseconds.isdecimal() else None)
