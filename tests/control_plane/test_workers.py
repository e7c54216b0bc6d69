"""How a worker comes to its credential, and what the operator sees of it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from uuid import UUID

import pytest

from control_plane.errors import Invalid, NotFound
from control_plane.workers import roster
from control_plane.workers.roster import NAME_LENGTH_MAX, distinct
from tests.fixtures.worker import Answered, Hands, Service, enrolled

pytestmark = pytest.mark.asyncio(loop_scope="module")


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    return f"tsw_{secrets.token_hex(32)}"


async def enroll(service: Service, token: str, secret: str, name: str = "den") -> Answered:
    nobody = Hands(service.session, service.url, UUID(int=0), "")
    return await nobody.call("/enroll", {"token": token, "secret_sha256": hashed(secret), "name": name})


async def test_a_token_makes_one_worker_whose_secret_opens_the_protocol(service: Service) -> None:
    token, secret = await roster.create_token(service.context.database), new_secret()
    answered = await enroll(service, token, secret)
    assert answered.status == 200
    assert (answered.json["protocol_min"], answered.json["protocol_max"]) == (1, 1)
    assert answered.json["intervals"]["lease"] == service.context.settings.lease_seconds
    hands = Hands(service.session, service.url, UUID(answered.json["worker_id"]), secret)
    config = await hands.request("GET", "/config", {})
    assert (config.status, config.json) == (200, answered.json)
    assert await hands.claim() == []


async def test_a_lost_answer_is_given_again_to_who_sent_that_hash_and_to_nobody_else(service: Service) -> None:
    token, secret = await roster.create_token(service.context.database), new_secret()
    first = await enroll(service, token, secret)
    again = await enroll(service, token, secret, "another name")
    assert (again.status, again.json) == (200, first.json)
    thief = await enroll(service, token, new_secret())
    assert (thief.status, thief.code) == (401, "unauthorized")


async def test_of_two_machines_with_one_token_at_once_one_is_enrolled(service: Service) -> None:
    token = await roster.create_token(service.context.database)
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(enroll(service, token, new_secret())) for _ in range(6)]
    assert sorted(call.result().status for call in calls) == [200] + [401] * 5


async def test_after_its_hour_a_token_is_worth_nothing_not_even_to_its_worker(service: Service) -> None:
    used, unused, secret = (
        await roster.create_token(service.context.database),
        await roster.create_token(service.context.database),
        new_secret(),
    )
    assert (await enroll(service, used, secret)).status == 200
    async with service.context.database.connection() as connection:
        await connection.execute("update enrolment_tokens set expires_at = now()")
    assert (await enroll(service, used, secret)).status == 401
    assert (await enroll(service, unused, new_secret())).status == 401


async def test_the_token_of_a_revoked_worker_does_not_bring_it_back(service: Service) -> None:
    token, secret = await roster.create_token(service.context.database), new_secret()
    worker_id = UUID((await enroll(service, token, secret)).json["worker_id"])
    await service.context.dispatcher.revoke(worker_id)
    assert (await enroll(service, token, secret)).status == 401


@pytest.mark.parametrize("change", ["last", "id", "case", "shape", "empty"])
async def test_a_token_that_was_never_given_out_looks_like_one_that_was_used(service: Service, change: str) -> None:
    token = await roster.create_token(service.context.database)
    made_up = {
        "last": token[:-1] + ("0" if token[-1] != "0" else "1"),
        "id": "tse_" + "0" * 12 + token[16:],
        "case": token.upper(),
        "shape": "x" * 80,
        "empty": " " * 8,
    }[change]
    used = await roster.create_token(service.context.database)
    await enroll(service, used, new_secret())
    refused, second_use = await enroll(service, made_up, new_secret()), await enroll(service, used, new_secret())
    assert (refused.status, refused.code, refused.json["detail"]) == (401, "unauthorized", second_use.json["detail"])
    assert (await enroll(service, token, new_secret())).status == 200


async def test_a_secret_that_another_worker_has_is_refused_and_the_token_stays_good(service: Service) -> None:
    token = await roster.create_token(service.context.database)
    refused = await enroll(service, token, service.hands.secret)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/secret_sha256")
    assert (await enroll(service, token, new_secret())).status == 200


async def test_two_machines_of_one_name_are_told_apart(service: Service) -> None:
    name = f"den {secrets.token_hex(4)}"
    names = []
    for _ in range(3):
        token = await roster.create_token(service.context.database)
        names.append((await enroll(service, token, new_secret(), name)).json["name"])
    assert names == [name, f"{name}-2", f"{name}-3"]


async def test_the_operators_name_for_a_worker_goes_before_its_own(service: Service) -> None:
    name = f"studio {secrets.token_hex(4)}"
    token = await roster.create_token(service.context.database, name, "guest")
    assert (await enroll(service, token, new_secret(), "WIN-8812")).json["name"] == name
    assert (await roster.find(service.context.database, name)).trust == "guest"


async def test_a_distinct_name_is_never_too_long() -> None:
    taken = {"x" * NAME_LENGTH_MAX, "x" * (NAME_LENGTH_MAX - 2) + "-2"}
    assert distinct("x" * NAME_LENGTH_MAX, taken) == "x" * (NAME_LENGTH_MAX - 2) + "-3"


@pytest.mark.parametrize(("name", "hours"), [("x" * 65, 1), ("", 1), ("x", 0), ("x", 25)])
async def test_a_token_that_makes_no_sense_is_not_made(service: Service, name: str, hours: float) -> None:
    with pytest.raises(Invalid):
        await roster.create_token(service.context.database, name, hours=hours)


async def test_no_secret_is_stored(service: Service) -> None:
    token, secret = await roster.create_token(service.context.database), new_secret()
    await enroll(service, token, secret)
    async with service.context.database.connection() as connection:
        cursor = await connection.execute("select w::text || t::text from workers w, enrolment_tokens t")
        stored = "".join(row[0] for row in await cursor.fetchall())
    for part in (token[17:], secret[4:]):
        assert part not in stored


async def test_the_operator_sees_who_is_there_and_what_they_do(service: Service) -> None:
    other = await enrolled(service.context, service.session, "other")
    lease = await service.leased()
    listed = {
        entry.worker.id: entry
        for entry in await roster.list_all(service.context.database, service.context.settings.lease_seconds)
    }
    mine, theirs = listed[service.hands.worker_id], listed[other.worker_id]
    assert (mine.worker.live, mine.worker.leases, mine.worker.draining) == (True, 1, False)
    [slot] = mine.slots
    assert (slot.slot, slot.lanes, slot.healthy, slot.leases) == (0, ["image/testcard"], True, 1)
    assert (theirs.worker.live, theirs.slots) == (False, [])
    await service.context.dispatcher.revoke(other.worker_id)
    lease_seconds = service.context.settings.lease_seconds
    left = {entry.worker.id for entry in await roster.list_all(service.context.database, lease_seconds)}
    ever = {
        entry.worker.id for entry in await roster.list_all(service.context.database, lease_seconds, with_revoked=True)
    }
    assert (other.worker_id in left, other.worker_id in ever) == (False, True)
    assert lease.slot == 0


async def test_a_worker_is_found_by_id_or_by_a_name_of_its_own(service: Service) -> None:
    database = service.context.database
    found = await roster.find(database, str(service.hands.worker_id))
    assert found.id == service.hands.worker_id
    assert await roster.find(database, found.name) == found
    with pytest.raises(NotFound):
        await roster.find(database, "nobody")
