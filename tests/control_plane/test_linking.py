"""Linking: codes, what becomes of two accounts, and parting again."""

from __future__ import annotations

import asyncio
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from control_plane import audit
from control_plane.money import ledger
from control_plane.people import codes, users
from tests.fixtures.api import API, Plane
from tests.fixtures.people import Person, at_ease, count, violations
from tests.fixtures.pictures import drawn, encoded
from tests.fixtures.queue import rows
from tests.fixtures.uploads import upload


@pytest.mark.parametrize("first_makes", [True, False])
async def test_two_identities_become_one_account_whichever_makes_the_code(
    ada: Person, lovelace: Person, owner_url: str, first_makes: bool
) -> None:
    older, younger = await ada.me(), await lovelace.me()
    maker, enterer = (ada, lovelace) if first_makes else (lovelace, ada)
    linked = await enterer.enter((await maker.code()).lower().replace("-", " "))
    assert linked.status == 200, linked.body
    assert linked.json["id"] == older["id"] != younger["id"]
    assert {f"{each['provider']}:{each['subject']}" for each in linked.json["identities"]} == {ada.name, lovelace.name}
    assert (await ada.me())["id"] == (await lovelace.me())["id"] == older["id"]
    job = (await ada.order()).json
    assert (await lovelace.call("GET", f"/jobs/{job['id']}")).status == 200
    assert violations(owner_url) == []


async def test_a_code_works_once_and_only_the_newest_of_a_user(ada: Person, lovelace: Person) -> None:
    await ada.me()
    old, new = await ada.code(), await ada.code()
    answered = await lovelace.enter(old)
    assert (answered.status, answered.json["errors"][0]["code"]) == (422, "no_such_code")
    assert (await lovelace.enter(new)).status == 200
    assert (await lovelace.enter(new)).status == 422


async def test_a_code_ends_after_its_time(ada: Person, lovelace: Person, owner_url: str) -> None:
    code = await ada.code()
    with rows(owner_url) as owner:
        owner.execute("update link_codes set expires_at = now()")
    assert (await lovelace.enter(code)).status == 422


async def test_a_code_is_not_to_be_read_in_the_database(ada: Person, owner_url: str) -> None:
    code = await ada.code()
    assert len(code) == 9
    with rows(owner_url) as owner:
        [row] = owner.execute("select code_sha256 from link_codes").fetchall()
    assert row == (codes.digest(code),)


async def test_ones_own_code_links_nothing(ada: Person) -> None:
    answered = await ada.enter(await ada.code())
    assert (answered.status, answered.json["errors"][0]["code"]) == (422, "own_code")


async def test_an_identity_without_an_account_joins_the_one_of_the_code(
    ada: Person, lovelace: Person, owner_url: str
) -> None:
    me = await ada.me()
    assert (await lovelace.enter(await ada.code())).json["id"] == me["id"]
    assert count(owner_url, "select count(*) from users where status = 'merged'") == 0
    assert count(owner_url, "select count(*) from users where name = 'discord:2'") == 0
    assert (await lovelace.me())["id"] == me["id"]


async def test_whoever_guesses_codes_is_stopped_and_nobody_else_is(
    ada: Person, lovelace: Person, control_plane: Plane, bot: str
) -> None:
    await lovelace.me()
    own, _ = codes.LIMITS["link"]
    answers = await asyncio.gather(*(lovelace.enter(f"GUESS-{n}") for n in range(own + 5)))
    assert sorted(answered.status for answered in answers) == [422] * own + [429] * 5
    refused = await lovelace.enter(await ada.code())
    assert (refused.status, refused.code) == (429, "too-many-tries")
    assert 0 < int(refused.headers["Retry-After"]) <= codes.PERIOD_SECONDS
    assert (await Person(control_plane, bot, "discord:3").enter(await ada.code())).status == 200


