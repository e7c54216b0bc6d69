"""The books: what an operator moves by hand, every line in words, and no disagreement that the check would not find."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from control_plane import audit, metrics
from control_plane.database import Database
from control_plane.errors import Invalid, NotFound
from control_plane.money import ledger
from control_plane.money.ledger import LAWS, Line
from control_plane.queue.admission import Order, submit
from control_plane.settings import Settings
from control_plane.signing import SigningKeys
from control_plane.store import FolderStore
from control_plane.sweeper import LEDGER_SHARE, Sweeper
from tests.fixtures.queue import (
    DEADLINE_SECONDS,
    Rows,
    Slot,
    add_user,
    add_worker,
    lane_of_the_testcard,
    order,
    process,
    rows,
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=4)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def owner(owner_url: str) -> Iterator[Rows]:
    with rows(owner_url) as owner:
        yield owner


async def ordered(database: Database, *orders: Order) -> list[UUID]:
    found = await submit(database, orders)
    assert [row.refusal for row in found] == [None] * len(orders)
    return [row.job_id for row in found if row.job_id is not None]


# ------------------------------------------------------------------------------------------ by hand


async def test_a_grant_and_its_reversal_are_two_lines_and_may_leave_a_debt(database: Database, sql: Rows) -> None:
    user = add_user(sql)
    assert (await ledger.grant(database, user, 500, " for patience ", audit.OPERATOR)).purchased == 500
    assert (await ledger.adjust(database, user, -700, "payment reversed", audit.OPERATOR)).purchased == -200
    assert (await ledger.adjust(database, user, 1, "a cent found", audit.OPERATOR)).purchased == -199
    lines = await ledger.page(database, user)
    assert [(line.kind, line.debit, line.credit, line.amount, line.purchased) for line in lines] == [
        ("adjust", "issued", "purchased", 1, -199),
        ("adjust", "purchased", "issued", 700, -200),
        ("grant", "issued", "purchased", 500, 500),
    ]
    assert lines[-1].reason == "for patience"
    entries = await audit.entries(database, object=("user", user), limit=10)
    assert [(entry.verb, entry.detail["amount"]) for entry in entries] == [
        ("adjust", 1),
        ("adjust", -700),
        ("grant", 500),
    ]
    assert await ledger.violations(database) == []


async def test_a_debt_stops_orders_but_nothing_that_waits_or_runs(database_url: str, sql: Rows) -> None:
    async with process(database_url) as plane:
        user, slot = add_user(sql), Slot(plane, add_worker(sql))
        lane = lane_of_the_testcard(sql)
        running, queued = await ordered(plane.database, order(user, lane), order(user, lane))
        lease = await slot.start(await slot.take())
        await ledger.adjust(plane.database, user, -1, "payment reversed", audit.OPERATOR)
        [refused] = await submit(plane.database, [order(user, lane)])
        assert (refused.refusal, refused.available) == ("tokens_short", 0)
        states: dict[UUID, str] = dict(sql.execute("select id, state from jobs").fetchall())
        assert states == {running: "running", queued: "queued"}
        assert await slot.complete(sql, lease) == "succeeded"
        await slot.serve(sql)
        assert await ledger.violations(plane.database) == []


@pytest.mark.parametrize("amount", [0, -5, 10**13])
async def test_a_grant_of_nothing_or_of_everything_is_refused(database: Database, sql: Rows, amount: int) -> None:
    with pytest.raises(Invalid):
        await ledger.grant(database, add_user(sql), amount, "why", audit.OPERATOR)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301, "a\0b"])
async def test_a_transfer_says_why(database: Database, sql: Rows, reason: str) -> None:
    with pytest.raises(Invalid):
        await ledger.adjust(database, add_user(sql), 1, reason, audit.OPERATOR)
    with pytest.raises(NotFound):
        await ledger.grant(database, UUID(int=1), 1, "why", audit.OPERATOR)
    assert sql.execute("select count(*) from ledger_transfers").fetchone() == (0,)
    assert sql.execute("select count(*) from audit_log").fetchone() == (0,)


# ------------------------------------------------------------------------------------------ in words


def line(**fields: object) -> Line:
    whole: dict[str, object] = {
        "id": 1,
        "created_at": datetime(2026, 5, 1, tzinfo=UTC),
        "kind": "hold",
        "debit": "daily",
        "credit": "held",
        "amount": 4,
        "day": None,
        "job_id": UUID(int=7),
        "reason": None,
        "job_kind": "image",
        "model": "testcard",
        "state": "canceled",
        "job_held": 4,
        "job_charged": 3,
        "purchased": 0,
        "held": 0,
        "daily": None,
    }
    return Line(**{**whole, **fields})  # type: ignore[arg-type]


def test_every_kind_of_line_has_its_words_and_its_sign() -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC).date()
    told = {
        "granted": line(kind="grant", debit="issued", credit="purchased", job_id=None, model=None, reason="welcome"),
        "taken": line(kind="adjust", debit="purchased", credit="issued", job_id=None, reason="reversed"),
        "added": line(kind="adjust", debit="issued", credit="purchased", job_id=None, reason="found"),
        "held": line(day=day),
        "charged": line(kind="charge", debit="held", credit="spent", amount=3),
        "returned": line(kind="return", debit="held", credit="purchased", amount=1),
    }
    job = f"job {UUID(int=7)} (image by testcard, canceled)"
    share = "3 of 4 tokens are charged, for 75% of the work"
    assert {name: ledger.in_words(one) for name, one in told.items()} == {
        "granted": "Granted: welcome.",
        "taken": "Taken away: reversed.",
        "added": "Added: found.",
        "held": f"Held for {job}, out of the daily tokens of 2026-05-01.",
        "charged": f"Charged for {job}: {share}.",
        "returned": f"Returned from {job}: {share}, to purchased tokens.",
    }
    signs = {name: ledger.signed(one) for name, one in told.items()}
    assert signs == {"granted": 4, "taken": -4, "added": 4, "held": -4, "charged": -3, "returned": 1}


async def test_a_page_goes_on_where_the_last_one_ended_with_the_balances_right(
    database_url: str, owner: Rows, sql: Rows
) -> None:
    """Every line says what its user had after it, on whichever page it stands: compared with a fold in plain Python."""
    async with process(database_url) as plane:
        owner.execute("insert into plans (name, tokens_per_day, queued_max, retention_days) values ('few', 3, 100, 1)")
        user, other = add_user(sql, plan="few"), add_user(sql, plan="few")
        lane = lane_of_the_testcard(sql)
        slot = Slot(plane, add_worker(sql))
        for person in (user, other):
            await ledger.grant(plane.database, person, 100, "welcome", audit.OPERATOR)
        for cost in (2, 3, 4):
            await ordered(plane.database, order(user, lane, cost=cost), order(other, lane, cost=cost))
        await slot.serve(sql)
        lease = await slot.start(await slot.take())
        job_id = next(
            job for (job,) in sql.execute("select id from jobs where user_id = %s and state = 'queued'", [user])
        )
        await plane.cancel(user, job_id)
        await plane.fail(slot.fence(lease), "invalid_input", "")
        whole = await ledger.page(plane.database, user)
        balances = {"purchased": 0, "held": 0, "daily": 0}
        for one in reversed(whole):
            for account in ("purchased", "held"):
                balances[account] += one.amount * ((one.credit == account) - (one.debit == account))
            balances["daily"] += one.amount * ((one.debit == "daily") - (one.credit == "daily"))
            assert (one.purchased, one.held) == (balances["purchased"], balances["held"])
            assert one.daily == (balances["daily"] if one.day else None)
        assert len(whole) >= 7
        paged: list[Line] = []
        while page := await ledger.page(plane.database, user, before=paged[-1].id if paged else None, most=2):
            paged += page
        assert paged == whole
        kept = sql.execute("select purchased, held, daily from balances where user_id = %s", [user]).fetchone()
        assert kept == tuple(balances.values())


# ------------------------------------------------------------------------------------------ what must always hold

OFF_BY_ONE: dict[str, LiteralString] = {
    "balance_purchased": "update balances set purchased = purchased + 1",
    "balance_held": "update balances set held = held + 1",
    "balance_of_live_jobs": "update balances set held = held + 1",
    "count_queued": "update balances set queued = queued + 1",
    "count_running": "update balances set running = running + 1",
    "balance_daily": "update balances set daily = daily + 1",
    "usage_daily": "update usage_daily set daily = daily + 1",
    "hold_of_job": "update ledger_transfers set amount = amount + 1 where kind = 'hold'",
    "settlement_missing": "delete from settlements",
    "settlement_early": """insert into settlements (job_id, user_id, held, charged, returned)
        select id, user_id, cost, 0, cost from jobs where state = 'queued'""",
    "settlement_held": "update settlements set held = held + 1, charged = charged + 1",
    "settlement_charged": "update settlements set charged = charged - 1, returned = returned + 1 where charged > 0",
    "settlement_returned": "update settlements set charged = charged - 1, returned = returned + 1 where charged > 0",
    "charged_for_nothing": "update jobs set state = 'failed', error_code = 'oom' where state = 'succeeded'",
}
"""A law → a statement, by somebody who may do anything, that breaks it."""


async def a_little_of_everything(database_url: str, sql: Rows) -> UUID:
    """A user with a job that waits, one that runs, one that succeeded and one that was canceled."""
    async with process(database_url) as plane:
        user, slot = add_user(sql), Slot(plane, add_worker(sql))
        lane = lane_of_the_testcard(sql)
        jobs = await ordered(plane.database, *(order(user, lane, cost=4) for _ in range(4)))
        await slot.serve(sql)
        await slot.start(await slot.take())
        await plane.cancel(user, jobs[-1])
    return user


def test_every_law_of_the_view_has_its_words(sql: Rows) -> None:
    found = sql.execute("select pg_get_viewdef('ledger_violations'::regclass)").fetchone()
    assert found is not None
    named = set(re.findall(r"SELECT '([a-z_]+)'::text AS law", found[0]))
    assert named == set(LAWS) == set(OFF_BY_ONE)


@pytest.mark.parametrize("law", LAWS)
async def test_a_planted_disagreement_is_found(
    database_url: str, database: Database, sql: Rows, owner: Rows, law: str
) -> None:
    user = await a_little_of_everything(database_url, sql)
    assert await ledger.violations(database) == []
    owner.execute("alter table jobs disable trigger user")
    owner.execute(OFF_BY_ONE[law])
    found = {violation.law: violation for violation in await ledger.violations(database)}
    assert law in found
    assert found[law].user_id == user
    told = ledger.violation_in_words(found[law])
    assert told.startswith(f"{found[law].user}")
    assert str(found[law].kept) in told or str(found[law].found) in told


async def test_the_gauge_counts_disagreements_by_law_and_falls_again(
    database_url: str, database: Database, sql: Rows, owner: Rows
) -> None:
    await a_little_of_everything(database_url, sql)
    settings = Settings()

    async def looked() -> dict[str, float]:
        """What the gauge says after a sweep of a process that has just started."""
        sweeper = Sweeper(database, FolderStore(settings.artifacts_folder), SigningKeys(), settings)
        await sweeper.sweep(sweeper.tasks["ledger"])
        return gauged()

    assert await looked() == dict.fromkeys(LAWS, 0.0)
    owner.execute("update balances set purchased = purchased + 1")
    assert await looked() == {**dict.fromkeys(LAWS, 0.0), "balance_purchased": 1.0}
    owner.execute("update balances set purchased = purchased - 1")
    assert await looked() == dict.fromkeys(LAWS, 0.0)


def gauged() -> dict[str, float]:
    [family] = metrics.ledger_violations.collect()
    return {sample.labels["law"]: sample.value for sample in family.samples}


async def test_the_books_are_read_the_more_rarely_the_longer_it_takes(
    database_url: str, database: Database, sql: Rows, owner: Rows
) -> None:
    await a_little_of_everything(database_url, sql)
    settings = Settings()
    sweeper = Sweeper(database, FolderStore(settings.artifacts_folder), SigningKeys(), settings)
    started = time.monotonic()
    await sweeper.sweep(sweeper.tasks["ledger"])
    took = time.monotonic() - started
    owner.execute("update balances set purchased = purchased + 1")
    await sweeper.sweep(sweeper.tasks["ledger"])
    assert gauged()["balance_purchased"] == 0, "it is not read again at once"
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not gauged()["balance_purchased"]:
            await asyncio.sleep(0.01)
            await sweeper.sweep(sweeper.tasks["ledger"])
    assert time.monotonic() - started > took / 2 / LEDGER_SHARE


BEYOND: tuple[LiteralString, ...] = (
    "update ledger_transfers set amount = 1",
    "update settlements set charged = 0",
    "delete from ledger_transfers",
    "delete from settlements",
    "delete from balances",
    "delete from usage_daily",
    "truncate ledger_transfers",
    "truncate settlements",
    "update balances set held = 0",
    "update balances set daily = 0",
    "update balances set submits_until = now()",
    "update usage_daily set daily = 0",
    "insert into settlements (job_id, user_id, held, charged, returned) values (uuid7(), uuid7(), 1, 0, 1)",
    "insert into balances (user_id) select id from users",
    "insert into usage_daily (user_id, day) select id, utc_day(now()) from users",
    "alter table ledger_transfers disable trigger all",
    "alter table jobs disable trigger user",
    "drop table settlements",
    "select hold_tokens()",
    "set session_replication_role = replica",
)


@pytest.mark.parametrize("statement", BEYOND)
async def test_the_application_can_neither_change_nor_forget_the_books(
    database_url: str, sql: Rows, statement: LiteralString
) -> None:
    await a_little_of_everything(database_url, sql)
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        sql.execute(statement)


UNBALANCED: tuple[LiteralString, ...] = (
    "('grant', 'purchased', 'issued', 5, null, 'r')",
    "('grant', 'issued', 'purchased', 0, null, 'r')",
    "('grant', 'issued', 'purchased', -5, null, 'r')",
    "('grant', 'issued', 'purchased', 5, null, null)",
    "('grant', 'issued', 'issued', 5, null, 'r')",
    "('grant', 'issued', 'daily', 5, null, 'r')",
    "('adjust', 'daily', 'purchased', 5, null, 'r')",
    "('charge', 'held', 'spent', 5, null, 'r')",
    "('gift', 'issued', 'purchased', 5, null, 'r')",
)


@pytest.mark.parametrize("values", UNBALANCED)
def test_a_line_that_could_not_be_explained_cannot_be_written(sql: Rows, values: LiteralString) -> None:
    add_user(sql)
    with pytest.raises(psycopg.errors.CheckViolation):
        sql.execute(
            "insert into ledger_transfers (user_id, kind, debit, credit, amount, day, reason)"
            f" select u.id, v.kind, v.debit, v.credit, v.amount, v.day::date, v.reason"
            f" from users u, (values {values}) as v (kind, debit, credit, amount, day, reason)"
        )


async def test_a_job_is_settled_once(database_url: str, sql: Rows, owner: Rows) -> None:
    await a_little_of_everything(database_url, sql)
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute("insert into settlements select * from settlements")
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute(
            "insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)"
            " select user_id, kind, debit, credit, amount, day, job_id from ledger_transfers where kind = 'charge'"
        )
