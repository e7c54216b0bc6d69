"""`/install` of a control plane with TLS of its own: what anybody gets, and whom an agent believes."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from agent.authority import ForeignAuthority, fetch, first_certificate, split
from agent.client import NoAnswer, connect
from agent.enrolment import enroll
from control_plane import authority
from control_plane.authority import Papers
from control_plane.people.credentials import SCOPES, create_key
from control_plane.people.users import create
from control_plane.wire.release import AgentRelease
from control_plane.workers import roster
from tests.fixtures.worker import Service, free_port, serving


@asynccontextmanager
async def with_tls(database_url: str, folder: Path) -> AsyncIterator[tuple[Service, Papers]]:
    """As `tessera up --lan` sets it up; the fixture's own calls go by http."""
    papers, port = authority.papers(folder / "data", ["127.0.0.1"]), free_port()
    settings = {
        "tls_certificate": papers.certificate,
        "tls_key": papers.key,
        "tls_authority": papers.authority,
        "tls_host": "127.0.0.1",
        "tls_port": port,
    }
    async with serving(database_url, folder / "data", **settings) as service:
        yield service, papers


def shared(service: Service) -> str:
    return f"https://127.0.0.1:{service.context.settings.tls_port}"


async def test_an_agent_gets_all_it_needs_by_http_and_https_and_believes_one_authority(
    database_url: str, tmp_path: Path
) -> None:
    async with with_tls(database_url, tmp_path) as (service, papers):
        url = shared(service)
        trusted = ssl.create_default_context(cadata=papers.authority.read_text())
        told = []
        for address, trust in ((service.url, True), (url, trusted)):
            async with service.session.get(f"{address}/install/agent.json", ssl=trust) as response:
                told.append(msgspec.json.decode(await response.read(), type=AgentRelease))
        assert told[0] == told[1]
        for name, sha256 in ((told[0].wheel, told[0].wheel_sha256), ("requirements.txt", told[0].requirements_sha256)):
            answered = await service.get(f"/install/{name}")
            assert hashlib.sha256(answered.body).hexdigest() == sha256
        assert (await service.get("/install/tessera-0.0.1-py3-none-any.whl")).code == "not-found"
        assert (await service.get("/install/ca.pem")).body == papers.authority.read_bytes()
        script = (await service.get("/install/agent.sh")).body.decode()
        assert papers.authority.read_text() in script
        assert service.context.settings.base_url in script

        token = f"{await roster.create_token(service.context.database)}.{papers.fingerprint}"
        credential = await enroll(url, token, "den")
        assert credential.authority == papers.authority.read_text()
        async with connect(url, credential.secret, credential.authority) as client:
            assert (await client.config()).worker_id == credential.worker_id
        async with connect(url, credential.secret) as stranger:
            with pytest.raises(NoAnswer, match="certificate is wrong"):
                await stranger.config()
        worker = await roster.find(service.context.database, "den")
        [row] = [one for one in await roster.list_all(service.context.database, 60) if one.worker.id == worker.id]
        assert row.worker.agent_version, "it is known which agent runs there"


async def test_the_line_of_an_operator_carries_whom_to_trust(database_url: str, tmp_path: Path) -> None:
    async with with_tls(database_url, tmp_path) as (service, papers):
        admin_id = await create(service.context.database, "admin", "pro")
        key = (await create_key(service.context.database, name="a", user_id=admin_id, scopes=SCOPES)).key
        headers = {"Authorization": f"Bearer {key}"}
        async with service.session.post(
            f"{service.url}/api/v1/admin/enrolment-tokens", headers=headers, json={"name": "den"}
        ) as response:
            made = await response.json()
        token, fingerprint = split(made["token"])
        assert fingerprint == papers.fingerprint
        pin = authority.key_pin(papers.certificate.read_text())
        assert f"--pinnedpubkey sha256//{pin} " in made["command"]
        assert made["command"].endswith(f"TESSERA_AGENT_TOKEN={token}.{fingerprint} sh")


async def test_a_service_without_an_authority_of_its_own_has_none_to_show(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as service:
        assert (await service.get("/install/ca.pem")).code == "not-found"


@asynccontextmanager
async def impostor(folder: Path, shown: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Somebody in between with an authority of their own, who shows this one; and what they got to see."""
    papers, asked = authority.papers(folder, ["127.0.0.1"]), list[str]()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(papers.certificate, papers.key)

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.path} {await request.text()}")
        return web.Response(text=shown)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_a_foreign_authority_gets_neither_token_nor_trust(tmp_path: Path) -> None:
    true = authority.papers(tmp_path / "true", ["127.0.0.1"])
    token = f"tse_{'0' * 12}_{'0' * 64}.{true.fingerprint}"
    foreign = authority.papers(tmp_path / "foreign", ["127.0.0.1"]).authority.read_text()
    for shown in (foreign, "no certificate at all", foreign + true.authority.read_text()):
        async with impostor(tmp_path / "foreign", shown) as (url, asked):
            with pytest.raises(ForeignAuthority, match="somebody may stand in between"):
                await enroll(url, token, "den")
            assert asked == ["/install/ca.pem "]
    async with impostor(tmp_path / "foreign", true.authority.read_text() + foreign) as (url, asked):
        with pytest.raises(NoAnswer, match="certificate is wrong"):
            await enroll(url, token, "den")
        assert asked == ["/install/ca.pem "], "who shows what is not theirs learns nothing more"
        assert await fetch(url, true.fingerprint) == true.authority.read_text(), "what comes behind it does not count"


@pytest.mark.parametrize("length", [300, 301, 302])
def test_of_several_certificates_the_first_counts_however_long_it_is(length: int) -> None:
    """Base64 ends in no, two or one `=`; without one nothing but the footer says where the first ends."""
    first, second = bytes(range(256))[: length - 256] + bytes(256), b"another"
    assert first_certificate(ssl.DER_cert_to_PEM_cert(first) + ssl.DER_cert_to_PEM_cert(second)) == first
    assert first_certificate("no certificate at all") == b""


async def test_a_token_of_an_authority_is_not_used_over_http(tmp_path: Path) -> None:
    with pytest.raises(ForeignAuthority, match="belongs to an https:// address"):
        await enroll("http://127.0.0.1:9", f"tse_x.{'0' * 64}", "den")


def test_only_a_token_that_carries_a_fingerprint_is_taken_apart() -> None:
    bare = f"tse_{'a' * 12}_{'b' * 64}"
    assert split(bare) == (bare, None)
    assert split(f"{bare}.{'c' * 64}") == (bare, "c" * 64)
    assert split(f"{bare}.{'c' * 63}") == (f"{bare}.{'c' * 63}", None)
