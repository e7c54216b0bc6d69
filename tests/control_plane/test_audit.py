from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database
from control_plane.errors import Invalid
from control_plane.people import users


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, size=2)
    await opened.open()
    yield opened
    await opened.close()


async def test_what_is_recorded_is_read_again_the_newest_first(database: Database) -> None:
    ada = await users.create(database, "ada", "house")
    await audit.record(database, audit.OPERATOR, "suspend", ("user", ada), {"reason": "spam"})
    await audit.record(database, audit.user(ada), "quarantine", ("artifact", "x/0"))
    await audit.record(database, audit.service("abcdefghijkl"), "create", ("user", ada))
    found = await audit.entries(database, limit=10)
    assert [(e.actor_kind, e.actor_name, e.verb, e.object_kind, e.detail) for e in found] == [
        ("service", None, "create", "user", {}),
        ("user", "ada", "quarantine", "artifact", {}),
        ("operator", None, "suspend", "user", {"reason": "spam"}),
    ]
    assert [e.verb for e in await audit.entries(database, object=("user", ada), limit=10)] == ["create", "suspend"]
    assert [e.verb for e in await audit.entries(database, kind="artifact", limit=10)] == ["quarantine"]
    assert [e.verb for e in await audit.entries(database, before=found[0].id, limit=1)] == ["quarantine"]


async def half_a_deed(database: Database) -> None:
    async with database.transaction() as connection:
        await audit.record(connection, audit.OPERATOR, "pause", ("switch", "submits"))
        raise ZeroDivisionError


async def test_a_line_belongs_to_the_transaction_of_its_deed(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await half_a_deed(database)
    assert await audit.entries(database, limit=10) == []


@pytest.mark.parametrize(
    "statement", ["update audit_log set verb = 'forget'", "delete from audit_log", "truncate audit_log"]
)
async def test_the_application_can_change_no_line(database: Database, database_url: str, statement: str) -> None:
    await audit.record(database, audit.OPERATOR, "pause", ("switch", "submits"))
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(sql.SQL(statement))
    assert len(await audit.entries(database, limit=10)) == 1


@pytest.mark.parametrize("reason", ["x" * (audit.REASON_LENGTH_MAX + 1), "a\x00b"])
async def test_a_reason_is_short_and_can_be_stored(database: Database, reason: str) -> None:
    with pytest.raises(Invalid, match="At most 300 characters"):
        await audit.record(database, audit.OPERATOR, "suspend", ("user", "x"), {"reason": reason})


def test_an_actor_names_itself() -> None:
    assert str(audit.OPERATOR) == "operator"
    assert str(Actor("service", "abcdefghijkl")) == "service:abcdefghijkl"
