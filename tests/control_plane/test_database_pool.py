"""Connections are lent, kept at hand, handed to those who wait, and replaced when they break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from control_plane.database import Database
from control_plane.errors import Unavailable
from tests.fixtures.queue import DEADLINE_SECONDS, Rows

SIZE = 3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=SIZE)
    await database.open()
    yield database
    await database.close()


async def pid(database: Database) -> int:
    """Of the server process that runs this statement."""
    async with database.connection() as connection:
        return connection.info.backend_pid


async def all_at_once(database: Database) -> set[int]:
    """Every connection that may be lent at a time."""
    async with asyncio.timeout(DEADLINE_SECONDS), AsyncExitStack() as stack:
        lent = [await stack.enter_async_context(database.connection()) for _ in range(SIZE)]
        return {connection.info.backend_pid for connection in lent}


async def test_the_connection_that_came_back_last_is_lent_next(database: Database) -> None:
    assert len(await all_at_once(database)) == SIZE
    async with database.connection() as first, database.connection():
        pass
    assert {await pid(database) for _ in range(10)} == {first.info.backend_pid}


async def test_who_waits_for_a_connection_gets_the_next_that_comes_back(database: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(SIZE):
            await stack.enter_async_context(database.connection())
        waiting = [asyncio.ensure_future(pid(database)) for _ in range(2 * SIZE)]
        await asyncio.sleep(0.05)
        assert not any(wait.done() for wait in waiting)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert len(await asyncio.gather(*waiting)) == 2 * SIZE


async def test_a_connection_that_broke_at_hand_is_replaced(database: Database, sql: Rows) -> None:
    broken = await all_at_once(database)
    sql.execute("select pg_terminate_backend(pid) from unnest(%s::integer[]) pid", [list(broken)])
    refused = 0
    for _ in range(SIZE):
        try:
            async with database.connection() as connection:
                await connection.execute("select 1")
        except Unavailable:
            refused += 1
    assert refused == SIZE, "each of them is found out once"
    found = await all_at_once(database)
    assert len(found) == SIZE
    assert not found & broken


async def test_a_statement_that_is_given_up_leaves_no_connection_behind(database: Database) -> None:
    for _ in range(2 * SIZE):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), database.connection() as connection:
                await connection.execute("select pg_sleep(10)")
    assert len(await all_at_once(database)) == SIZE


async def test_a_failed_transaction_leaves_nothing_open(database: Database) -> None:
    for _ in range(2 * SIZE):
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with database.transaction() as connection:
                await connection.execute("select 1/0")
    async with database.connection() as connection:
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert len(await all_at_once(database)) == SIZE
