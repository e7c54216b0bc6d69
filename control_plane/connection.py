"""A connection that stays registered with the event loop.

psycopg registers the socket with the loop for every wait and removes it again, with a timer beside it: six system calls
around each statement, which take longer than its execution. Here it is registered once and for all: a duplicate of it,
because libpq closes its own at once when the server is gone, and the loop must not look at a number that belongs to
somebody else by then. What is rare goes psycopg's own way: a statement too large for the socket's buffer, a wait with a
timeout, and the end of one that was interrupted.
"""

from __future__ import annotations

import asyncio
import os
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus
from psycopg.rows import TupleRow
from psycopg.waiting import READY_R, WAIT_R, Wait

Value = TypeVar("Value")

STOP_SECONDS = 5.0
"""How long a statement whose caller has gone may take to stop; then the connection is given up."""
POLL_SECONDS = 0.1
"""psycopg's default interval."""
NUDGE_SECONDS = 1.0
"""How often a statement that waits looks for itself. Of a socket that ended with an error (a server that was killed
before it had read everything, a reset) uvloop tells once; when an answer came with it, nobody would hear of the end."""


class Connection(AsyncConnection[TupleRow]):
    """psycopg's connection, with a wait that costs one round of the loop and no system call."""

    _watched: int | None = None
    """Our duplicate of the socket, which the loop looks at."""
    _waiter: asyncio.Future[None] | None = None
    _nudging: asyncio.TimerHandle | None = None

    async def wait(self, gen: PQGen[Value], interval: float = POLL_SECONDS, timeout: float | None = None) -> Value:
        if timeout is not None:
            return await self._wait_anew(gen, interval, timeout)
        try:
            wanted = next(gen)
            while wanted == WAIT_R:
                await self._readable()
                wanted = gen.send(READY_R)
        except StopIteration as end:
            result: Value = end.value
            return result
        except asyncio.CancelledError:
            await self._stop(gen)
            raise
        except OSError as error:
            self.pgconn.finish()  # no file descriptor left to watch it with
            raise psycopg.OperationalError("the connection cannot be waited for") from error
        finally:
            if self.pgconn.status != ConnStatus.OK:
                self._unwatch()
        return await self._wait_anew(_resumed(gen, wanted), interval)

    async def close(self) -> None:
        self._unwatch()
        await super().close()

    async def _wait_anew(self, gen: PQGen[Value], interval: float, timeout: float | None = None) -> Value:
        """psycopg's own way, from where the conversation stands."""
        self._unwatch()
        return await super().wait(gen, interval, timeout)

    async def _stop(self, gen: PQGen[Value]) -> None:
        """The caller was canceled: so is the statement, and what is left of its answer is read."""
        try:
            await self.cancel_safe(timeout=STOP_SECONDS)
            await self._wait_anew(gen, POLL_SECONDS, STOP_SECONDS)
        except psycopg.errors.QueryCanceled:
            pass
        except BaseException as error:
            self.pgconn.finish()  # nobody knows where the conversation stands
            if not isinstance(error, Exception):
                raise

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        if self._watched is None:
            self._watched = os.dup(self.pgconn.socket)
            loop.add_reader(self._watched, self._wake)
            self._nudging = loop.call_later(NUDGE_SECONDS, self._nudge)
        self._waiter = loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is None or self._waiter.done():
            self._unwatch()  # a notice or the end, which whoever comes next will read
        else:
            self._waiter.set_result(None)

    def _nudge(self) -> None:
        """There may be nothing to read; then the wait goes on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._nudging = asyncio.get_running_loop().call_later(NUDGE_SECONDS, self._nudge)

    def _unwatch(self) -> None:
        if self._nudging is not None:
            self._nudging.cancel()
            self._nudging = None
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            os.close(self._watched)
            self._watched = None


def _resumed(gen: PQGen[Value], wanted: Wait) -> PQGen[Value]:
    """A conversation that has been begun, from where it stands."""
    while True:
        ready = yield wanted
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            result: Value = end.value
            return result
