"""API keys over HTTP: a key never gives more than it has, a rotated one works on for a while, a cap is a cap."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

from control_plane.people import credentials, keys, users
from control_plane.people.credentials import SCOPES, Scope
from control_plane.people.origins import is_origin
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.queue import one, rows
from tests.fixtures.worker import Answered

ALL: tuple[Scope, ...] = ("read", "submit", "keys")
SMALL = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


async def person(plane: Plane, **options: Any) -> tuple[UUID, str]:
    user_id = await users.create(plane.context.database, f"person {len(await users.list_all(plane.context.database))}")
    return user_id, await plane.key_of(user_id, options.pop("scopes", ALL), **options)


async def make(plane: Plane, key: str, **fields: Any) -> Answered:
    return await plane.call("POST", f"{API}/api-keys", key, {"name": "made", **fields})


async def opens(plane: Plane, key: str) -> bool:
    return (await plane.call("GET", f"{API}/user/me", key)).status == 200


async def test_a_key_is_made_shown_once_listed_and_ended(control_plane: Plane) -> None:
    _, mine = await person(control_plane)
    fields = {"scopes": ["read"], "daily_cap": 7, "models": ["testcard"], "networks": ["127.0.0.0/8"]}
    made = (await make(control_plane, mine, expires_seconds=3_600, origins=["https://app.example"], **fields)).json
    assert made["key"].startswith(f"tsk_{made['id']}_")
    assert {name: made[name] for name in fields} == fields
    assert made["origins"] == ["https://app.example"]
    assert await opens(control_plane, made["key"])
    listed = await control_plane.call("GET", f"{API}/api-keys", mine)
    assert made["key"].rpartition("_")[2] not in listed.body.decode()
    assert [key["id"] for key in listed.json["data"]] == [made["id"], mine.split("_")[1]]
    assert (await control_plane.call("POST", f"{API}/jobs", made["key"], SMALL)).code == "forbidden"

    ended = await control_plane.call("DELETE", f"{API}/api-keys/{made['id']}", mine)
    assert (ended.status, ended.body) == (204, b"")
    assert not await opens(control_plane, made["key"])
    assert (await control_plane.call("DELETE", f"{API}/api-keys/{made['id']}", mine)).status == 404
    assert len((await control_plane.call("GET", f"{API}/api-keys", mine)).json["data"]) == 1


async def test_a_key_never_gives_more_than_it_has(control_plane: Plane, owner_url: str) -> None:
    user_id, mine = await person(control_plane, expires_seconds=3_600)
    bound = await control_plane.key_of(user_id, ALL, models=["testcard"])
    capped = await control_plane.key_of(user_id, ALL, daily_cap=5)
    narrow = await control_plane.key_of(user_id, ALL)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update api_keys set networks = '{127.0.0.0/8}' where id = %s", [narrow.split("_")[1]])
    for key, fields, lacks in (
        (mine, {"scopes": ["admin"]}, "the scope `admin`"),
        (mine, {"scopes": ["read", "metrics"]}, "the scope `metrics`"),
        (mine, {"expires_seconds": 7_200}, "so much time"),
        (narrow, {"networks": ["0.0.0.0/0"]}, "the network 0.0.0.0/0"),
        (narrow, {"networks": ["127.0.0.0/9", "::1/128"]}, "the network ::1/128"),
        (capped, {}, "daily cap makes no keys"),
    ):
        refused = await make(control_plane, key, **fields)
        assert (refused.status, refused.code) == (403, "forbidden"), fields
        assert lacks in refused.json["detail"]
    without = await control_plane.key_of(user_id, ["read", "submit"])
    assert (await make(control_plane, without)).status == 403

    heir = (await make(control_plane, mine)).json
    assert heir["scopes"] == ["read", "submit"]
    assert heir["expires_at"] is not None
    assert (await make(control_plane, bound)).json["models"] == ["testcard"]
    assert (await make(control_plane, narrow)).json["networks"] == ["127.0.0.0/8"]
    assert (await make(control_plane, control_plane.admin_key, scopes=["admin"])).status == 201


async def test_a_key_that_may_do_more_is_not_rotated_to_learn_its_secret(control_plane: Plane) -> None:
    user_id, mine = await person(control_plane)
    strong = await control_plane.key_of(user_id, SCOPES)
    path = f"{API}/api-keys/{strong.split('_')[1]}/rotate"
    refused = await control_plane.call("POST", path, mine, {})
    assert (refused.status, refused.code) == (403, "forbidden")
    assert await opens(control_plane, strong)
    assert (await control_plane.call("POST", path, strong, {})).status == 201


async def test_nonsense_in_a_new_key_is_told_by_its_place(control_plane: Plane) -> None:
    _, mine = await person(control_plane)
    for fields, pointer in (
        ({"networks": ["127.0.0.1/8"]}, "/networks/0"),
        ({"origins": ["https://a.example", "https://*.example"]}, "/origins/1"),
        ({"models": ["nonsense"]}, "/models/0"),
        ({"scopes": []}, "/scopes"),
        ({"daily_cap": 0}, "/daily_cap"),
        ({"colour": "red"}, "/colour"),
    ):
        refused = await make(control_plane, mine, **fields)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


async def test_a_rotated_key_opens_by_both_secrets_until_the_overlap_is_over(
    control_plane: Plane, owner_url: str
) -> None:
    _, mine = await person(control_plane)
    first = (await make(control_plane, mine)).json
    path = f"{API}/api-keys/{first['id']}"
    assert await opens(control_plane, first["key"])
    second = (await control_plane.call("POST", f"{path}/rotate", mine, {})).json
    assert second["id"] == first["id"]
    assert second["key"] != first["key"]
    assert second["old_expires_at"] is not None
    assert second["old_used_at"] is None
    assert await opens(control_plane, first["key"])
    assert await opens(control_plane, second["key"])
    await control_plane.context.credentials.write_uses()
    listed = (await control_plane.call("GET", f"{API}/api-keys", mine)).json["data"]
    assert next(key for key in listed if key["id"] == first["id"])["old_used_at"] is not None

    with rows(owner_url) as sql:
        left = "select extract(epoch from old_expires_at - now()) from api_keys where id = %s"
        assert 86_000 < one(sql, left, first["id"]) <= 86_400
        sql.execute("update api_keys set old_expires_at = now() where id = %s", [first["id"]])
    control_plane.context.credentials.forget(first["id"])
    assert not await opens(control_plane, first["key"])
    assert await opens(control_plane, second["key"])

    third = (await control_plane.call("POST", f"{path}/rotate", mine, {"overlap_seconds": 0})).json
    assert third["old_expires_at"] is None
    assert not await opens(control_plane, second["key"])
    fourth = (await control_plane.call("POST", f"{path}/rotate", mine, {"overlap_seconds": 1})).json
    assert await opens(control_plane, third["key"])
    await eventually(lambda: opens(control_plane, third["key"]), lambda open_still: not open_still)
    assert await opens(control_plane, fourth["key"])
    too_long = await control_plane.call("POST", f"{path}/rotate", mine, {"overlap_seconds": 8 * 86_400})
    assert too_long.status == 422


async def test_a_test_key_makes_test_keys_and_its_owner_manages_them(control_plane: Plane) -> None:
    _, mine = await person(control_plane)
    test = (await make(control_plane, mine, test=True, scopes=["read", "keys"])).json
    assert test["key"].startswith(f"tsr_test_{test['id']}_")
    assert (await make(control_plane, test["key"])).status == 403
    inner = (await make(control_plane, test["key"], test=True, scopes=["read"])).json
    listed = (await control_plane.call("GET", f"{API}/api-keys", mine)).json["data"]
    assert [key["test"] for key in listed] == [True, True, False]
    listed = (await control_plane.call("GET", f"{API}/api-keys", test["key"])).json["data"]
    assert [key["id"] for key in listed] == [inner["id"], test["id"]]
    assert (await control_plane.call("DELETE", f"{API}/api-keys/{mine.split('_')[1]}", test["key"])).status == 404
    rotated = (await control_plane.call("POST", f"{API}/api-keys/{inner['id']}/rotate", mine, {})).json
    assert rotated["key"].startswith("tsr_test_")
    mixed = rotated["key"].replace("tsr_test_", "tsk_")
    assert not await opens(control_plane, mixed)


async def test_a_key_with_a_cap_orders_so_much_a_day_whatever_its_account_has(
    control_plane: Plane, owner_url: str
) -> None:
    capped = await control_plane.user_key(daily_cap=3)
    submit = f"{API}/jobs"
    first = await control_plane.call("POST", submit, capped, SMALL, headers={"Idempotency-Key": "a"})
    assert first.status == 201
    again = await control_plane.call("POST", submit, capped, SMALL, headers={"Idempotency-Key": "a"})
    assert again.headers["Idempotent-Replayed"] == "true"
    refused = await control_plane.call("POST", submit, capped, {**SMALL, "model": "nonsense"})
    assert refused.status == 422
    batch = {"jobs": [SMALL] * 3}
    foreseen = (await control_plane.call("POST", f"{API}/jobs/batch?dry_run=true", capped, batch)).json["refusal"]
    beyond = await control_plane.call("POST", f"{API}/jobs/batch", capped, batch)
    assert (beyond.status, beyond.code) == (429, "cap-reached")
    assert (foreseen["status"], foreseen["code"], foreseen["detail"]) == (429, "cap-reached", beyond.json["detail"])
    assert (await control_plane.call("POST", f"{API}/jobs/batch", capped, {"jobs": [SMALL] * 2})).status == 201
    beyond = await control_plane.call("POST", submit, capped, SMALL)
    foreseen = (await control_plane.call("POST", f"{submit}?dry_run=true", capped, SMALL)).json["refusal"]
    assert foreseen == {"code": "cap-reached", "status": 429, "detail": beyond.json["detail"]}
    assert (beyond.json["daily_cap"], beyond.json["needed"]) == (3, 1)
    with rows(owner_url) as sql:
        assert one(sql, "select tokens from key_spending") == 3
        sql.execute("update key_spending set day = day - 1")
    assert (await control_plane.call("POST", submit, capped, SMALL)).status == 201
    uncapped = await control_plane.user_key()
    assert (await control_plane.call("POST", submit, uncapped, SMALL)).status == 201
    with rows(owner_url) as sql:
        assert one(sql, "select count(*) from key_spending") == 1


async def test_what_a_key_has_ordered_stays_ordered_when_its_day_is_used_up(control_plane: Plane) -> None:
    """Who did not hear the answer asks again, and must not be told that the order was never placed."""
    capped = await control_plane.user_key(daily_cap=3)
    orders = (f"{API}/jobs", SMALL, "a"), (f"{API}/jobs/batch", {"jobs": [SMALL] * 2}, "b")
    placed = [
        await control_plane.call("POST", path, capped, body, headers={"Idempotency-Key": key})
        for path, body, key in orders
    ]
    assert [first.status for first in placed] == [201, 201]
    for first, (path, body, key) in zip(placed, orders, strict=True):
        again = await control_plane.call("POST", path, capped, body, headers={"Idempotency-Key": key})
        assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
        assert again.json["id"] == first.json["id"]
        other = await control_plane.call("POST", path, capped, body, headers={"Idempotency-Key": key + "2"})
        assert (other.status, other.code) == (429, "cap-reached")


async def test_nobody_has_more_keys_than_anybody_may(control_plane: Plane, owner_url: str) -> None:
    user_id, mine = await person(control_plane)
    with rows(owner_url) as sql:
        sql.execute(
            """insert into api_keys (id, secret_sha256, user_id, name, scopes)
            select lpad(n::text, 12, '0'), sha256(n::text::bytea), %s, 'x', '{read}' from generate_series(2, %s) n""",
            [user_id, keys.KEYS_MAX],
        )
    refused = await make(control_plane, mine)
    assert (refused.status, refused.code) == (409, "keys-max")
    assert (await make(control_plane, mine, test=True)).status == 201


async def test_a_strangers_key_looks_like_none(control_plane: Plane) -> None:
    _, mine = await person(control_plane)
    _, theirs = await person(control_plane)
    test = (await make(control_plane, theirs, test=True)).json
    for key_id in (theirs.split("_")[1], test["id"], "0" * 12, theirs, "x", "%00", "%F0%9F%94%91"):
        for method, tail, body in (("DELETE", "", None), ("POST", "/rotate", {})):
            refused = await control_plane.call(method, f"{API}/api-keys/{key_id}{tail}", mine, body)
            assert (refused.status, refused.code) == (404, "not-found")
    assert await opens(control_plane, theirs)
    assert await opens(control_plane, test["key"])


async def test_who_made_and_rotated_and_ended_a_key_is_written_down(control_plane: Plane, owner_url: str) -> None:
    user_id, mine = await person(control_plane)
    made = (await make(control_plane, mine)).json
    await control_plane.call("POST", f"{API}/api-keys/{made['id']}/rotate", mine, {})
    await control_plane.call("DELETE", f"{API}/api-keys/{made['id']}", mine)
    with rows(owner_url) as sql:
        found = sql.execute(
            "select verb, actor_kind, actor_id from audit_log where object_id = %s order by id", [made["id"]]
        ).fetchall()
    assert found == [(verb, "user", str(user_id)) for verb in ("create", "rotate", "revoke")]


def test_the_id_of_a_key_is_read_off_any_key() -> None:
    for kind in (credentials.LIVE, credentials.TEST):
        assert credentials.key_id_of(f"{kind}_{'a' * 12}_{'0' * 64}") == "a" * 12
    assert credentials.key_id_of("tsw_" + "0" * 64) is None


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("https://app.example", True),
        ("https://app.example:8443", True),
        ("http://localhost:5173", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("https://xn--bcher-kva.example", True),
        ("http://app.example", False),
        ("https://app.example/", False),
        ("https://app.example/path", False),
        ("https://app.example:443", False),
        ("https://App.example", False),
        ("https://*.example", False),
        ("*", False),
        ("null", False),
        ("https://user@app.example", False),
        ("https://app.example?x", False),
        ("https://app.example:", False),
        ("https://app.example:99999", False),
        ("https://", False),
        ("https://a\nb.example", False),
        ("https://[::1", False),
        ("ftp://app.example", False),
        ("https://bücher.example", False),
    ],
)
def test_only_what_a_browser_sends_is_a_web_site(text: str, fits: bool) -> None:
    assert is_origin(text) == fits
