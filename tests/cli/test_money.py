"""What an operator does about plans and tokens: change, grant, correct, explain, check."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import psycopg

from control_plane import embedded
from control_plane.database import Database
from control_plane.people.credentials import Credentials
from control_plane.queue import statements
from tests.fixtures.operator import Say, Tell, name, on_database, submit


def as_owner(data_dir: Path, statement: str) -> None:
    server = embedded.start(data_dir)
    try:
        with psycopg.connect(server.owner_url, autocommit=True) as owner:
            owner.execute(statement.encode())
    finally:
        server.stop()


def test_plans_are_listed_and_changed_with_what_was_before(say: Say, tell: Tell) -> None:
    listed = {plan["name"]: plan for plan in tell("plan", "list")}
    assert (listed["free"]["tokens_per_day"], listed["pro"]["weight"]) == (100, 12)
    assert "starter  1000" in say("plan", "list")
    assert "20.00 EUR" in say("plan", "list")
    pool = listed["free"]["pool_weight"]
    assert say("plan", "set", "free", "tokens_per_day=50", "images=yes", "pool_weight=none") == (
        f"free: tokens_per_day was 100, is 50\nfree: pool_weight was {pool}, is none\n"
    )
    changed = tell("plan", "set", "free", "tokens_per_day=100", f"pool_weight={pool}")
    assert changed == {
        "plan": "free",
        "changes": [
            {"name": "tokens_per_day", "before": 50, "after": 100},
            {"name": "pool_weight", "before": None, "after": pool},
        ],
    }
    assert "says so already" in say("plan", "set", "free", "tokens_per_day=100")


def test_a_wrong_change_of_a_plan_is_told_and_changes_nothing(say: Say, tell: Tell) -> None:
    before = tell("plan", "list")
    for settings, told in (
        (["tokens_per_day"], "is not KEY=VALUE"),
        (["tokens_per_dy=5"], "Did you mean tokens_per_day?"),
        (["tokens_per_day=-5"], "tokens_per_day=-5"),
        (["tokens_per_day=5", "weight=heavy"], "weight=heavy"),
        (["weight=1", "weight=2"], "given twice"),
        (["name=gratis"], "There is no setting of a plan name"),
    ):
        assert told in say("plan", "set", "free", *settings, code=64)
    assert "Did you mean pro?" in say("plan", "set", "prro", "weight=1", code=64)
    assert tell("plan", "list") == before


def test_an_account_changes_its_plan_for_a_time_or_for_ever(say: Say, tell: Tell) -> None:
    ada = name()
    tell("user", "create", ada)
    assert say("user", "plan", ada, "pro", "--until", "2999-12-31") == (
        f"{ada} is on plan pro, paid until the end of 2999-12-31 (UTC).\n"
    )
    told = tell("user", "plan", ada, "starter")
    assert (told["plan"], told["paid_until"]) == ("starter", None)
    assert "it has lapsed to free" in say("user", "plan", ada, "pro", "--until", "2020-01-01")
    [listed] = [user for user in tell("user", "list") if user["name"] == ada]
    assert listed["plan"] == "free", "what is shown is what the user has"
    assert "Did you mean pro?" in say("user", "plan", ada, "prro", code=64)
    assert "2027-13-01" in say("user", "plan", ada, "pro", "--until", "2027-13-01", code=64)


def test_every_token_is_explained(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    made = tell("user", "create", ada)
    assert say("ledger", "show", ada) == f"{ada} has never had or spent a token.\n"
    assert "40 purchased tokens" in say("user", "grant", ada, "40", "--reason", "for patience")
    assert "has -10 purchased tokens" in (told := say("user", "adjust", ada, "-50", "--reason", "payment reversed"))
    assert "Nothing new can be ordered" in told
    assert tell("user", "adjust", ada, "+10", "--reason", "paid")["purchased"] == 0
    job_id = submit(data_dir, made["id"])
    on_database(data_dir, lambda database: statements.cancel(database, UUID(made["id"]), job_id))
    lines = tell("ledger", "show", ada)
    assert [(line["signed"], line["purchased"], line["held"], line["daily"]) for line in lines] == [
        (1, 0, 0, 0),
        (-1, 0, 1, 1),
        (10, 0, 0, None),
        (-50, -10, 0, None),
        (40, 40, 0, None),
    ]
    day = lines[0]["day"]
    assert lines[1]["sentence"] == (
        f"Held for job {job_id} (image by testcard, canceled), out of the daily tokens of {day}."
    )
    whole = say("ledger", "show", ada)
    assert "Granted: for patience." in whole
    assert "Taken away: payment reversed." in whole
    assert f"Returned from job {job_id} (image by testcard, canceled), to the daily tokens of {day}." in whole
    page = tell("ledger", "show", ada, "--limit", "2")
    rest = tell("ledger", "show", ada, "--before", page[-1]["id"])
    assert [line["id"] for line in page + rest] == [line["id"] for line in lines]


def test_tokens_are_not_moved_without_a_reason_or_by_nothing(say: Say, tell: Tell) -> None:
    ada = name()
    tell("user", "create", ada)
    assert "--reason" in say("user", "grant", ada, "5", code=64)
    assert "at least one token" in say("user", "grant", ada, "-5", "--reason", "x", code=64)
    assert "changes nothing" in say("user", "adjust", ada, "0", "--reason", "x", code=64)
    assert "not a whole number" in say("user", "grant", ada, "1.5", "--reason", "x", code=64)
    assert tell("ledger", "show", ada) == []


def test_the_check_says_where_the_books_disagree(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    made = tell("user", "create", ada)
    assert say("ledger", "check") == "The books agree.\n"
    submit(data_dir, made["id"])
    as_owner(data_dir, f"update balances set held = held + 2 where user_id = '{made['id']}'")
    told = say("ledger", "check", code=1)
    assert f"{ada}: held tokens are 3, but the ledger adds up to 1 (balance_held)." in told
    assert f"{ada}: held tokens are 3, but the jobs that are not over cost 1 (balance_of_live_jobs)." in told
    as_owner(data_dir, f"update balances set held = held - 2 where user_id = '{made['id']}'")
    assert tell("ledger", "check") == []


def test_a_key_can_be_bound_to_models(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    tell("user", "create", ada)
    assert "Did you mean testcard?" in say("key", "create", ada, "--model", "testcrd", code=64)
    made = tell("key", "create", ada, "--model", "testcard", "--model", "testcard")

    async def bound(database: Database) -> list[str] | None:
        return (await Credentials(database).api_key(made["key"])).models

    assert on_database(data_dir, bound) == ["testcard"]


def test_packs_are_offered_changed_and_taken_off(say: Say, tell: Tell) -> None:
    assert [pack["name"] for pack in tell("pack", "list")] == ["small", "medium", "large"]
    price = ("--tokens", "700", "--stars", "200", "--cents", "400")
    assert say("pack", "set", "small", *price) == "small is offered.\n"
    assert "4.00 EUR" in say("pack", "list")
    assert tell("pack", "set", "small", *price, "--off") == {"pack": "small", "offered": False}
    assert [pack["name"] for pack in tell("pack", "list")] == ["medium", "large"]
    assert "three capital letters" in say("pack", "set", "small", *price, "--currency", "euro", code=64)
    assert "whole number" in say("pack", "set", "small", "--tokens", "0", "--stars", "1", "--cents", "1", code=64)
    say("pack", "set", "small", "--tokens", "500", "--stars", "150", "--cents", "300")
