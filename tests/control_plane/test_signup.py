"""Sign-up and invites: who becomes a user when a bot names them for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from control_plane import audit
from control_plane.errors import Invalid, NotFound
from control_plane.people import codes, credentials, invites, linking
from tests.fixtures.api import Plane
from tests.fixtures.people import Person, count, violations
from tests.fixtures.queue import rows
from tests.fixtures.worker import Answered, serving

USERS = "select count(*) from users where name like 'telegram:%%' or name like 'discord:%%'"
CROWD = 12


@asynccontextmanager
async def plane(database_url: str, folder: Path, **settings: object) -> AsyncIterator[Plane]:
    async with serving(database_url, folder, **settings) as service:
        made = await credentials.create_key(
            service.context.database, name="admin", user_id=service.user_id, scopes=["read", "submit"]
        )
        yield Plane(service, service.user_id, made.key)


async def people(plane: Plane, provider: str, number: int) -> list[Person]:
    bot = await plane.service_key(provider)
    return [Person(plane, bot, f"{provider}:{n}") for n in range(number)]


async def enter(person: Person, code: str) -> Answered:
    return await person.call("POST", "/user/invite", {"code": code})


def purchased(owner_url: str, user_id: str) -> int:
    return count(owner_url, "select purchased from balances where user_id = %s", user_id)


# ------------------------------------------------------------------------------------------ open, invite, closed


async def test_so_many_and_no_more_come_by_a_provider_in_a_day_however_they_crowd(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with plane(database_url, tmp_path, signups_per_day=5) as control_plane:
        crowd = await people(control_plane, "telegram", CROWD)
        answers = await asyncio.gather(*(person.call("GET", "/user/me") for person in crowd * 2))
        taken = {answered.json["id"] for answered in answers if answered.status == 200}
        refused = [answered for answered in answers if answered.status != 200]
        assert {(answered.status, answered.code) for answered in refused} == {(429, "signup-limit")}
        assert len(taken) == count(owner_url, USERS) == count(owner_url, "select users from sign_ups") == 5
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        assert abs(int(refused[0].headers["Retry-After"]) - (midnight - now).total_seconds()) < 60
        assert (await (await people(control_plane, "discord", 1))[0].call("GET", "/user/me")).status == 200
        with rows(owner_url) as owner:
            owner.execute("update sign_ups set day = day - 1")
        assert [(await person.call("GET", "/user/me")).status for person in crowd].count(200) == 10


async def test_where_sign_up_is_closed_only_those_who_are_known_come_in(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with plane(database_url, tmp_path / "open") as control_plane:
        known, stranger = await people(control_plane, "telegram", 2)
        assert (await known.call("GET", "/user/me")).status == 200
    async with plane(database_url, tmp_path / "closed", signup="closed") as control_plane:
        known, stranger = (Person(control_plane, person.bot, person.name) for person in (known, stranger))
        assert (await known.order()).status == 201
        for answered in (await stranger.call("GET", "/user/me"), await stranger.order()):
            assert (answered.status, answered.code) == (403, "signup-closed")
        assert count(owner_url, USERS) == 1
        assert (await stranger.enter(await known.code())).status == 200, "linking is no sign-up"
        assert (await stranger.call("GET", "/user/me")).json["id"] == (await known.me())["id"]


async def test_where_an_invite_is_needed_its_code_opens_the_door(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with plane(database_url, tmp_path, signup="invite", signups_per_day=1) as control_plane:
        crowd = await people(control_plane, "telegram", 3)
        refused = await crowd[0].order()
        assert (refused.status, refused.code) == (403, "invite-needed")
        made = await invites.create(control_plane.context.database, plan="starter", tokens=500, uses=2)
        wrong = await enter(crowd[0], "WRONG-CODE")
        assert (wrong.status, wrong.json["errors"][0]["code"]) == (422, "no_such_code")
        assert count(owner_url, USERS) == 0
        for person in crowd[:2]:
            answered = await enter(person, made.code.lower())
            assert (answered.status, answered.json["plan"]) == (200, "starter")
            assert purchased(owner_url, answered.json["id"]) == 500
            assert (await person.order()).status == 201
        assert (await enter(crowd[2], made.code)).status == 422
        assert (await crowd[2].order()).status == 403
        assert count(owner_url, USERS) == 2
        assert violations(owner_url) == []


# ------------------------------------------------------------------------------------------ invites


async def test_an_invite_is_used_exactly_as_often_as_it_says_by_a_crowd(control_plane: Plane, owner_url: str) -> None:
    made = await invites.create(control_plane.context.database, tokens=7, uses=5)
    crowd = await people(control_plane, "telegram", CROWD)
    answers = await asyncio.gather(*(enter(person, made.code) for person in crowd * 2))
    assert [answered.status for answered in answers].count(200) == 5
    assert {answered.status for answered in answers} == {200, 422}
    assert count(owner_url, "select used from invites") == count(owner_url, "select count(*) from invite_uses") == 5
    assert count(owner_url, "select sum(amount) from ledger_transfers where kind = 'grant'") == 35
    assert count(owner_url, USERS) == 5, "whom the code did not let in is not there"
    assert violations(owner_url) == []


async def test_whoever_has_an_account_gets_what_a_code_gives_but_never_a_lesser_plan(
    control_plane: Plane, owner_url: str
) -> None:
    person, other = await people(control_plane, "telegram", 2)
    me = await person.me()
    better = await invites.create(control_plane.context.database, plan="pro", tokens=10)
    lesser = await invites.create(control_plane.context.database, plan="starter", tokens=1)
    assert (await enter(person, better.code)).json["plan"] == "pro"
    assert (await enter(person, lesser.code)).json["plan"] == "pro"
    assert purchased(owner_url, me["id"]) == 11
    twice = await invites.create(control_plane.context.database, tokens=5, uses=10)
    assert (await enter(person, twice.code)).status == 200
    again = await enter(person, twice.code)
    assert (again.status, again.json["errors"][0]["code"]) == (422, "used")
    assert (await enter(other, twice.code)).status == 200
    assert purchased(owner_url, me["id"]) == 16
    user = await control_plane.user_key()
    answered = await control_plane.call("POST", "/api/v1/user/invite", user, {"code": twice.code})
    assert answered.status == 200
    assert violations(owner_url) == []


async def test_a_code_that_was_used_before_a_merge_was_used_by_who_they_are_now(control_plane: Plane) -> None:
    older, younger = await people(control_plane, "telegram", 2)
    await older.me()
    made = await invites.create(control_plane.context.database, tokens=5, uses=10)
    assert (await enter(younger, made.code)).status == 200
    assert (await younger.enter(await older.code())).status == 200
    assert (await enter(older, made.code)).json["errors"][0]["code"] == "used"


async def test_a_code_that_has_expired_or_was_revoked_lets_nobody_in(control_plane: Plane, owner_url: str) -> None:
    database = control_plane.context.database
    [person] = await people(control_plane, "telegram", 1)
    expired, revoked = [await invites.create(database, days=1) for _ in range(2)]
    with rows(owner_url) as owner:
        owner.execute("update invites set expires_at = now() where id = %s", [expired.id])
    await invites.revoke(database, revoked.id)
    for made in (expired, revoked):
        assert (await enter(person, made.code)).status == 422
    with pytest.raises(NotFound):
        await invites.revoke(database, revoked.id)
    entries = await audit.entries(database, kind="invite", limit=9)
    assert [entry.verb for entry in entries] == ["revoke", "create", "create"]


async def test_the_suspended_get_nothing_by_a_code(control_plane: Plane, owner_url: str) -> None:
    [person] = await people(control_plane, "telegram", 1)
    await person.me()
    made = await invites.create(control_plane.context.database, tokens=5)
    with rows(owner_url) as owner:
        owner.execute("update users set status = 'suspended' where name = 'telegram:0'")
    assert (await enter(person, made.code)).code == "account-suspended"
    assert count(owner_url, "select used from invites") == 0


async def test_whoever_tries_codes_is_stopped(control_plane: Plane) -> None:
    [person] = await people(control_plane, "telegram", 1)
    own, _ = codes.LIMITS["invite"]
    statuses = [(await enter(person, f"GUESS {number}")).status for number in range(own + 2)]
    assert statuses == [422] * own + [429] * 2


async def test_an_unlinked_identity_does_not_come_back_by_an_invite(control_plane: Plane, owner_url: str) -> None:
    one, other = await people(control_plane, "telegram", 2)
    await other.enter(await one.code())
    await one.call("DELETE", "/user/identities/telegram?subject=1")
    made = await invites.create(control_plane.context.database)
    answered = await enter(other, made.code)
    assert (answered.status, answered.code) == (403, "unlinked")
    assert count(owner_url, "select used from invites") == 0


@pytest.mark.parametrize(
    "options", [{"tokens": -1}, {"tokens": 10**9}, {"uses": 0}, {"days": 0}, {"days": float("nan")}, {"plan": "none"}]
)
async def test_an_invite_that_makes_no_sense_is_refused(control_plane: Plane, options: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        await invites.create(control_plane.context.database, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ codes


def test_a_code_is_understood_however_it_is_typed() -> None:
    assert codes.digest("K70M-11XD") == codes.digest("k7om iLxd")
    assert codes.digest("K70M-11XD") != codes.digest("K70M-11XE")


def test_codes_have_no_look_alikes_and_do_not_repeat() -> None:
    drawn = {codes.make(linking.CODE_LENGTH) for _ in range(2_000)}
    assert len(drawn) == 2_000
    letters = set("".join(drawn)) - {"-"}
    assert letters == set(codes.ALPHABET)
    assert not letters & set("ILOU")


async def test_the_code_of_an_invite_is_not_to_be_read_in_the_database(control_plane: Plane, owner_url: str) -> None:
    made = await invites.create(control_plane.context.database)
    with psycopg.connect(owner_url) as owner:
        assert owner.execute("select code_sha256 from invites").fetchall() == [(codes.digest(made.code),)]
    assert len(made.code.replace("-", "")) == invites.CODE_LENGTH
