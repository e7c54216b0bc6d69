"""A person gets all that is known of them, and nothing that opens anything."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import aclosing
from datetime import datetime
from typing import Any

import psycopg

from control_plane.care.packing import Packing
from control_plane.errors import TooManyWaiting
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.leavers import MARK, Leaver, leaver, plant
from tests.fixtures.worker import picture

LISTS = ("jobs", "ledger", "payments", "api_keys", "webhooks", "sessions", "reports", "usage", "acts", "inputs")
LARGE_BYTES = 64 * 1024**2


async def exported(person: Leaver) -> zipfile.ZipFile:
    answered = await person.call("GET", "/user/export")
    assert (answered.status, answered.headers["Content-Type"]) == (200, "application/zip"), answered.body[:300]
    assert answered.headers["Cache-Control"] == "no-store"
    archive = zipfile.ZipFile(io.BytesIO(answered.body))
    assert archive.testzip() is None
    return archive


def secrets(owner_sql: psycopg.Connection[Any]) -> list[str]:
    """Every hash and secret that the database holds, as it would be spelled."""
    found = owner_sql.execute(
        "select encode(secret_sha256, 'hex') from api_keys union all select encode(secret_sha256, 'hex') from sessions"
        " union all select encode(secret, 'hex') from webhook_secrets union all select token from shares"
        " union all select encode(secret, 'base64') from webhook_secrets"
        " union all select encode(token_sha256, 'hex') from login_links"
    ).fetchall()
    assert len(found) >= 6
    return [secret for (secret,) in found]


async def test_everything_of_a_person_is_in_it_and_no_secret_and_nothing_of_anybody_else(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    await control_plane.service.done()
    person = await leaver(control_plane, owner_sql)
    await plant(person)
    archive = await exported(person)
    lists = {name: json.loads(archive.read(f"{name}.json")) for name in LISTS}
    assert {name for name, lines in lists.items() if not lines} == set()
    account = json.loads(archive.read("account.json"))
    assert (account["id"], len(account["identities"]), len(account["former_accounts"])) == (str(person.id), 1, 1)
    for name in ("jobs", "payments", "api_keys", "webhooks", "sessions", "reports", "ledger"):
        assert MARK in json.dumps(lists[name]), name
    [drawn] = [job for job in lists["jobs"] if job["state"] == "succeeded" and not job["test"]]
    assert drawn["spec"]["prompt"] == f"a {MARK} at dawn"
    assert [event["name"] for event in drawn["events"]][-1] == "job.succeeded"
    assert archive.read(f"pictures/{drawn['id']}-0.png") == picture()
    [given] = lists["inputs"]
    assert f"inputs/{given['id']}.png" in archive.namelist()
    assert {job["test"] for job in lists["jobs"]} == {True, False}

    whole = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
    assert [secret for secret in [*secrets(owner_sql), person.key] if secret in whole] == []
    assert "a lighthouse" not in whole, "that was somebody else's"


async def test_a_key_for_orders_does_not_open_it_nor_does_a_test_key(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    weak = await control_plane.key_of(person.id, ["read", "submit"])
    made = await person.call("POST", "/api-keys", {"name": "test", "scopes": ["read"], "test": True})
    for key in (weak, made.json["key"]):
        assert (await person.call("GET", "/user/export", key=key)).status == 403


async def test_one_at_a_time_for_a_person_and_a_broken_download_frees_the_place(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    exports = control_plane.context.exports
    first = await exports.begin(person.id)
    async with aclosing(first.chunks()) as chunks:
        assert (await anext(chunks))[:2] == b"PK"
        refused = await person.call("GET", "/user/export")
        assert (refused.status, refused.code) == (429, TooManyWaiting.slug)
    await eventually(lambda: person.call("GET", "/user/export"), lambda answered: answered.status == 200)


async def test_many_orders_come_page_by_page_and_none_is_left_out(
    control_plane: Plane, owner_sql: psycopg.Connection[Any]
) -> None:
    person = await leaver(control_plane, owner_sql)
    control_plane.context.exports.page = 2
    orders = {str(await person.ordered(seed=seed)) for seed in range(5)}
    archive = await exported(person)
    assert {job["id"] for job in json.loads(archive.read("jobs.json"))} == orders
    assert len(json.loads(archive.read("ledger.json"))) == 5


async def test_an_archive_is_never_whole_in_memory() -> None:
    packing, at, piece = Packing(), datetime(2026, 7, 1), bytes(1024**2)

    async def film() -> Any:
        for _ in range(LARGE_BYTES // len(piece)):
            yield piece

    written = largest = 0
    async for data in packing.stored("film.mp4", at, film()):
        written += len(data)
        largest = max(largest, len(data))
    written += len(packing.finished())
    assert written > LARGE_BYTES
    assert largest < 2 * len(piece)


async def test_it_needs_somebody(control_plane: Plane) -> None:
    assert (await control_plane.call("GET", f"{API}/user/export")).status == 401
