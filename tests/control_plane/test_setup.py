"""The first run, as the API tells it: steps that facts tick off, the light of the first machine, and the address."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from aiohttp import web

from control_plane import audit
from control_plane.operator import reach
from control_plane.people import sessions
from control_plane.signing import SigningKeys
from tests.fixtures.api import API, Plane
from tests.fixtures.browsers import tell
from tests.fixtures.certificates import Certificates
from tests.fixtures.worker import PREFIX, Hands, free_port, picture

SETUP = f"{API}/admin/setup"


async def seen(plane: Plane) -> Any:
    answered = await plane.call("GET", SETUP, plane.admin_key)
    assert answered.status == 200, answered.body
    return answered.json


async def states(plane: Plane) -> dict[str, str]:
    return {step["name"]: step["state"] for step in (await seen(plane))["steps"]}


async def decides(plane: Plane, **body: object) -> dict[str, Any]:
    answered = await plane.call("POST", SETUP, plane.admin_key, body)
    assert answered.status == 200, answered.body
    changed: dict[str, Any] = answered.json
    return changed


# ------------------------------------------------------------------------------------------ steps


async def test_a_step_is_done_when_facts_say_so_and_may_come_later(control_plane: Plane, owner_url: str) -> None:
    names = ["account", "address", "machine", "bots", "backup"]
    assert list((await states(control_plane)).items()) == [(name, "open") for name in names]
    assert not (await seen(control_plane))["closed"]
    await decides(control_plane, put_off="bots")
    await decides(control_plane, put_off="bots")
    await decides(control_plane, put_off="machine", closed=True)
    assert (await seen(control_plane))["closed"]
    assert (await states(control_plane))["bots"] == (await states(control_plane))["machine"] == "put_off"
    await decides(control_plane, take_up="machine", closed=False)
    assert (await states(control_plane))["machine"] == "open"
    assert not (await seen(control_plane))["closed"]

    bots = await control_plane.service_key("telegram", "discord")
    assert (await states(control_plane))["bots"] == "put_off", "it has a key and was not heard of"
    named = {"Tessera-On-Behalf-Of": "telegram:1"}
    assert (await control_plane.call("GET", f"{API}/user/me", bots, headers=named)).status == 200
    await control_plane.context.credentials.write_uses()
    assert (await states(control_plane))["bots"] == "done", "what is done is done, put off or not"
    [bot] = (await seen(control_plane))["bots"]
    assert (bot["name"], bot["providers"]) == ("bot", ["discord", "telegram"])
    assert bots not in str(await seen(control_plane))

    link = await sessions.make_link(control_plane.context.database, control_plane.admin_id, audit.OPERATOR)
    await sessions.follow_link(control_plane.context.database, link.token, "somewhere", "a browser")
    assert (await states(control_plane))["account"] == "done"
    with psycopg.connect(owner_url, autocommit=True) as owner:
        row = "insert into backups (kind, place, name, sealed, ended_at, verified_at)"
        owner.execute(f"{row} values ('dump', 'file:///mnt', 'one', true, now(), now())")
    assert (await states(control_plane))["backup"] == "done"


async def test_the_setup_is_the_operators_alone(control_plane: Plane) -> None:
    stranger = await control_plane.user_key()
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/address"), ("POST", "/machine"), ("POST", "/picture")):
        refused = await control_plane.call(method, SETUP + path, stranger, {} if method == "POST" else None)
        assert (refused.status, refused.code) == (403, "forbidden"), path
    assert await tell(control_plane.context, "select 1 from enrolment_tokens where worker_id is null") == []


# ------------------------------------------------------------------------------------------ the light


async def light(plane: Plane) -> str:
    return str((await seen(plane))["machine"]["light"])


async def enrols(plane: Plane, token: str) -> Hands:
    """A machine that comes with this token."""
    secret = f"tsw_{secrets.token_hex(32)}"
    body = {"token": token, "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(), "name": "den"}
    answered = await plane.call("POST", f"{PREFIX}/enroll", None, body)
    assert answered.status == 200, answered.body
    return Hands(plane.service.session, plane.url, UUID(answered.json["worker_id"]), secret)


async def comes(machine: Hands) -> None:
    """As an agent does whose engine has drawn."""
    assert await machine.claim() == []
    assert (await machine.call("/heartbeat", {"leases": [], "slots": [{"slot": 0}]})).status == 200


async def test_the_light_follows_the_machine_from_its_token_to_its_picture(control_plane: Plane) -> None:
    async def orders() -> Any:
        return await control_plane.call("POST", f"{SETUP}/picture", control_plane.admin_key)

    assert await light(control_plane) == "off"
    made = await control_plane.call("POST", f"{SETUP}/machine", control_plane.admin_key, {})
    assert made.status == 201
    token = made.json["token"]
    assert token in made.json["command"]
    assert await light(control_plane) == "waiting"
    assert token not in str(await seen(control_plane)), "it is shown once"
    machine = await enrols(control_plane, token)
    assert await light(control_plane) == "enrolled"
    early = await orders()
    assert (early.status, early.code) == (404, "not-found")

    await comes(machine)
    assert await light(control_plane) == "ready"
    first, again = await orders(), await orders()
    assert (first.status, again.status, first.json["id"]) == (201, 201, again.json["id"])
    [lease] = await machine.claim(wait=5)
    await machine.start(lease)
    assert (await orders()).json["id"] == first.json["id"]
    assert await light(control_plane) == "ready"
    assert (await machine.upload(lease, picture())).status == 200
    assert (await machine.complete(lease)).json["state"] == "succeeded"
    shown = (await seen(control_plane))["machine"]
    assert (shown["light"], shown["name"], shown["picture_by"]) == ("green", "den", "den")
    assert (shown["serves"], shown["picture_job_id"]) == (["image/testcard"], first.json["id"])
    assert (await states(control_plane))["machine"] == "done"

    await control_plane.call("POST", f"{SETUP}/machine", control_plane.admin_key, {})
    assert await light(control_plane) == "waiting", "for the next one"


async def test_a_picture_that_failed_is_ordered_anew_and_a_revoked_machine_is_waited_for_no_more(
    control_plane: Plane,
) -> None:
    made = await control_plane.call("POST", f"{SETUP}/machine", control_plane.admin_key, {"name": "attic"})
    machine = await enrols(control_plane, made.json["token"])
    await comes(machine)
    tried = []
    for _ in range(2):
        answered = await control_plane.call("POST", f"{SETUP}/picture", control_plane.admin_key)
        tried.append(answered.json["id"])
        [lease] = await machine.claim(wait=5)
        await machine.start(lease)
        assert (await machine.fail(lease)).json["state"] == "failed"
    assert len(set(tried)) == 2
    assert await light(control_plane) == "ready"
    await control_plane.call("POST", f"{API}/admin/workers/attic/revoke", control_plane.admin_key)
    assert await light(control_plane) == "expired"


# ------------------------------------------------------------------------------------------ the address


@asynccontextmanager
async def stranger(answer: web.StreamResponse, tls: Certificates | None = None) -> AsyncIterator[str]:
    """A server that is not ours and always answers so."""

    async def always(_: web.Request) -> web.StreamResponse:
        return web.Response(status=answer.status, headers=answer.headers, body=getattr(answer, "body", None))

    app = web.Application()
    app.router.add_route("*", "/{all:.*}", always)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port(), ssl_context=tls.server if tls else None)
    await site.start()
    try:
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_the_address_is_ours_only_if_who_answers_has_our_keys(control_plane: Plane, tmp_path: Path) -> None:
    settings, keys = control_plane.context.settings, control_plane.context.signing_keys

    async def outcome(url: str, keys: SigningKeys = keys, **more: object) -> str:
        return (await reach.examine(keys, msgspec.structs.replace(settings, public_url=url, **more))).outcome

    answered = await control_plane.call("POST", f"{SETUP}/address", control_plane.admin_key)
    assert (answered.status, answered.json["outcome"]) == (200, "ours")
    others = SigningKeys()
    others.replace([secrets.token_bytes(32)], time.time())
    assert await outcome(control_plane.url, others) == "foreign", "another Tessera"
    problem = web.json_response({"code": "not-found"}, status=404)
    for answer in (web.Response(text="It works!"), problem, web.Response(body=b"\xff" * 100_000)):
        async with stranger(answer) as url:
            assert await outcome(url) == "foreign"
    async with stranger(web.Response(status=301, headers={"Location": "https://elsewhere.example/"})) as url:
        assert await outcome(url) == "elsewhere"
    assert await outcome(f"http://127.0.0.1:{free_port()}") == "silent"
    certificates = Certificates(tmp_path, "localhost")
    async with stranger(problem, certificates) as url:
        assert await outcome(url) == "untrusted"
        assert await outcome(url, tls_authority=tmp_path / "certificate.pem") == "foreign"