async def test_everybody_together_may_guess_so_often_and_one_guesser_does_not_use_that_up(
    ada: Person, lovelace: Person, owner_url: str
) -> None:
    own, together = codes.LIMITS["link"]
    for _ in range(own + 3):
        await lovelace.enter("GUESS")
    assert count(owner_url, "select guesses from guesses where kind = 'link' and guesser = ''") == own
    with rows(owner_url) as owner:
        owner.execute("update guesses set guesses = %s where kind = 'link' and guesser = ''", [together])
    assert (await ada.enter("GUESS")).status == 429
    with rows(owner_url) as owner:
        owner.execute("update guesses set since = since - interval '1 hour'")
    assert (await ada.enter("GUESS")).status == 422


async def test_nobody_launders_a_suspension(ada: Person, lovelace: Person, owner_url: str) -> None:
    code, theirs = await ada.code(), await lovelace.code()
    with rows(owner_url) as owner:
        owner.execute("update users set status = 'suspended' where name = 'telegram:1'")
    for answered in (await lovelace.enter(code), await ada.enter(theirs), await ada.call("POST", "/user/link-code")):
        assert (answered.status, answered.code) == (403, "account-suspended")
    fresh = Person(ada.plane, ada.bot, "discord:9")
    assert (await fresh.enter(code)).status == 403
    assert (await ada.call("DELETE", "/user/identities/telegram")).status == 403
    assert count(owner_url, "select count(*) from users where status = 'merged'") == 0


async def test_the_better_plan_is_kept_and_of_one_plan_the_later_date(
    control_plane: Plane, owner_url: str, bot: str
) -> None:
    cases = [
        (("free", None), ("pro", "2027-01-01"), ("pro", "2027-01-01")),
        (("starter", "2028-01-01"), ("pro", "2027-01-01"), ("pro", "2027-01-01")),
        (("pro", "2027-01-01"), ("pro", "2027-06-01"), ("pro", "2027-06-01")),
        (("pro", None), ("pro", "2027-06-01"), ("pro", None)),
        (("pro", "2020-01-01"), ("starter", "2027-06-01"), ("starter", "2027-06-01")),
    ]
    for number, (first, second, expected) in enumerate(cases):
        people = [Person(control_plane, bot, f"{provider}:{number}") for provider in ("telegram", "discord")]
        for person, (plan, until) in zip(people, (first, second), strict=True):
            me = await person.me()
            with rows(owner_url) as owner:
                owner.execute("update users set plan = %s, paid_until = %s where id = %s", [plan, until, me["id"]])
        linked = await people[1].enter(await people[0].code())
        with rows(owner_url) as owner:
            found = owner.execute(
                "select plan, to_char(paid_until, 'YYYY-MM-DD') from users where id = %s", [linked.json["id"]]
            ).fetchone()
        assert found == expected, number


