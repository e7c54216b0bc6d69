"""Statements over a connection that stays registered with the event loop, on both loops that it may meet."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import psycopg.conninfo
import pytest
import uvloop

from control_plane.connection import Connection
from tests.fixtures.postgres import Postgres

PATIENCE_SECONDS = 20.0
Check = Callable[[Connection, Connection], Coroutine[Any, Any, None]]
"""A promise about the first connection; the second one belongs to somebody else."""


async def value(connection: psycopg.AsyncConnection[Any], statement: str, *parameters: object) -> Any:
    row = await (await connection.execute(statement.encode(), parameters)).fetchone()
    assert row is not None
    return row[0]


async def a_statement_larger_than_every_buffer_arrives_whole(mine: Connection, other: Connection) -> None:
    sent = "tessera " * 4_000_000
    assert await value(mine, "select %s::text", sent) == sent
    assert await value(mine, "select 1") == 1


async def pipelined_statements_are_answered_in_order(mine: Connection, other: Connection) -> None:
    async with mine.pipeline():
        cursors = [await mine.execute("select %s::integer", [n]) for n in range(200)]
    assert [(await cursor.fetchone()) for cursor in cursors] == [(n,) for n in range(200)]


async def notifications_are_heard_between_statements(mine: Connection, other: Connection) -> None:
    await mine.execute("listen here")
    for round in range(3):
        assert await value(mine, "select 1") == 1
        await other.execute("select pg_notify('here', %s)", [str(round)])
        await asyncio.sleep(0.05)  # it comes while nobody waits
        heard = [notice.payload async for notice in mine.notifies(timeout=PATIENCE_SECONDS, stop_after=1)]
        assert heard == [str(round)]


async def an_idle_connection_that_is_cut_off_costs_nothing_and_says_so(mine: Connection, other: Connection) -> None:
    assert await value(mine, "select 1") == 1
    await other.execute("select pg_terminate_backend(%s, 5000)", [mine.info.backend_pid])
    before = os.times()
    await asyncio.sleep(0.5)
    after = os.times()
    assert (after.user + after.system) - (before.user + before.system) < 0.25, "the loop turns for a dead socket"
    with pytest.raises(psycopg.OperationalError):
        await mine.execute("select 1")
    assert mine.closed


async def busy(mine: Connection, other: Connection) -> asyncio.Task[Any]:
    """A statement that the server is at."""
    task = asyncio.create_task(value(mine, "select 'theirs' from pg_sleep(60)"))
    while not await is_busy(mine, other):
        await asyncio.sleep(0.01)
    return task


async def is_busy(mine: Connection, other: Connection) -> bool:
    statement = (
        "select exists (select from pg_stat_activity where pid = %s and state = 'active' and wait_event = 'PgSleep')"
    )
    return bool(await value(other, statement, mine.info.backend_pid))


async def a_busy_connection_that_is_cut_off_says_so(mine: Connection, other: Connection) -> None:
    task = await busy(mine, other)
    await other.execute("select pg_terminate_backend(%s, 5000)", [mine.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        await task


async def a_statement_whose_caller_goes_is_stopped(mine: Connection, other: Connection) -> None:
    for _ in range(3):
        task = await busy(mine, other)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await is_busy(mine, other)
        assert await value(mine, "select 'ours'") == "ours"


async def an_answer_that_nobody_waited_for_is_nobodys(mine: Connection, other: Connection) -> None:
    """Whenever the caller goes: the next statement gets its own answer."""
    for turns in range(40):
        task = asyncio.create_task(value(mine, "select 'theirs'"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await value(mine, "select 'ours'") == "ours"


CHECKS: list[Check] = [
    a_statement_larger_than_every_buffer_arrives_whole,
    pipelined_statements_are_answered_in_order,
    notifications_are_heard_between_statements,
    an_idle_connection_that_is_cut_off_costs_nothing_and_says_so,
    a_busy_connection_that_is_cut_off_says_so,
    a_statement_whose_caller_goes_is_stopped,
    an_answer_that_nobody_waited_for_is_nobodys,
]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = await Connection.connect(url, autocommit=True)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_connection(check: Check, loop: Callable[[], asyncio.AbstractEventLoop], postgres: Postgres) -> None:
    async def tried() -> None:
        open_files = len(os.listdir("/proc/self/fd"))
        async with connected(postgres.superuser_url) as mine, connected(postgres.superuser_url) as other:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await check(mine, other)
        assert len(os.listdir("/proc/self/fd")) <= open_files, "a socket was left open"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(tried())


def _acknowledged(connection: socket.socket) -> None:
    """Everything sent has reached the other kernel: a reset on a busy machine can overtake what it follows."""
    unacknowledged = array.array("i", [0])
    end = time.monotonic() + PATIENCE_SECONDS
    while fcntl.ioctl(connection, termios.TIOCOUTQ, unacknowledged) == 0 and unacknowledged[0]:
        assert time.monotonic() < end, f"{unacknowledged[0]} bytes are still on their way"
        time.sleep(0.001)


class Between:
    """Between a client and the server, on a thread of its own: it dies as a machine does, with a reset, right behind an
    answer."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.dies = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with self._listener, client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._target)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for here, there in ((client, server), (server, client)):
                    if here in ready:
                        last = here is server and self.dies.is_set()  # asked before its answer frees who sets it
                        if not (data := here.recv(65_536)):
                            return
                        there.sendall(data)
                        if last:
                            _acknowledged(client)
                            return

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_end_of_a_server_that_died_right_behind_an_answer_is_noticed(
    loop: Callable[[], asyncio.AbstractEventLoop], postgres: Postgres
) -> None:
    given = psycopg.conninfo.conninfo_to_dict(postgres.superuser_url)
    if not str(given.get("host", "")).startswith("/"):
        pytest.skip("the server of these tests has no socket here")
    between = Between(f"{given['host']}/.s.PGSQL.5432")

    async def tried() -> None:
        address = psycopg.conninfo.make_conninfo(postgres.superuser_url, host="127.0.0.1", port=between.port)
        async with connected(address) as mine, asyncio.timeout(PATIENCE_SECONDS):
            assert await value(mine, "select 1") == 1
            between.dies.set()
            asked = asyncio.create_task(value(mine, "select 2"))
            await asyncio.sleep(0)  # it is sent
            between.join()  # while the loop stands still: answer and end are there when it looks
            assert await asked == 2
            with pytest.raises(psycopg.OperationalError):
                await value(mine, "select 3")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(tried())
