"""Who may call: scopes, expiry, networks, revocation, and services that act on behalf of somebody."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from control_plane.api.guards import client_address
from control_plane.people import credentials
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import serving

UNKNOWN = f"tsk_{'0' * 12}_{'0' * 64}"
PEOPLE = 12


async def _statuses(plane: Plane, key: str | None, headers: dict[str, str] | None = None) -> tuple[int, int]:
    """Of a read and of an order."""
    read = await plane.call("GET", f"{API}/user/me", key, headers=headers)
    order = await plane.call("POST", f"{API}/jobs", key, {"prompt": "x"}, headers=headers)
    return read.status, order.status


async def test_every_bad_credential_is_refused_alike(control_plane: Plane) -> None:
    live = await control_plane.user_key()
    expired = await control_plane.user_key(expires_seconds=0.001)
    revoked = await control_plane.user_key()
    await credentials.revoke_key(control_plane.context.database, revoked.split("_")[1])
    wrong_secret = live[:-1] + ("0" if live[-1] != "0" else "1")
    hands = control_plane.service.hands
    bad = [UNKNOWN, expired, revoked, wrong_secret, live.upper(), live[:-1], live + "0", "x" * 5_000, hands.secret, "ü"]
    details = set()
    for token in bad:
        answered = await control_plane.call("GET", f"{API}/user/me", token)
        assert (answered.status, answered.headers["WWW-Authenticate"]) == (401, "Bearer"), token[:20]
        details.add((answered.json["detail"], answered.json["title"]))
    for header in ("", "Bearer", "Bearer ", f"Basic {live}", live):
        answered = await control_plane.call("GET", f"{API}/user/me", headers={"Authorization": header})
        details.add((answered.json["detail"], answered.json["title"]))
        assert answered.status == 401
    assert len(details) == 1
    assert (await control_plane.call("GET", f"{API}/user/me", live)).status == 200


async def test_a_customers_key_opens_nothing_of_the_workers(control_plane: Plane) -> None:
    answered = await control_plane.call("GET", f"{API}/worker/config", control_plane.admin_key)
    assert answered.status == 401


async def test_a_key_can_do_what_its_scopes_say(control_plane: Plane) -> None:
    assert await _statuses(control_plane, await control_plane.user_key(["read"])) == (200, 403)
    assert await _statuses(control_plane, await control_plane.user_key(["submit"])) == (403, 201)
    assert await _statuses(control_plane, await control_plane.user_key(["metrics"])) == (403, 403)
    assert await _statuses(control_plane, control_plane.admin_key) == (200, 201)


async def test_a_revoked_key_is_forgotten_as_soon_as_it_is_announced(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    assert (await control_plane.call("GET", f"{API}/user/me", key)).status == 200
    key_id = key.split("_")[1]
    await credentials.revoke_key(control_plane.context.database, key_id)
    control_plane.context.credentials.forget(key_id)
    assert (await control_plane.call("GET", f"{API}/user/me", key)).status == 401


async def test_another_process_forgets_a_revoked_key_when_it_hears_of_it(
    control_plane: Plane, database_url: str, tmp_path: Path
) -> None:
    key = await control_plane.user_key()
    headers = {"Authorization": f"Bearer {key}"}
    async with serving(database_url, tmp_path / "other") as other:
        await other.order()  # the other process has a credential of its own to keep
        assert (await other.get(f"{API}/user/me", **headers)).status == 200
        key_id = key.split("_")[1]
        await credentials.revoke_key(control_plane.context.database, key_id)
        control_plane.context.dispatcher.bus.send("credential", key_id)
        before = time.monotonic()
        await eventually(lambda: other.get(f"{API}/user/me", **headers), lambda answered: answered.status == 401)
        assert time.monotonic() - before < credentials.CACHE_SECONDS / 2
        assert (await other.as_customer(f"{API}/user/me")).status == 200


async def test_a_remembered_key_costs_no_query(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    assert (await control_plane.call("POST", f"{API}/jobs?dry_run=1", key, {"prompt": "x"})).status == 200
    await credentials.revoke_key(control_plane.context.database, key.split("_")[1])  # and tell nobody
    assert (await control_plane.call("POST", f"{API}/jobs?dry_run=1", key, {"prompt": "x"})).status == 200


async def test_a_key_bound_to_networks_works_from_there_only(control_plane: Plane, owner_url: str) -> None:
    near, far = await control_plane.user_key(), await control_plane.user_key()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        for key, network in ((near, "127.0.0.0/8"), (far, "203.0.113.0/24")):
            connection.execute(
                "update api_keys set networks = %s::cidr[] where id = %s", ([network], key.split("_")[1])
            )
    assert await _statuses(control_plane, near) == (200, 201)
    assert await _statuses(control_plane, far) == (403, 403)
    lying = {"X-Forwarded-For": "203.0.113.5"}
    assert await _statuses(control_plane, far, lying) == (403, 403)


async def test_a_key_bound_to_models_orders_no_other(control_plane: Plane, owner_url: str) -> None:
    key = await control_plane.user_key()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update api_keys set models = array['other'] where id = %s", (key.split("_")[1],))
    answered = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x", "model": "testcard"})
    assert (answered.status, answered.code) == (403, "forbidden")


async def test_a_service_acts_for_whom_it_names_and_for_nobody_else(control_plane: Plane) -> None:
    bot = await control_plane.service_key("telegram")
    ada, bob = {"Tessera-On-Behalf-Of": "telegram:1"}, {"Tessera-On-Behalf-Of": "telegram:2"}
    first = await control_plane.call("GET", f"{API}/user/me", bot, headers=ada)
    assert first.status == 200
    assert first.json["identities"] == [{"provider": "telegram", "subject": "1"}]
    assert (first.json["name"], first.json["plan"]) == ("telegram:1", "free")
    assert (await control_plane.call("GET", f"{API}/user/me", bot, headers=ada)).json["id"] == first.json["id"]
    job = await control_plane.call("POST", f"{API}/jobs", bot, {"prompt": "x"}, headers=ada)
    assert job.status == 201
    path = f"{API}/jobs/{job.json['id']}"
    assert (await control_plane.call("GET", path, bot, headers=ada)).status == 200
    assert (await control_plane.call("GET", path, bot, headers=bob)).status == 404
    assert (await control_plane.call("DELETE", path, bot, headers=bob)).status == 404


async def test_a_service_without_a_name_or_with_a_foreign_one_may_do_nothing(control_plane: Plane) -> None:
    bot = await control_plane.service_key("telegram")
    assert await _statuses(control_plane, bot) == (403, 403)
    for named in ("discord:1", "telegram", "telegram:", ":1", "telegram:a b", "Telegram:1", "telegram:" + "9" * 129):
        assert await _statuses(control_plane, bot, {"Tessera-On-Behalf-Of": named}) == (403, 403), named


async def test_the_longest_identity_is_one_that_fits_into_a_name(control_plane: Plane) -> None:
    bot = await control_plane.service_key("telegram")
    for length, statuses in ((128, (200, 201)), (129, (403, 403))):
        named = "telegram:".ljust(length, "1")
        assert await _statuses(control_plane, bot, {"Tessera-On-Behalf-Of": named}) == statuses, length


async def test_a_service_is_never_an_administrator(control_plane: Plane) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await credentials.create_key(
            control_plane.context.database, name="bot", user_id=None, scopes=["admin"], providers=["telegram"]
        )
    bot = await control_plane.service_key("telegram")
    headers = {"Tessera-On-Behalf-Of": "telegram:1"}
    body = {"prompt": "x", "priority": "urgent"}
    assert (await control_plane.call("POST", f"{API}/jobs", bot, body, headers=headers)).status == 403


async def test_a_users_key_cannot_act_for_somebody_else(control_plane: Plane) -> None:
    headers = {"Tessera-On-Behalf-Of": "telegram:1"}
    assert await _statuses(control_plane, await control_plane.user_key(), headers) == (403, 403)
    assert await _statuses(control_plane, control_plane.admin_key, headers) == (403, 403)


async def test_somebody_seen_first_many_times_at_once_becomes_one_user(control_plane: Plane) -> None:
    bot = await control_plane.service_key("discord")

    async def me(number: int) -> str:
        headers = {"Tessera-On-Behalf-Of": f"discord:{number % 3}"}
        answered = await control_plane.call("GET", f"{API}/user/me", bot, headers=headers)
        assert answered.status == 200, answered.body
        return str(answered.json["id"])

    found = await asyncio.gather(*(me(number) for number in range(PEOPLE)))
    assert len(set(found)) == 3


async def test_when_a_key_was_used_is_written_down(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    me = (await control_plane.call("GET", f"{API}/user/me", key)).json
    await control_plane.context.credentials.write_uses()
    [listed] = await credentials.list_keys(control_plane.context.database, me["id"])
    assert listed.last_used_at is not None


async def test_metrics_are_for_neighbours_and_for_keys_with_the_scope(control_plane: Plane) -> None:
    assert (await control_plane.call("GET", "/metrics")).status == 200
    passed_on = {"X-Forwarded-For": "203.0.113.9"}
    assert (await control_plane.call("GET", "/metrics", headers=passed_on)).status == 401
    assert (await control_plane.call("GET", "/metrics", await control_plane.user_key())).status == 403
    metered = await control_plane.user_key(["metrics"])
    shown = await control_plane.call("GET", "/metrics", metered, headers=passed_on)
    assert shown.status == 200
    assert b'tessera_requests_total{method="GET",path="/metrics",status="401"}' in shown.body


async def test_metrics_show_who_waits_and_who_works(control_plane: Plane) -> None:
    service = control_plane.service
    await service.leased()
    await service.order()
    lane = 'kind="image",model="testcard",task="",vram_gib="0"'
    expected = ("jobs_waiting", 1.0), ("tokens_running", 1.0), ("slots", 1.0), ("slots_draining", 0.0)
    wanted = [f"tessera_lane_{name}{{{lane}}} {value}" for name, value in expected]
    shown = await eventually(
        lambda: control_plane.call("GET", "/metrics"),
        lambda shown: all(line in shown.body.decode() for line in wanted),
    )
    assert "tessera_database_up 1.0" in shown.body.decode()


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger may claim what it likes
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.1", "198.51.100.1"),  # what stands further left, a stranger wrote
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", None),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_a_forwarded_address_counts_from_a_trusted_proxy_only(
    peer: str, forwarded: str | None, found: str | None
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded is not None else []
    scope: Any = {"client": (peer, 1), "headers": headers}
    address = client_address(scope, [ipaddress.ip_network("10.0.0.0/8")])
    assert (str(address) if address else None) == found
