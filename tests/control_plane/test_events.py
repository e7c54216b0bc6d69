"""The log of events, followed from its end: in order and without a gap, whatever commits late, wherever it lies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.database import SESSION_OPTIONS, Database, numbered, statements
from control_plane.events import tail
from control_plane.events.tail import Event, Head, Position
from tests.fixtures.queue import Rows, add_user, one, rows

WRITERS, WRITES = 12, 60

ADD_JOB: LiteralString = """insert into jobs (id, user_id, lane_id, tag, cost)
    values (uuid7(), %s, (select min(id) from lanes), 1, 1) returning id"""
TELL: LiteralString = "insert into job_events (job_id, name, attempt) values (%s, 'job.claimed', 0) returning seq"


def add_job(sql: Rows) -> UUID:
    job_id: UUID = one(sql, ADD_JOB, add_user(sql))
    return job_id


async def told(database: Database, position: Position | None = None, most: int = 1_000) -> tail.Page:
    async with database.connection() as connection:
        start = position or Position((await tail.head(connection)).epoch, 0, 0)
        return await tail.after(connection, start, most)


async def head(database: Database) -> Head:
    async with database.connection() as connection:
        return await tail.head(connection)


@pytest.fixture
async def database(database_url: str) -> Any:
    database = Database(database_url)
    await database.open()
    await tail.begin(database)
    yield database
    await database.close()


async def test_what_commits_late_is_not_jumped_over(database: Database, database_url: str, sql: Rows) -> None:
    """A transaction has told something and stays open; others that began later commit before it."""
    job = add_job(sql)
    with psycopg.connect(database_url) as late:
        late_seq = one(late, TELL, job)
        seqs = [one(sql, TELL, job) for _ in range(5)]
        assert late_seq < min(seqs), "a reader by number alone would pass it"
        before = await told(database)
        assert (before.events, before.unsettled, before.more) == ([], True, False)
        late.commit()
    page = await told(database, before.position)
    assert [event.seq for event in page.events] == [late_seq, *seqs]
    assert (page.unsettled, (await told(database, page.position)).events) == (False, [])


async def test_a_transaction_that_is_taken_back_holds_nobody_up(
    database: Database, database_url: str, sql: Rows
) -> None:
    job = add_job(sql)
    with psycopg.connect(database_url) as late:
        one(late, TELL, job)
        seq = one(sql, TELL, job)
        late.rollback()
    assert [event.seq for event in (await told(database)).events] == [seq]


async def test_a_reader_of_a_busy_log_sees_everything_once_and_in_order(
    database: Database, database_url: str, sql: Rows
) -> None:
    """Writers with transactions of all lengths; the reader keeps nothing but its position, written as a text."""
    job, written, chance = add_job(sql), set[int](), random.Random(1)
    seen: list[Event] = []

    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            for _ in range(WRITES // WRITERS):
                await connection.execute("select pg_current_xact_id()")
                await asyncio.sleep(chance.random() * 0.01)
                row = await (await connection.execute(TELL, [job])).fetchone()
                assert row is not None
                await asyncio.sleep(chance.random() * 0.03)
                await connection.commit()
                written.add(row[0])

    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write()) for _ in range(WRITERS)]
        place = str((await head(database)).position)
        while not all(writer.done() for writer in writers) or len(seen) < WRITES:
            start = Position.parse(place)
            assert start is not None
            page = await told(database, start, most=7)
            seen += page.events
            place = str(page.position)
            await asyncio.sleep(0.001)
    places = [(event.xid, event.seq) for event in seen]
    assert places == sorted(set(places))
    assert {event.seq for event in seen} == written
    assert len(seen) == WRITES
    numbers = [event.seq for event in seen]
    assert numbers != sorted(numbers), "a reader by number alone would have done"


async def test_a_database_restored_into_another_cluster_begins_a_new_epoch(
    database: Database, owner_url: str, sql: Rows
) -> None:
    """Numbers of transactions are the cluster's own: what was told before must neither hide nor repeat what comes."""
    job = add_job(sql)
    one(sql, TELL, job)
    before = (await told(database)).position
    with rows(owner_url) as owner:  # as if the dump came from a cluster that had counted much further, or less far
        owner.execute("update event_epochs set system_identifier = 1")
        owner.execute("update job_events set xid = '9000000000'")
        owner.execute("insert into job_events (job_id, name, attempt, xid) values (%s, 'job.started', 1, '3')", [job])
    for _ in range(3):
        await tail.begin(database)
    assert one(sql, "select count(*) from event_epochs") == 2
    now = await head(database)
    assert not now.knows(before)
    assert now.resume(before) == Position(now.epoch, 0, 0)
    seq = one(sql, TELL, job)
    assert [event.seq for event in (await told(database, now.resume(before))).events] == [seq]


async def test_a_position_of_what_was_lost_is_foreign(database: Database) -> None:
    """A backup from before was restored in the same cluster: the client has seen what never happened here."""
    now = await head(database)
    assert now.knows(now.position)
    assert not now.knows(Position(now.epoch, now.next_xid + 10, 1))


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_position_is_read_as_it_was_written(xid: int, seq: int) -> None:
    position = Position("0123abcd", xid, seq)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "x", "0123abcd-1", "0123abcd-1-2 ", "0123ABCD-1-2", f"0123abcd-1-{2**63}"])
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None


def test_the_end_of_a_long_log_is_found_by_index_in_every_partition(owner_url: str, database_url: str) -> None:
    """Planned while the tables were empty, as the statements of a process are; then there are many."""
    with rows(owner_url) as owner, psycopg.connect(database_url, autocommit=True, options=SESSION_OPTIONS) as app:
        owner.execute("select ensure_partitions(2)")
        statement, _ = numbered(statements()["events.after"][1])
        app.execute(b"prepare tail as " + statement)
        app.execute("execute tail ('0', 0, 1)")
        user = add_user(owner)
        owner.execute(
            """with made as (insert into jobs (id, user_id, lane_id, tag, cost)
                select uuid7(), %s, (select min(id) from lanes), n, 1 from generate_series(1, 20000) n returning id)
            insert into job_events (job_id, name, attempt) select id, 'job.submitted', 0 from made""",
            [user],
        )
        owner.execute("analyze jobs")  # as autovacuum does after 5,000 of them
        middle = owner.execute("select xid::text, seq from job_events offset 15000 limit 1").fetchone()
        assert middle is not None
        explain = "explain (analyze, buffers, format json) execute tail ('{}', {}, 100)".format(*middle)
        found = app.execute(explain.encode()).fetchone()
        assert found is not None
        plan = list(nodes(found[0][0]["Plan"]))
    walks = [node for node in plan if node.get("Relation Name", "").startswith("job_events")]
    assert len(walks) == 4, "three months and the default"
    assert {node["Node Type"] for node in walks} <= {"Index Scan", "Index Only Scan"}
    assert all("ROW(xid, seq) >" in node["Index Cond"] for node in walks)
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in walks) <= 101
    assert {node["Index Name"] for node in plan if node.get("Relation Name") == "jobs"} == {"jobs_pkey"}
    assert plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"] < 100 * 15


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
