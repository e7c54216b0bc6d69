"""One reader for many listeners: all hear everything, in order and once, whoever is slow and whatever is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg

from control_plane.events.feed import LINE_MAX, POLL_SECONDS, Listener
from control_plane.events.tail import Event, Position
from control_plane.queue.dispatch import Dispatcher
from tests.fixtures.queue import (
    Rows,
    add_user,
    connected,
    lane_of_the_testcard,
    one,
    order,
    ordered,
    process,
    rows,
    until,
)

SLACK_SECONDS = 4.0


@asynccontextmanager
async def listening(dispatcher: Dispatcher, key: UUID | None) -> AsyncIterator[Listener]:
    listener = Listener(dispatcher.feed)
    await dispatcher.feed.ready()
    with dispatcher.feed.listening(key, listener):
        yield listener


async def heard(listener: Listener, count: int, seconds: float = 20.0) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            await listener.wait(1.0)
            found += await listener.take()
    return found


async def test_a_listener_hears_of_what_it_asked_for(database_url: str, sql: Rows) -> None:
    ada, bob, lane = add_user(sql), add_user(sql), lane_of_the_testcard(sql)
    async with (
        process(database_url) as dispatcher,
        listening(dispatcher, ada) as her,
        listening(dispatcher, None) as all_,
    ):
        mine = (await dispatcher.submit(order(ada, lane))).job_id
        async with listening(dispatcher, mine) as of_job:
            theirs = (await dispatcher.submit(order(bob, lane))).job_id
            await dispatcher.cancel(bob, theirs)
            await dispatcher.cancel(ada, mine)
            names = [(event.job_id, event.name) for event in await heard(all_, 4)]
            assert names == [
                (mine, "job.submitted"),
                (theirs, "job.submitted"),
                (theirs, "job.canceled"),
                (mine, "job.canceled"),
            ]
            assert {event.user_id for event in await heard(her, 2)} == {ada}
            assert (await heard(of_job, 1))[-1].is_last


async def test_a_listener_that_does_not_keep_up_reads_on_by_itself_and_misses_nothing(
    database_url: str, sql: Rows
) -> None:
    jobs = 2 * LINE_MAX + 50
    async with (
        process(database_url) as dispatcher,
        listening(dispatcher, None) as slow,
        listening(dispatcher, None) as quick,
    ):
        placed: list[UUID] = []
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(heard(quick, jobs))
            user = add_user(sql)
            for _ in range(0, jobs, 10):
                placed += await ordered(dispatcher, sql, 10, user)
        assert slow.behind, "its line was full and has been dropped"
        found = await heard(slow, len(placed))
        assert [event.seq for event in found][: len(hearing.result())] == [event.seq for event in hearing.result()]
        assert [event.job_id for event in found] == placed
        [last] = await ordered(dispatcher, sql, 1, user)
        assert [event.job_id for event in await heard(slow, 1)] == [last]


async def test_other_processes_tell_what_they_commit_only_while_somebody_listens(database_url: str, sql: Rows) -> None:
    async with process(database_url) as here, process(database_url) as there:
        hints: list[list[str]] = []
        here.bus.on("events", hints.append)
        await connected(here, there)
        await ordered(there, sql, 5)
        await there.bus.flush()
        assert hints == []
        async with listening(here, None) as listener:
            await until(lambda: there.feed.is_followed)
            late = []
            for _ in range(20):
                [job] = await ordered(there, sql, 1)
                began = time.monotonic()
                assert [event.job_id for event in await heard(listener, 1)] == [job]
                late.append(time.monotonic() - began)
        assert len(hints) >= 10
        assert sorted(late)[len(late) // 2] < POLL_SECONDS / 2, "not by the slow poll"


async def test_without_notifications_everything_comes_a_little_later(database_url: str, sql: Rows) -> None:
    async with (
        process(database_url, hints=False) as here,
        process(database_url, hints=False) as there,
        listening(here, None) as listener,
    ):
        [job] = await ordered(there, sql, 1)
        assert [event.job_id for event in await heard(listener, 1, POLL_SECONDS + SLACK_SECONDS)] == [job]


async def test_what_waits_for_an_older_transaction_comes_as_soon_as_that_has_ended(
    database_url: str, sql: Rows
) -> None:
    async with process(database_url) as dispatcher, listening(dispatcher, None) as listener:
        with psycopg.connect(database_url) as older:
            one(older, "select pg_current_xact_id()::text")
            [job] = await ordered(dispatcher, sql, 1)
            await listener.wait(0.3)
            assert await listener.take() == []
            older.rollback()
        began = time.monotonic()
        assert [event.job_id for event in await heard(listener, 1)] == [job]
        assert time.monotonic() - began < POLL_SECONDS / 2, "it was looked for again soon"


async def test_listeners_are_let_go_when_another_server_has_taken_over(
    database_url: str, owner_url: str, sql: Rows
) -> None:
    """It counts transactions on from where it was, so what it tells may look like what was told before."""
    ada, lane = add_user(sql), lane_of_the_testcard(sql)
    async with process(database_url) as dispatcher, listening(dispatcher, ada) as before:
        await dispatcher.submit(order(ada, lane))
        await heard(before, 1)
        dispatcher.feed.position = Position(dispatcher.feed.position.epoch, 2**40, 0)  # further than the new one is
        with rows(owner_url) as owner:
            owner.execute(
                "insert into event_epochs (system_identifier, first_seq) select system_identifier, 0"
                " from pg_control_system()"
            )
        dispatcher.feed.doubt()
        await until(lambda: before.closed)
        async with listening(dispatcher, ada) as after:
            job = (await dispatcher.submit(order(ada, lane))).job_id
            assert [event.job_id for event in await heard(after, 1)] == [job]
