"""Egress: what somebody else's address may lead to, and that no request ever leads anywhere else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from control_plane.webhooks import egress
from control_plane.webhooks.egress import Lookup, Refused, checked, embedded, excerpt, inside
from tests.fixtures.certificates import Certificates
from tests.fixtures.receiver import Receiver, receiving

LOCAL = (ip_network("127.0.0.0/8"),)
PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e")
WITHIN = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
    *("::ffff:0:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a9fe:a9fe", "100::1"),
    *("2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:a9fe:a9fe::1", "2002:808:808::1"),
    *("3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%1", "febf::1", "fec0::1", "ff02::1"),
    *("2a00:1450:4001:80b:0:5efe:7f00:1", "2606:4700::200:5efe:a9fe:a9fe", "4000::1"),
]
"""What must never be reached."""
TROUBLE = ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("169.254.0.0/16"), ip_network("100.64.0.0/10")


def names(*answers: list[str]) -> tuple[Lookup, list[str]]:
    """A resolver that gives one answer after the other, the last one for ever; and what it was asked."""
    asked: list[str] = []

    async def look(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return look, asked


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert inside(ip_address(address)) is None


@pytest.mark.parametrize("address", WITHIN)
def test_every_special_address_is_inside(address: str) -> None:
    assert inside(ip_address(address)) is not None


@given(st.ip_addresses(v=4).map(lambda address: IPv4Address(int(address))))
def test_an_ipv4_address_is_judged_no_milder_than_the_standard_library_does(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert inside(address) is not None


@given(st.ip_addresses(v=6).map(lambda address: IPv6Address(int(address))))
def test_an_ipv6_address_is_judged_no_milder_than_the_standard_library_does(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_site_local:
        assert inside(address) is not None


@given(st.one_of(*(st.ip_addresses(network=network) for network in TROUBLE)), st.integers(0, 2**48 - 1))
def test_no_way_of_carrying_an_inner_address_makes_it_public(inner: IPv4Address, rest: int) -> None:
    """Nor does a network that the operator allows, when the address within is not allowed."""
    low, high = int(inner), rest & 0xFFFF_FFFF
    carriers = (
        0xFFFF << 32 | low,
        low,
        0xFFFF << 48 | low,
        0x64FF9B << 96 | low,
        0x64FF9B_0001 << 80 | low,
        0x64FF9B_0001 << 80 | (low >> 16) << 64 | (low & 0xFFFF) << 40,
        0x2002 << 112 | low << 80 | rest,
        0x20010000 << 96 | high << 64 | rest & 0xFFFF_0000_0000 | low ^ 0xFFFF_FFFF,
        0x20010000 << 96 | low << 64 | rest,
        0x2A00 << 112 | 0x5EFE << 32 | low,
    )
    for carrier in map(IPv6Address, carriers):
        assert inner in embedded(carrier), carrier
        assert inside(carrier) is not None, carrier
        assert inside(carrier, (ip_network("::/0"),)) is not None, carrier


@pytest.mark.parametrize(
    "url",
    [
        *("http://receiver.example/", "ftp://receiver.example/", "//receiver.example/", "receiver.example", "https://"),
        *("https:///x", "https://user@receiver.example/", "https://user:word@receiver.example/", "javascript:alert(1)"),
        *("https://receiver.example:22/", "https://receiver.example:80/", "https://receiver.example:0/"),
        *("https://receiver.example:99999/", "https://good.example\\@127.0.0.1/", "https://[::1", "file:///etc/passwd"),
        *("https://receiver.example/" + "x" * 1_000, "https://①②⑦.0.0.1/", "https://[::ffff:127.0.0.1]/"),
        *(f"https://{f'[{address}]' if ':' in address else address}/" for address in WITHIN if "%" not in address),
    ],
)
def test_an_address_that_can_never_be_used_is_refused_at_the_door(url: str) -> None:
    with pytest.raises(Refused):
        checked(url)


def test_an_address_is_kept_as_it_will_be_used() -> None:
    assert str(checked("https://Bücher.example/ü?a=b#part")) == "https://xn--bcher-kva.example/%C3%BC?a=b"
    assert str(checked("https://receiver.example:8443/x")) == "https://receiver.example:8443/x"
    assert str(checked("http://127.0.0.1:9/x", LOCAL)) == "http://127.0.0.1:9/x"


@pytest.mark.parametrize("name", ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost"])
async def test_whatever_the_systems_resolver_takes_for_this_machine_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        await egress.route(checked(f"https://{name}/"), ())
    assert refused.value.code in ("refused", "unresolvable")


async def test_one_bad_address_spoils_a_name_and_a_name_without_any_leads_nowhere() -> None:
    url = checked("https://receiver.example/")
    look, _ = names(["8.8.8.8", "10.0.0.1"], [])
    with pytest.raises(Refused, match="not of the public Internet"):
        await egress.route(url, (), look)
    with pytest.raises(Refused, match="nowhere"):
        await egress.route(url, (), look)


async def test_what_the_operator_allows_for_home_is_not_allowed_elsewhere() -> None:
    """http and any port are for the networks that were named, whatever the name leads to."""
    for url in ("http://receiver.example/", "https://receiver.example:22/"):
        look, _ = names(["8.8.8.8"], ["127.0.0.1"])
        with pytest.raises(Refused, match="own networks"):
            await egress.route(checked(url, LOCAL), LOCAL, look)
        assert (await egress.route(checked(url, LOCAL), LOCAL, look)).addresses == ("127.0.0.1",)


@pytest.fixture
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def test_a_name_that_changes_its_answer_is_asked_once_and_the_connection_goes_where_it_was_judged(
    receiver: Receiver, tls: ssl.SSLContext
) -> None:
    """DNS rebinding: an allowed address first, then another one where somebody listens as well."""
    async with listening("127.0.0.2", receiver.port) as victim:
        look, asked = names(["127.0.0.1"], ["127.0.0.2"])
        route = await egress.route(
            checked(f"http://rebound.example:{receiver.port}/x", LOCAL), (ip_network("127.0.0.1/32"),), look
        )
        for _ in range(3):
            await egress.post(route, b"{}", {}, tls)
        assert (len(receiver.got), len(victim), asked) == (3, 0, ["rebound.example"])
        assert receiver.got[0].headers["Host"] == f"rebound.example:{receiver.port}"
        with pytest.raises(Refused):
            await egress.route(route.url, (ip_network("127.0.0.1/32"),), look)


async def test_the_socket_itself_refuses_an_address_that_was_not_judged(
    tls: ssl.SSLContext, receiver: Receiver
) -> None:
    """An address in place of a name never passes a resolver, so the last gate is behind it."""
    route = egress.Route(url=URL(receiver.url), addresses=("127.0.0.9",))
    with pytest.raises(aiohttp.ClientConnectorError) as refused:
        await egress.post(route, b"{}", {}, tls)
    assert "another address" in str(refused.value.__cause__)
    assert receiver.got == []


async def test_no_redirect_is_followed(receiver: Receiver, tls: ssl.SSLContext) -> None:
    async with receiving() as loopback:

        async def elsewhere(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": loopback.url})

        receiver.answer = elsewhere
        answer = await _post(receiver, tls)
        assert (answer.status, len(receiver.got), loopback.got) == (302, 1, [])


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await _post(receiver, tls)).status == 200
        assert (len(receiver.got), proxy.got) == (1, [])


async def test_of_an_endless_answer_only_the_beginning_is_read(receiver: Receiver, tls: ssl.SSLContext) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        while sent < 64 * 1024**2:
            await response.write(b"a\x00\x1b[2J" * 10_000)
            sent += 60_000
        return response

    receiver.answer = endless
    answer = await _post(receiver, tls)
    assert answer.status == 200
    assert answer.excerpt.startswith("a [2Ja [2J")
    assert len(answer.excerpt) == egress.EXCERPT_LENGTH
    assert sent < 8 * 1024**2


async def test_an_answer_that_drips_counts_by_its_status(receiver: Receiver, tls: ssl.SSLContext) -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=204 + 25)
        await response.prepare(request)
        for _ in range(200):
            await response.write(b".")
            await asyncio.sleep(0.1)
        return response

    receiver.answer = dripping
    async with asyncio.timeout(2 * egress.ANSWER_SECONDS):
        answer = await _post(receiver, tls)
    assert (answer.status, set(answer.excerpt)) == (229, {"."})


async def test_a_message_that_is_too_large_is_not_sent(receiver: Receiver, tls: ssl.SSLContext) -> None:
    route = await egress.route(checked(receiver.url, LOCAL), LOCAL)
    with pytest.raises(Refused, match="larger"):
        await egress.post(route, b"x" * (egress.REQUEST_BYTES_MAX + 1), {}, tls)
    assert receiver.got == []


async def test_tls_is_with_the_name_not_with_the_address(tmp_path: Path) -> None:
    """The certificate is checked against the name, and the name is what the server is asked for."""
    made = Certificates(tmp_path, "receiver.example")
    asked: list[str | None] = []
    made.server.sni_callback = lambda _, name, __: asked.append(name)
    async with receiving(ssl_context=made.server) as receiver:
        look, _ = names(["127.0.0.1"])
        for name in ("receiver.example", "other.example"):
            route = await egress.route(checked(f"https://{name}:{receiver.port}/", LOCAL), LOCAL, look)
            if name == "receiver.example":
                assert (await egress.post(route, b"{}", {}, made.client)).status == 200
            else:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await egress.post(route, b"{}", {}, made.client)
        assert [got.headers["Host"] for got in receiver.got] == [f"receiver.example:{receiver.port}"]
    assert asked == ["receiver.example", "other.example"]


@given(st.binary(max_size=600))
def test_what_is_shown_of_an_answer_is_one_short_line_of_plain_text(answer: bytes) -> None:
    shown = excerpt(answer)
    assert len(shown) <= egress.EXCERPT_LENGTH
    assert not any(ord(character) < 32 or ord(character) == 127 for character in shown)


async def _post(receiver: Receiver, tls: ssl.SSLContext) -> egress.Answer:
    return await egress.post(await egress.route(checked(receiver.url, LOCAL), LOCAL), b"{}", {}, tls)


@asynccontextmanager
async def listening(host: str, port: int) -> AsyncIterator[list[str]]:
    """Who has connected there."""
    came: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(str(writer.get_extra_info("peername")))
        writer.close()

    async with await asyncio.start_server(connected, host, port):
        yield came
