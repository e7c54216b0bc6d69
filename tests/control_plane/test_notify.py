"""Hints between processes: they arrive, they gather, and nothing hangs on the connection that carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.database import Database
from control_plane.notify import CHANNEL, PAYLOAD_BYTES_MAX, RESYNC, Bus, payloads
from tests.fixtures.queue import Rows, until


class Ear:
    """What one bus heard of the topics `word` and `resync`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.words: list[list[str]] = []
        self.resyncs = 0
        bus.on("word", self.words.append)
        bus.on(RESYNC, self._resync)

    def _resync(self, _: list[str]) -> None:
        self.resyncs += 1


@asynccontextmanager
async def ears(url: str, count: int = 2, *, enabled: bool = True) -> AsyncIterator[list[Ear]]:
    """So many processes' buses, listening."""
    database = Database(url)
    await database.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            made = [Ear(Bus(database, enabled=enabled)) for _ in range(count)]
            loops = [tasks.create_task(loop) for ear in made for loop in (ear.bus.run_sender(), ear.bus.run_listener())]
            if enabled:
                await until(lambda: all(ear.resyncs for ear in made))
            try:
                yield made
            finally:
                for loop in loops:
                    loop.cancel()
    finally:
        await database.close()


async def test_a_hint_reaches_every_other_process_and_not_its_own(database_url: str) -> None:
    async with ears(database_url, 3) as [one, two, three]:
        one.bus.send("word", "a", 1)
        await until(lambda: bool(two.words and three.words))
        two.bus.send("word", "b")
        await until(lambda: bool(one.words) and len(three.words) == 2)
        assert (one.words, two.words, three.words) == ([["b"]], [["a", "1"]], [["a", "1"], ["b"]])


async def test_an_announcement_is_heard_here_too(database_url: str) -> None:
    async with ears(database_url) as [one, two]:
        one.bus.announce("word", "a")
        assert one.words == [["a"]]
        await until(lambda: two.words == [["a"]])


async def test_hints_gather_into_few_notifications_and_none_is_lost(database_url: str, sql: Rows) -> None:
    sql.execute(f"listen {CHANNEL}")
    async with ears(database_url) as [one, two]:
        for n in range(1_000):
            one.bus.send("word", "x" * 40, n)
        await until(lambda: len(two.words) == 1_000)
        assert [words[1] for words in two.words] == [str(n) for n in range(1_000)]
    heard = [note for note in sql.notifies(timeout=0.2) if "!" not in note.payload]
    assert len(heard) <= 10


async def test_equal_hints_are_as_many_hints(database_url: str) -> None:
    async with ears(database_url) as [one, two]:
        for _ in range(3):
            one.bus.send("word", "same")
        await until(lambda: len(two.words) == 3)


async def test_a_listener_whose_connection_breaks_comes_back_and_asks_for_everything(
    database_url: str, sql: Rows
) -> None:
    async with ears(database_url) as [one, two]:
        killed = sql.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"""
        ).fetchall()
        assert len(killed) >= 2
        await until(lambda: one.resyncs == 2 and two.resyncs == 2)
        await until(lambda: _reaches(one, two))


def _reaches(one: Ear, two: Ear) -> bool:
    """The pool's connections were killed as well, so a hint may be lost before one arrives."""
    one.bus.send("word", "again")
    return bool(two.words)


async def test_noise_on_the_channel_harms_nobody(database_url: str, sql: Rows) -> None:
    async with ears(database_url) as [one, two]:
        two.bus.on("word", demanding)
        for noise in ("", "\n", "x\nword", "abc!def", "\n\n\nlane x y", "x\n" + "word " * 50):
            sql.execute("select pg_notify(%s, %s)", [CHANNEL, noise])
        one.bus.send("word", "after")
        await until(lambda: ["after"] in two.words)


def demanding(words: list[str]) -> None:
    """A listener that finds less than it expects."""
    int(words[5])


async def test_a_silent_bus_neither_sends_nor_listens(database_url: str, sql: Rows) -> None:
    sql.execute(f"listen {CHANNEL}")
    async with ears(database_url, enabled=False) as [one, two]:
        one.bus.announce("word", "a")
        assert one.words == [["a"]], "this process hears itself all the same"
        await asyncio.sleep(0.2)
        assert two.words == []
    assert list(sql.notifies(timeout=0.1)) == []


async def test_a_database_that_is_away_costs_hints_not_the_process(database_url: str) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    bus = Bus(database)
    bus.send("word", "lost")
    await bus.flush()
    assert bus._pending == []


@given(st.lists(st.text(alphabet="abc 01", min_size=1, max_size=200), max_size=200))
def test_payloads_hold_every_hint_in_order_and_fit(hints: list[str]) -> None:
    made = payloads("origin", hints)
    assert [line for payload in made for line in payload.split("\n")[1:]] == hints
    assert all(len(payload.encode()) <= PAYLOAD_BYTES_MAX for payload in made)
    assert all(payload.startswith("origin\n") for payload in made)


def test_postgresql_takes_the_largest_payload(sql: Rows) -> None:
    sql.execute("select pg_notify(%s, %s)", [CHANNEL, "x" * PAYLOAD_BYTES_MAX])
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        sql.execute("select pg_notify(%s, %s)", [CHANNEL, "x" * 8_000])
