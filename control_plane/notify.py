"""Hints between processes: one LISTEN connection per process, and one task that sends.

A hint is a topic and a body (`lane 3 17.5 1`, `worker <id>`, `watch <id>`, `credential <id>`). Hints gather for a
few milliseconds and leave as one NOTIFY, in a transaction of its own (NOTIFY takes a lock on the whole cluster at
commit). The listener sends itself a probe every `PROBE_SECONDS`: a connection that has gone deaf, as half-open ones
do, is replaced. Nothing depends on a hint arriving: whoever listens also polls slowly, and asks again for
everything after each reconnect (`RESYNC`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from control_plane.database import KEEPALIVE, Database, Query
from control_plane.errors import Unavailable

LISTENER = "tessera-listener"
"""What the listening connection is called: there is one for each process, so they can be counted."""
CHANNEL = "tessera"
GATHER_SECONDS = 0.003
PAYLOAD_BYTES_MAX = 7_900
"""PostgreSQL allows 8,000."""
PENDING_MAX = 10_000
"""Hints that wait while the database is away; more are dropped, since the tables are the truth."""
PROBE_SECONDS = 10.0
RECONNECT_SECONDS = 1.0
RESYNC = "resync"
"""The topic told to every listener when the connection was (re)made: ask for everything again."""

SEND: Query[None] = Query("notify.send")

log = structlog.get_logger()

Hear = Callable[[list[str]], None]


class Bus:
    """Sends hints to the other processes and hears theirs."""

    def __init__(self, database: Database, *, enabled: bool = True) -> None:
        self._database = database
        self._enabled = enabled
        self._origin = secrets.token_hex(4)
        self._listeners: dict[str, list[Hear]] = {}
        self._pending: list[str] = []
        self._once: set[str] = set()
        self._filled = asyncio.Event()
        self._heard_probe = asyncio.Event()
        self.heard = 0
        self._probed_at: float | None = None

    @property
    def probe_seconds(self) -> float:
        """How long ago the listening connection last heard a probe of its own; 0 where it has not begun to."""
        return 0.0 if self._probed_at is None else time.monotonic() - self._probed_at

    def on(self, topic: str, hear: Hear) -> None:
        """Call `hear` with the words after the topic, for every such hint of another process."""
        self._listeners.setdefault(topic, []).append(hear)

    def send(self, topic: str, *words: object) -> None:
        """Tell the other processes, soon; never waits and never fails."""
        if self._enabled and len(self._pending) < PENDING_MAX:
            self._pending.append(" ".join([topic, *map(str, words)]))
            self._filled.set()

    def send_once(self, topic: str) -> None:
        """The same, unless it is about to leave anyway."""
        if topic not in self._once:
            self._once.add(topic)
            self.send(topic)

    def announce(self, topic: str, *words: object) -> None:
        """Tell everybody: the listeners of this process now, the others soon."""
        self._tell(topic, [str(word) for word in words])
        self.send(topic, *words)

    async def run_sender(self) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(GATHER_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Send what has gathered; what does not fit into one notification goes into the next."""
        self._filled.clear()
        pending, self._pending = self._pending, []
        self._once.clear()
        for payload in payloads(self._origin, pending):
            try:
                await self._database.run(SEND, {"payload": payload})
            except (Unavailable, psycopg.Error):
                log.warning("notify.failed", hints=len(pending))
                return

    async def run_listener(self) -> None:
        while self._enabled:
            try:
                async with await AsyncConnection.connect(
                    self._database.url, autocommit=True, application_name=LISTENER, **KEEPALIVE
                ) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    self._tell(RESYNC, [])
                    await self._listen(connection)
            except (psycopg.Error, OSError) as error:
                log.warning("notify.disconnected", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, connection: AsyncConnection[Any]) -> None:
        """Hear until the connection breaks or a probe of ours does not come back."""
        while True:
            probe = secrets.token_hex(4)
            self._heard_probe.clear()
            await SEND.run(connection, {"payload": f"{self._origin}!{probe}"})
            async for notification in connection.notifies(timeout=PROBE_SECONDS):
                self.hear(notification.payload)
            if not self._heard_probe.is_set():
                raise psycopg.OperationalError("the listening connection has gone deaf")

    def hear(self, payload: str) -> None:
        origin, _, body = payload.partition("\n")
        if origin.startswith(f"{self._origin}!"):
            self._probed_at = time.monotonic()
            self._heard_probe.set()
        elif "!" not in origin and origin != self._origin:
            for line in body.splitlines():
                topic, *words = line.split(" ")
                self.heard += 1
                self._tell(topic, words)

    def _tell(self, topic: str, words: list[str]) -> None:
        for hear in self._listeners.get(topic, ()):
            try:
                hear(words)
            except (ValueError, IndexError):
                log.warning("notify.malformed", topic=topic[:32])


def payloads(origin: str, hints: list[str]) -> list[str]:
    """The hints as few notifications as fit; pure."""
    found: list[str] = []
    current = origin
    for hint in hints:
        if len(current) + len(hint) + 1 > PAYLOAD_BYTES_MAX:
            found.append(current)
            current = origin
        current += "\n" + hint
    return [*found, current] if current != origin else found
