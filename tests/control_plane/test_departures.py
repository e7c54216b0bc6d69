"""Whoever leaves is gone: no table and no file holds anything of them, and the books still agree."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from control_plane import audit
from control_plane.care import departures
from control_plane.errors import NotFound
from control_plane.money import ledger
from control_plane.people.twins import twin
from control_plane.sweeper import Sweeper
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.leavers import MARK, leaver, plant

PLANTED_MIN = 16
"""Tables in which the mark stands before they leave."""
PSEUDONYMOUS = {
    *("users", "balances", "jobs", "settlements", "ledger_transfers", "usage_daily", "payments", "reports"),
    *("invite_uses", "audit_log", "departures", "retirements", "chats"),
}
"""Where the id of somebody who has left may still stand; it says nothing of them."""


def holding(owner_sql: psycopg.Connection[Any], words: str) -> set[str]:
    """Every table with a row in which this stands, as text or as bytes."""
    tables = owner_sql.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'public' and c.relkind = 'r'"
    ).fetchall()
    assert len(tables) > 40
    said = (
        f"select exists (select from {{}} t where t::text ilike '%{words}%' or t::text like '%{words.encode().hex()}%')"
    )
    return {name for (name,) in tables if owner_sql.execute(said.format(name).encode()).fetchone() == (True,)}


def files(plane: Plane) -> set[Path]:
    root = plane.context.settings.artifacts_folder
    return {path for path in root.rglob("*") if path.is_file()} if root.exists() else set()


def sweeper(plane: Plane) -> Sweeper:
    context = plane.context
    return Sweeper(context.database, context.store, context.signing_keys, context.settings)


def books(owner_sql: psycopg.Connection[Any], user_id: UUID) -> list[Any]:
    """Every amount that ever moved."""
    return owner_sql.execute(
        "select id, kind, debit, credit, amount, day, job_id, created_at from ledger_transfers"
        " where user_id = any (household(%s)) order by id",
        (user_id,),
    ).fetchall()


async def test_nothing_of_whoever_leaves_stays_in_any_table_or_file(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    neighbour = await control_plane.service.done()
    before = files(control_plane)
    person = await leaver(control_plane, owner_sql)
    await plant(person)
    planted = holding(owner_sql, MARK)
    assert len(planted) >= PLANTED_MIN, planted
    assert files(control_plane) - before
    paid = books(owner_sql, person.id)

    answered = await person.leave()
    assert answered.status == 200, answered.body
    context = control_plane.context  # the sandbox may be drawing what a test key has ordered
    await eventually(lambda: departures.proceed(context.database, context.store, person.id), bool)
    assert holding(owner_sql, MARK) == set()
    assert files(control_plane) == before
    assert holding(owner_sql, str(person.id)) <= PSEUDONYMOUS
    assert books(owner_sql, person.id)[: len(paid)] == paid
    assert len(paid) >= 4
    assert await ledger.violations(control_plane.context.database) == []
    assert owner_sql.execute("select tokens, payer from payments").fetchall() == [(500, None)]

    assert (await person.call("GET", "/user/me")).status == 401
    [(status,)] = owner_sql.execute("select status from users where id = %s", (twin(person.id),)).fetchall()
    assert status == "deleted"
    mine = await control_plane.service.job(neighbour["id"])
    assert (mine["prompt"], len(mine["artifacts"])) == ("a lighthouse", 1), "nobody else lost anything"


async def test_who_leaves_types_the_name_and_an_operator_leaves_by_the_command_line(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    refused = await person.leave("ada")
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, "other_name")
    weak = await control_plane.key_of(person.id, ["read", "submit"])
    assert (await person.call("POST", "/user/delete", {"name": person.name}, weak)).status == 403
    operator = await control_plane.call("POST", f"{API}/user/delete", control_plane.admin_key, {"name": "admin"})
    assert operator.status == 403
    assert b"tessera user delete" in operator.body
    assert (await person.call("GET", "/user/me")).status == 200
    assert (await person.leave()).json["finished"] is True


async def test_what_runs_is_stopped_and_settled_before_the_last_of_it_goes(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person, hands = await leaver(control_plane, owner_sql), control_plane.service.hands
    lease = await person.started()
    waiting = await person.ordered(seed=2)
    answered = await person.leave()
    assert answered.json["finished"] is False
    assert owner_sql.execute("select state from jobs where id = %s", (waiting,)).fetchone() == ("canceled",)
    assert holding(owner_sql, MARK) == {"job_specs"}, "the agent still reads what it draws"
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    told = await hands.call("/heartbeat", {"leases": [report]})
    assert told.json["cancel"] == [str(lease.job_id)]
    assert await sweeper(control_plane).departures() == 0
    assert (await hands.complete(lease)).json["state"] == "canceled"
    assert await sweeper(control_plane).departures() == 1
    assert (holding(owner_sql, MARK), files(control_plane)) == (set(), set())
    assert await ledger.violations(control_plane.context.database) == []
    assert await sweeper(control_plane).departures() == 0, "and is done with it"


async def test_a_legal_hold_and_an_open_report_keep_their_job_and_nothing_else(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    held, reported, other = [await person.done(seed=seed) for seed in (1, 2, 3)]
    owner_sql.execute("update artifacts set legal_hold = true where job_id = %s", (held,))
    owner_sql.execute(
        "insert into reports (job_id, reporter_id, category, text) values (%s, %s, 'other', %s)",
        (reported, control_plane.admin_id, f"look at {MARK}"),
    )
    assert (await person.leave()).json["finished"] is False
    kept = owner_sql.execute("select job_id from artifacts order by job_id").fetchall()
    assert [job_id for (job_id,) in kept] == sorted([held, reported])
    assert owner_sql.execute("select spec ->> 'prompt' from job_specs where job_id = %s", (other,)).fetchone() == ("",)
    assert await sweeper(control_plane).departures() == 0

    owner_sql.execute("update artifacts set legal_hold = false")
    owner_sql.execute("update reports set state = 'dismissed', handled_at = now(), handled_by = 'operator'")
    assert await sweeper(control_plane).departures() == 1
    assert (holding(owner_sql, MARK), files(control_plane)) == (set(), set())


async def test_leaving_and_coming_back_is_no_new_allowance(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    bot = await control_plane.service_key("telegram")
    as_ada = {"Tessera-On-Behalf-Of": f"telegram:{MARK}"}
    me = await control_plane.call("GET", f"{API}/user/me", bot, headers=as_ada)
    user_id = UUID(me.json["id"])
    database, store = control_plane.context.database, control_plane.context.store
    await departures.depart(database, user_id, audit.OPERATOR)
    assert await departures.proceed(database, store, user_id)
    control_plane.context.credentials.forget_user(user_id)
    again = await control_plane.call("GET", f"{API}/user/me", bot, headers=as_ada)
    assert (again.status, again.code) == (403, "unlinked"), again.body
    digest = hashlib.sha256(f"telegram:{MARK}".encode()).hexdigest()
    assert holding(owner_sql, MARK) == set()
    assert holding(owner_sql, digest) == {"unlinked_identities"}
    owner_sql.execute("update unlinked_identities set unlinked_at = now() - interval '31 days'")
    assert await sweeper(control_plane).identities() == 1
    fresh = await control_plane.call("GET", f"{API}/user/me", bot, headers=as_ada)
    assert fresh.status == 200
    assert fresh.json["id"] != str(user_id)


async def test_to_leave_twice_is_to_leave_once_and_nobody_else_can_be_deleted(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    database = control_plane.context.database
    for _ in range(2):
        assert person.id in await departures.depart(database, person.id, audit.OPERATOR)
    lines = await audit.entries(database, object=("user", person.id), limit=10)
    assert [line.verb for line in lines].count("delete") == 1
    for nobody in (twin(person.id), UUID(int=7)):
        with pytest.raises(NotFound):
            await departures.depart(database, nobody, audit.OPERATOR)