async def test_keys_jobs_and_idempotency_keys_go_over(control_plane: Plane, ada: Person, owner_url: str) -> None:
    key = await control_plane.user_key()
    theirs = (await control_plane.call("GET", f"{API}/user/me", key)).json
    await ada.me()
    at_ease(owner_url)
    both, only = {"Idempotency-Key": "both"}, {"Idempotency-Key": "only"}
    mine = {
        name: (await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x"}, headers=headers)).json
        for name, headers in (("both", both),)
    }
    hers = [(await ada.call("POST", "/jobs", {"prompt": "x"}, **headers)).json for headers in (both, only)]
    linked = await ada.enter((await control_plane.call("POST", f"{API}/user/link-code", key)).json["code"])
    assert linked.json["id"] == theirs["id"]
    again = [await ada.call("POST", "/jobs", {"prompt": "x"}, **headers) for headers in (both, only)]
    assert [answered.json["id"] for answered in again] == [mine["both"]["id"], hers[1]["id"]]
    assert {answered.headers["Idempotent-Replayed"] for answered in again} == {"true"}
    listed = (await control_plane.call("GET", f"{API}/jobs", key)).json["data"]
    assert {job["id"] for job in listed} == {mine["both"]["id"], hers[0]["id"], hers[1]["id"]}
    entries = await audit.entries(control_plane.context.database, object=("user", theirs["id"]), limit=10)
    assert [entry.verb for entry in entries] == ["merge"]


async def test_what_was_taken_today_adds_up_so_merging_is_no_second_allowance(
    ada: Person, lovelace: Person, owner_url: str
) -> None:
    taken = []
    for person in (ada, lovelace):
        me = await person.me()
        with rows(owner_url) as owner:
            owner.execute("update users set created_at = now() - interval '30 days' where id = %s", [me["id"]])
        await person.order(width=1024, height=1024, steps=20, count=4)
        tokens = (await person.me())["tokens"]
        taken.append(tokens["daily_per_day"] - tokens["daily_left"])
    assert taken == [4, 4]
    assert (await lovelace.enter(await ada.code())).status == 200
    tokens = (await ada.me())["tokens"]
    assert (tokens["daily_per_day"], tokens["daily_left"], tokens["held"]) == (100, 92, 8)
    assert violations(owner_url) == []


async def test_the_ledger_of_the_survivor_tells_both_stories_and_ends_at_the_balance(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    database = control_plane.context.database
    for person, amount in ((ada, 50), (lovelace, 7)):
        await ledger.grant(database, UUID((await person.me())["id"]), amount, "a gift", audit.OPERATOR)
        await person.order()
    linked = await lovelace.enter(await ada.code())
    lines = await ledger.page(database, UUID(linked.json["id"]))
    told = [ledger.in_words(line) for line in lines]
    assert sum(line.startswith("Granted: a gift") for line in told) == 2
    assert sum(line.startswith("Held for job ") for line in told) == 2
    assert sum("merged from" in line or "merged into" in line for line in told) == 6
    assert (lines[0].purchased, lines[0].held) == (57, 2)
    pages = await ledger.page(database, UUID(linked.json["id"]), most=4)
    assert pages == lines[:4]


async def test_a_merged_user_is_found_under_every_name_they_had_and_listed_once(
    control_plane: Plane, ada: Person, lovelace: Person
) -> None:
    database = control_plane.context.database
    older, younger = await ada.me(), await lovelace.me()
    await lovelace.enter(await ada.code())
    for word in ("telegram:1", "discord:2", older["id"], younger["id"]):
        assert str((await users.find(database, word)).id) == older["id"], word
    listed = [str(user.id) for user in await users.list_all(database)]
    assert (listed.count(older["id"]), listed.count(younger["id"])) == (1, 0)


# ------------------------------------------------------------------------------------------ unlinking


async def test_an_identity_can_be_taken_off_but_the_last_one_cannot(ada: Person, lovelace: Person) -> None:
    me = await ada.me()
    await lovelace.enter(await ada.code())
    answered = await ada.call("DELETE", "/user/identities/discord")
    assert (answered.status, answered.json["identities"]) == (200, [{"provider": "telegram", "subject": "1"}])
    last = await ada.call("DELETE", "/user/identities/telegram")
    assert (last.status, last.code) == (409, "last-identity")
    assert (await ada.call("DELETE", "/user/identities/discord")).status == 404
    assert (await ada.me())["id"] == me["id"]


async def test_two_at_once_do_not_take_each_others_last_identity_off(ada: Person, lovelace: Person) -> None:
    await lovelace.enter(await ada.code())
    answers = await asyncio.gather(
        ada.call("DELETE", "/user/identities/discord"), ada.call("DELETE", "/user/identities/telegram")
    )
    assert sorted(answered.status for answered in answers) == [200, 409]


async def test_which_of_several_identities_is_meant_has_to_be_said(control_plane: Plane, bot: str) -> None:
    first, second = (Person(control_plane, bot, f"telegram:{n}") for n in (1, 2))
    await second.enter(await first.code())
    assert (await first.call("DELETE", "/user/identities/telegram")).status == 422
    answered = await first.call("DELETE", "/user/identities/telegram?subject=2")
    assert answered.json["identities"] == [{"provider": "telegram", "subject": "1"}]


async def test_an_identity_taken_off_opens_no_account_for_a_while_but_can_be_linked_again(
    ada: Person, lovelace: Person, owner_url: str
) -> None:
    await lovelace.me()
    me = (await lovelace.enter(await ada.code())).json
    await ada.call("DELETE", "/user/identities/discord")
    refused = await lovelace.call("GET", "/user/me")
    assert (refused.status, refused.code) == (403, "unlinked")
    assert (await lovelace.enter(await ada.code())).json["id"] == me["id"]
    await ada.call("DELETE", "/user/identities/discord")
    with rows(owner_url) as owner:
        owner.execute("update unlinked_identities set unlinked_at = now() - interval '31 days'")
    new = await lovelace.me()
    assert (new["id"] != me["id"], new["name"]) == (True, "discord:2")


# ------------------------------------------------------------------------------------------ the schema


MOVED = {
    *("api_keys", "balances", "identities", "idempotency_keys", "inputs", "jobs", "settlements"),
    *("usage_daily", "webhook_endpoints"),
}
"""Tables in which everything that a user had is the survivor's after a merge."""
STAYS = {
    "ledger_transfers",  # append-only
    "link_codes",  # lead to whom the user has become
    "invite_uses",  # count for whom the user has become
    "reports",  # say who complained then
    "payments",  # say who paid; looked for through whom they have become
    "payments_unmatched",  # likewise, until they are credited
    "chats",  # say who made their rules
    "sessions",  # those of somebody who was merged are looked for through whom they have become
    "login_links",  # lead to whom the user has become
    "retirements",  # how far jobs were walked: forgotten with a merge, for jobs come along that were not
    "departures",  # say who has left, who is never merged
    "sign_ins",  # last ten minutes, and lead to whom the user has become
    "users",  # merged_into itself; a twin stays the twin of whom it was made for
}
"""And those in which it says what it said."""


def test_whatever_belongs_to_a_user_is_known_to_merging(owner_url: str) -> None:
    """A new table with a user in it, by foreign key or name of a column, says here what a merge does with it."""
    with rows(owner_url) as owner:
        found = owner.execute(
            """select c.relname from pg_class c
            where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace and (
                exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'user_id')
                or exists (select from pg_constraint k
                    where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = 'users'::regclass))"""
        ).fetchall()
    assert {row[0] for row in found} == MOVED | STAYS


async def test_everything_that_moves_is_the_survivors(control_plane: Plane, ada: Person, owner_url: str) -> None:
    """In every table that moves the younger user has something, and after the merge nothing; the older one has it."""
    older = (await ada.me())["id"]
    key = await control_plane.user_key()
    younger = (await control_plane.call("GET", f"{API}/user/me", key)).json["id"]
    discord = Person(control_plane, ada.bot, "discord:7")
    code = (await control_plane.call("POST", f"{API}/user/link-code", key)).json["code"]
    assert (await discord.enter(code)).json["id"] == younger
    ordered = await discord.call("POST", "/jobs", {"prompt": "x"}, **{"Idempotency-Key": "once"})
    assert (await discord.call("DELETE", f"/jobs/{ordered.json['id']}")).status == 200
    assert (await upload(control_plane.service, encoded(drawn()), key)).status == 201
    assert (await control_plane.call("POST", f"{API}/webhooks", key, {})).status == 201

    before, own = _owned(owner_url, younger), _owned(owner_url, older)
    assert {table for table, owned in before.items() if owned} == MOVED
    assert (await discord.enter(await ada.code())).json["id"] == older
    assert not any(_owned(owner_url, younger).values())
    together = {table: own[table] + owned for table, owned in before.items()}
    assert _owned(owner_url, older) == {**together, "balances": 1}  # two books become one
    assert violations(owner_url) == []


def _owned(owner_url: str, user_id: str) -> dict[str, int]:
    """How many rows of each table that moves are this user's."""
    with rows(owner_url) as owner:
        count_of = sql.SQL("select count(*) from {} where user_id = %s")
        return {
            table: sum(number for (number,) in owner.execute(count_of.format(sql.Identifier(table)), [user_id]))
            for table in sorted(MOVED)
        }


def test_the_application_can_merge_but_not_write_the_books_of_a_merge(database_url: str) -> None:
    statements: tuple[LiteralString, ...] = (
        "delete from balances",
        "update balances set held = 0",
        "update usage_daily set daily = 0",
        "delete from usage_daily",
        "update settlements set charged = 0",
        "update ledger_transfers set amount = 1",
    )
    with rows(database_url) as application:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute(statement)
