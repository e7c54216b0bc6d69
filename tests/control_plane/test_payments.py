"""Payments told by a bot: credited exactly once by the provider's id, taken back by it, and only by whom it may."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from control_plane import audit
from control_plane.errors import Merged
from control_plane.money import payments
from control_plane.people import users
from control_plane.wire.payment import PaymentRequest
from tests.fixtures.api import API, BOTS_SCOPES, Plane
from tests.fixtures.people import Person, count, violations
from tests.fixtures.queue import rows
from tests.fixtures.worker import Answered

PAID = {"provider": "telegram_stars", "provider_id": "charge-1", "pack": "small", "amount": 150, "currency": "XTR"}


@pytest.fixture
async def bot(control_plane: Plane) -> str:
    """A bot that may take payments and speak for operators."""
    return await control_plane.service_key("telegram", "discord", scopes=BOTS_SCOPES)


async def _pay(person: Person, **fields: object) -> Answered:
    return await person.call("POST", "/payments", {**PAID, **fields})


async def _purchased(person: Person) -> int:
    return int((await person.me())["tokens"]["purchased"])


async def _operator(plane: Plane, person: Person) -> None:
    """The person is an operator from here on: they own a key of one."""
    user_id = (await person.me())["id"]
    await plane.key_of(UUID(user_id), ["admin"])


async def test_a_payment_told_by_many_at_once_is_credited_once(ada: Person, owner_url: str) -> None:
    await ada.me()
    told = await asyncio.gather(*(_pay(ada) for _ in range(8)))
    assert sorted(answer.status for answer in told) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in told}) == 1
    assert await _purchased(ada) == 500
    assert count(owner_url, "select count(*) from ledger_transfers where kind = 'grant'") == 1
    assert violations(owner_url) == []


async def test_the_same_payment_is_never_credited_to_somebody_else_and_the_operator_hears_of_it(
    ada: Person, lovelace: Person, owner_url: str
) -> None:
    assert (await _pay(ada)).status == 201
    for _ in range(2):
        refused = await _pay(lovelace)
        assert (refused.status, refused.code) == (409, "already-credited")
    assert await _purchased(lovelace) == 0
    assert count(owner_url, "select count(*) from payments_unmatched where reason = 'already-credited'") == 1


async def test_money_for_what_is_not_sold_is_known_as_unmatched_until_it_is_credited(
    ada: Person, owner_url: str
) -> None:
    unmatched = "select count(*) from payments_unmatched"
    assert (await _pay(ada, pack="gold")).status == 422
    assert count(owner_url, unmatched) == 1
    assert (await _pay(ada)).status == 201
    assert count(owner_url, unmatched) == 0


async def test_money_for_less_than_a_token_is_not_taken_in_silence(ada: Person, owner_url: str) -> None:
    with rows(owner_url) as sql:
        sql.execute("update packs set tokens = 100 where name = 'small'")
    assert (await _pay(ada, amount=2, provider_id="charge-2")).json["tokens"] == 1
    refused = await _pay(ada, amount=1)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/amount")
    assert count(owner_url, "select count(*) from payments_unmatched where reason = 'invalid'") == 1
    assert count(owner_url, "select count(*) from payments") == 1


async def test_what_is_credited_follows_from_what_was_paid(ada: Person) -> None:
    half = (await _pay(ada, amount=75)).json
    assert (half["tokens"], half["payer"]) == (250, "1")
    unknown = await _pay(ada, provider_id="charge-2", pack="gold")
    strange = await _pay(ada, provider_id="charge-2", currency="USD")
    assert [unknown.code, strange.code] == ["invalid", "invalid"]
    assert await _purchased(ada) == 250


async def test_a_refund_takes_the_tokens_back_once_and_names_where_the_money_was_taken(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    await _pay(ada, place="paint")
    refund = {"provider": "telegram_stars", "provider_id": "charge-1", "reason": "asked for"}
    assert (await ada.call("POST", "/admin/payments/refund", refund)).code == "forbidden"
    await _operator(control_plane, lovelace)
    for _ in range(2):
        answered = await lovelace.call("POST", "/admin/payments/refund", refund)
        assert (answered.status, answered.json["state"], answered.json["place"]) == (200, "refunded", "paint")
    assert await _purchased(ada) == 0
    missing = await lovelace.call("POST", "/admin/payments/refund", refund | {"provider_id": "charge-9"})
    assert missing.status == 404
    asked = "select count(*) from audit_log where verb = 'refund_unknown' and object_id = 'charge-9'"
    assert count(owner_url, asked) == 1
    assert (await _pay(ada)).json["state"] == "refunded"
    assert await _purchased(ada) == 0
    assert violations(owner_url) == []


async def test_a_payment_stays_with_its_payer_when_accounts_are_merged(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    await ada.me()
    await _pay(lovelace)
    assert (await ada.enter(await lovelace.code())).status == 200
    assert [paid["provider_id"] for paid in (await ada.call("GET", "/payments")).json["data"]] == ["charge-1"]
    assert (await _pay(ada)).status == 200
    assert await _purchased(ada) == 500
    await _operator(control_plane, ada)
    refund = {"provider": "telegram_stars", "provider_id": "charge-1"}
    assert (await ada.call("POST", "/admin/payments/refund", refund)).status == 200
    assert await _purchased(ada) == 0
    assert violations(owner_url) == []


async def test_a_payment_for_an_account_that_has_just_been_merged_is_not_credited_to_nobody(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    """Whoever told of it had looked the account up before the merge."""
    await ada.me()
    gone, database = UUID((await lovelace.me())["id"]), control_plane.context.database
    assert (await ada.enter(await lovelace.code())).status == 200
    with pytest.raises(Merged):
        await payments.credit(database, gone, msgspec.convert(PAID, PaymentRequest), "2", audit.service("bots"))
    assert (await ada.call("GET", "/payments")).json["data"] == []
    assert (await _pay(lovelace)).status == 201
    assert await _purchased(ada) == 500
    assert violations(owner_url) == []


async def test_only_a_service_with_the_scope_tells_of_payments(control_plane: Plane, ada: Person) -> None:
    poor = Person(control_plane, await control_plane.service_key("telegram"), "telegram:1")
    assert (await _pay(poor)).status == 403
    assert (await control_plane.call("POST", f"{API}/payments", control_plane.admin_key, PAID)).status == 403
    assert await _purchased(ada) == 0


async def test_who_is_suspended_is_still_credited_what_they_paid(control_plane: Plane, ada: Person) -> None:
    user_id = (await ada.me())["id"]
    await control_plane.call("POST", f"{API}/admin/users/{user_id}/suspend", control_plane.admin_key, {})
    assert (await _pay(ada)).status == 201


async def test_the_packs_are_offered_to_everybody(control_plane: Plane) -> None:
    packs = (await control_plane.call("GET", f"{API}/packs")).json["data"]
    assert [pack["name"] for pack in packs] == ["small", "medium", "large"]


# ---------------------------------------------------------------------------------------------- operators


async def test_an_operator_acts_through_a_bot_and_nobody_else_does(control_plane: Plane, ada: Person) -> None:
    paths: list[tuple[str, str, object]] = [
        ("GET", "/admin/status", None),
        ("GET", "/admin/workers", None),
        ("GET", "/admin/users?name=telegram:1", None),
        ("POST", "/admin/switches", {"what": "model", "name": "testcard", "paused": True}),
        ("POST", "/admin/workers/hands/drain", {}),
    ]
    await ada.me()
    for method, path, body in paths:
        assert (await ada.call(method, path, body)).status == 403, path
    await _operator(control_plane, ada)
    status = (await ada.call("GET", "/admin/status")).json
    assert "testcard" in {lane["model"] for lane in status["lanes"]}
    workers = (await ada.call("GET", "/admin/workers")).json["data"]
    assert len(workers) == 1
    name = workers[0]["name"]
    assert (await ada.call("POST", f"/admin/workers/{name}/drain")).status == 204
    assert (await ada.call("GET", "/admin/workers")).json["data"][0]["condition"] in ("draining", "drained")
    assert (await ada.call("POST", f"/admin/workers/{name}/resume")).status == 204
    found = (await ada.call("GET", "/admin/users?name=telegram:1")).json["user"]
    granted = await ada.call("POST", f"/admin/users/{found['id']}/grant", {"tokens": 7, "reason": "thanks"})
    assert granted.json["purchased"] == 7


async def test_a_switch_is_turned_through_a_bot_and_audited(control_plane: Plane, ada: Person, owner_url: str) -> None:
    await _operator(control_plane, ada)
    for paused, expected in ((True, 503), (False, 201)):
        body = {"what": "submits", "paused": paused, "reason": "moving"}
        assert (await ada.call("POST", "/admin/switches", body)).status == 204
        assert (await ada.order()).status == expected
    assert (await ada.call("POST", "/admin/switches", {"what": "lane", "name": "x", "paused": True})).code == "invalid"
    lines = count(owner_url, "select count(*) from audit_log where object_kind = 'switch' and actor_kind = 'user'")
    assert lines == 2


async def test_why_a_job_waits_is_told_to_an_operator(control_plane: Plane, ada: Person, lovelace: Person) -> None:
    job = (await lovelace.order()).json
    await _operator(control_plane, ada)
    why = (await ada.call("GET", f"/admin/jobs/{job['id']}/why")).json
    assert why["state"] == "queued"
    assert any("line" in line for line in why["lines"])
    await lovelace.call("DELETE", f"/jobs/{job['id']}")
    assert (await ada.call("GET", f"/admin/jobs/{job['id']}/why")).json["lines"] == ["It does not wait: canceled."]


async def test_without_the_scope_operate_no_operator_is_spoken_for(control_plane: Plane) -> None:
    user_id = await users.create(control_plane.context.database, "op", "house")
    await control_plane.key_of(user_id, ["admin"])
    plain = Person(control_plane, await control_plane.service_key("telegram"), "telegram:1")
    code = await control_plane.call("POST", f"{API}/user/link-code", await control_plane.key_of(user_id, ["submit"]))
    assert (await plain.enter(code.json["code"])).status == 200
    assert (await plain.call("GET", "/admin/status")).status == 403


# ---------------------------------------------------------------------------------------------- choices


async def test_what_somebody_has_chosen_is_kept_until_they_choose_again(ada: Person) -> None:
    chosen = {"embed_metadata": False, "choices": {"language": "de", "count": 2}}
    assert (await ada.call("PUT", "/user/preferences", chosen)).json == chosen
    assert (await ada.call("PUT", "/user/preferences", {"embed_metadata": True})).json["choices"] == chosen["choices"]
    assert (await ada.call("GET", "/user/preferences")).json["embed_metadata"] is True
    wrong: dict[str, Any] = {"embed_metadata": True, "choices": {"language": "english please"}}
    assert (await ada.call("PUT", "/user/preferences", wrong)).status == 422
