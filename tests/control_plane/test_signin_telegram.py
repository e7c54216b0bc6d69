"""Signing in with what Telegram has signed: once, soon, and in the browser that asked for it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio

from control_plane.context import Context
from control_plane.signin import telegram
from tests.fixtures.api import Plane
from tests.fixtures.browsers import Browser, tell
from tests.fixtures.worker import running

Browse = Callable[..., Browser]
BOT_TOKEN = "123456:ABCDEF-ghijkl_mnopqrstuvwxyz012345"
ELSEWHERE = "http://127.0.0.1:9"
"""Where Telegram would be; browsers go there, we never do."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house_context(house_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Context]:
    settings = {"telegram_login_token": BOT_TOKEN, "telegram_login_url": ELSEWHERE}
    async with running(house_url, tmp_path_factory.mktemp("data"), **settings) as context:
        yield context


def proof(subject: str, *, ago_seconds: int = 0, token: str = BOT_TOKEN, **fields: str | int) -> dict[str, str | int]:
    """As Telegram signs it; see the vector below."""
    told: dict[str, str | int] = {"id": int(subject), "first_name": "Ada", "auth_date": int(time.time()) - ago_seconds}
    told |= fields
    return {**told, "hash": telegram.signature(token, told)}


async def state_of(browser: Browser, **query: str) -> str:
    """A browser is sent to Telegram; the state that it is to bring back."""
    answered = await browser.get(f"/auth/telegram/start?{urlencode(query)}")
    address = urlsplit(answered.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ELSEWHERE}/auth"
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert (asked["bot_id"], asked["origin"]) == ("123456", browser.url)
    return_to = urlsplit(asked["return_to"])
    assert return_to.path == "/auth/telegram/callback"
    return parse_qs(return_to.query)["state"][0]


async def nobody_came(house: Plane, browser: Browser, before: int) -> bool:
    return not (await browser.who())["signed_in"] and await people(house) == before


async def people(house: Plane) -> int:
    [(count,)] = await tell(house.context, "select count(*)::int from users")
    return int(count)


async def test_the_signature_is_that_of_telegram() -> None:
    """Made with `openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf %s TOKEN | sha256sum)` over the lines."""
    fields: dict[str, str | int] = {"auth_date": 1_700_000_000, "first_name": "Ada ü", "id": 42, "username": "ada"}
    expected = "0464d5fb7fd5c9a87648750d1b4f952845d95af39145055350c97a973d104d2c"
    assert telegram.signature(BOT_TOKEN, {**fields, "hash": "x"}) == expected


async def test_somebody_signs_in_with_telegram_once(house: Plane, browse: Browse) -> None:
    browser, subject = browse(), str(uuid4().int)[:18]
    told = proof(subject, username="ada", photo_url="https://t.me/i/userpic/320/ada.jpg")
    body = {"state": await state_of(browser, next="/create"), "data": told}
    answered = await browser.api("POST", "/auth/telegram", body)
    assert (answered.status, answered.json) == (200, {"next": "/create"})
    assert (await browser.who())["user"]["name"] == f"telegram:{subject}"
    assert (await browser.api("POST", "/auth/telegram", body)).code == "sign-in-failed"
    thief = browse()
    stolen = {"state": await state_of(thief), "data": told}
    assert (await thief.api("POST", "/auth/telegram", stolen)).code == "sign-in-failed"
    assert not (await thief.who())["signed_in"]


async def test_the_page_to_which_telegram_sends_runs_no_script_but_ours(browse: Browse) -> None:
    page = await browse().get("/auth/telegram/callback?state=x")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert b'<script src="/auth/telegram.js" defer></script>' in page.body
    script = await browse().get("/auth/telegram.js")
    assert (script.status, script.headers["Content-Type"]) == (200, "text/javascript")


PROOFS: dict[str, Callable[[], dict[str, str | int]]] = {
    "signed by another bot": lambda: proof("7", token="654321:ABCDEF-ghijkl_mnopqrstuvwxyz"),
    "another id": lambda: {**proof("7"), "id": 8},
    "one more field": lambda: {**proof("7"), "username": "admin"},
    "no signature": lambda: {name: told for name, told in proof("7").items() if name != "hash"},
    "an empty signature": lambda: {**proof("7"), "hash": ""},
    "a signature beyond ASCII": lambda: {**proof("7"), "hash": "ü"},
    "too old": lambda: proof("7", ago_seconds=301),
    "from the future": lambda: proof("7", ago_seconds=-120),
    "without a date": lambda: proof("7", auth_date="soon"),
    "with a date beyond all": lambda: proof("7", auth_date="9" * 40),
    "no id": lambda: proof("7", id="x"),
    "a list of nothing": dict,
}


@pytest.mark.parametrize("made", PROOFS.values(), ids=PROOFS)
async def test_what_telegram_has_not_signed_for_now_proves_nothing(
    house: Plane, browse: Browse, made: Callable[[], dict[str, str | int]]
) -> None:
    browser, before = browse(), await people(house)
    body = {"state": await state_of(browser), "data": made()}
    answered = await browser.api("POST", "/auth/telegram", body)
    assert (answered.status, answered.code) == (403, "sign-in-failed")
    assert await nobody_came(house, browser, before)


async def test_a_proof_of_telegram_is_taken_in_the_browser_that_asked_for_it_only(house: Plane, browse: Browse) -> None:
    attacker, victim = browse(), browse()
    body = {"state": await state_of(attacker), "data": proof("7")}
    await state_of(victim)
    assert (await victim.api("POST", "/auth/telegram", body)).code == "sign-in-failed"
    refused = await attacker.api("POST", "/auth/telegram", body, Origin="https://evil.example")
    assert (refused.status, refused.code) == (403, "forbidden")
    assert (await attacker.api("POST", "/auth/telegram", body)).status == 200, "foreign tries used nothing up"


async def test_the_page_is_told_that_telegram_is_a_way_in(browse: Browse, house: Plane) -> None:
    ways = (await browse().who())["providers"]
    assert [way["id"] for way in ways] == ["telegram", "code"]
