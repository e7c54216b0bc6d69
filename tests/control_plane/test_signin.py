"""Signing in through Google and Discord, by stand-ins over HTTP; above all, everything that must fail."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import pytest
import pytest_asyncio
from joserfc.jwk import OctKey, RSAKey

from control_plane import audit
from control_plane.conduct import suspension
from control_plane.context import Context
from control_plane.people import codes
from control_plane.signin.oauth import AGAIN_SECONDS, REMEMBER_SECONDS
from tests.fixtures.api import API, Plane
from tests.fixtures.browsers import Browser, tell
from tests.fixtures.providers import (
    Standins,
    back,
    nobody_came,
    people,
    providing,
    refusal,
    sign_in,
    somebody,
    start,
    swapped,
    value,
)
from tests.standins.provider import CLIENT_ID, CLIENT_SECRET, Person

Browse = Callable[..., Browser]
NAMES = ["google", "discord"]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("honest")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house_context(
    house_url: str, standins: Standins, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Context]:
    async with providing(house_url, tmp_path_factory.mktemp("data"), standins) as context:
        yield context


# ------------------------------------------------------------------------------------------ the way there and back


@pytest.mark.parametrize("name", NAMES)
async def test_somebody_signs_in_and_comes_back_as_the_same_one(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    person, first, second = somebody(email="ada@example.com"), browse(), browse()
    answered = await sign_in(first, standins[name], name, person, next="/create?model=x#top")
    assert answered.headers["Location"] == "/create?model=x#top"
    who = await first.who()
    assert who["user"]["name"] == f"{name}:{person.subject}"
    await sign_in(second, standins[name], name, person)
    assert (await second.who())["user"]["id"] == who["user"]["id"]
    listed = (await second.get(f"{API}/sessions")).json["data"]
    assert [(entry["way"], entry["current"]) for entry in listed] == [(name, True), (name, False)]
    me = (await second.get(f"{API}/user/me")).json
    assert me["identities"] == [{"provider": name, "subject": person.subject}]
    everything = await tell(house.context, "select u::text from users u union all select i::text from identities i")
    assert not any("example.com" in row for (row,) in everything)


async def test_whoever_came_by_a_bot_is_the_same_on_the_website(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    person, bot = somebody(), await house.service_key("discord")
    named = {"Tessera-On-Behalf-Of": f"discord:{person.subject}"}
    me = (await house.call("GET", f"{API}/user/me", bot, headers=named)).json
    browser = browse()
    await sign_in(browser, standins["discord"], "discord", person)
    assert (await browser.who())["user"]["id"] == me["id"]


async def test_the_page_is_told_the_ways_in(browse: Browse, house: Plane) -> None:
    ways = (await browse().who())["providers"]
    assert [(way["id"], way["url"]) for way in ways] == [
        *[(name, f"/auth/{name}/start") for name in NAMES],
        ("code", "/auth/code"),
    ]
    assert (await browse().get("/auth/myspace/start")).status == 404
    assert (await browse().get("/auth/myspace/callback?state=x")).status == 404


async def test_two_tabs_of_one_browser_both_come_back(house: Plane, browse: Browse, standins: Standins) -> None:
    browser, google, discord = browse(), somebody(), somebody()
    one, two = await start(browser, "google"), await start(browser, "discord")
    await back(browser, standins["google"].consent(one, google))
    await back(browser, standins["discord"].consent(two, discord))
    assert (await browser.who())["user"]["name"] == f"discord:{discord.subject}"


# ------------------------------------------------------------------------------------------ what must fail


@pytest.mark.parametrize("name", NAMES)
async def test_a_state_is_worth_nothing_in_another_browser(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    """Somebody begins, stops before the last step and has another person take it, who would be in a wrong account."""
    attacker, victim, before = browse(), browse(), await people(house)
    address = standins[name].consent(await start(attacker, name), somebody())
    assert refusal(await back(victim, address)) == "sign-in-failed"
    await start(victim, name)  # also not in one that is on its way itself
    assert refusal(await back(victim, address)) == "sign-in-failed"
    assert await nobody_came(house, victim, before)
    assert "token" not in standins[name].asked, "the code was not even shown"


@pytest.mark.parametrize("name", NAMES)
async def test_coming_back_a_second_time_does_nothing(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    browser = browse()
    address = standins[name].consent(await start(browser, name), somebody())
    await back(browser, address)
    assert (await browser.who())["signed_in"]
    await browser.api("POST", "/auth/signout")
    assert refusal(await back(browser, address)) == "sign-in-failed"
    assert not (await browser.who())["signed_in"]
    assert standins[name].asked.count("token") == 1


@pytest.mark.parametrize("name", NAMES)
async def test_a_code_that_was_used_is_refused_also_under_a_new_state(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    browser, thief = browse(), browse()
    first = standins[name].consent(await start(browser, name), somebody())
    await back(browser, first)
    second = standins[name].consent(await start(thief, name), somebody())
    assert refusal(await back(thief, swapped(second, code=value(first, "code")))) == "sign-in-failed"
    assert standins[name].refusals == ["invalid_grant"]
    assert not (await thief.who())["signed_in"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_code_of_another_browser_fails_for_its_verifier(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    """A code that was stolen before it was used, shown with the thief's own state."""
    victim, thief, before = browse(), browse(), await people(house)
    stolen = standins[name].consent(await start(victim, name), somebody())
    own = standins[name].consent(await start(thief, name), somebody())
    assert refusal(await back(thief, swapped(own, code=value(stolen, "code")))) == "sign-in-failed"
    assert standins[name].refusals == ["invalid_verifier"]
    assert await nobody_came(house, thief, before)


async def test_a_verifier_that_does_not_fit_is_refused(house: Plane, browse: Browse, standins: Standins) -> None:
    browser = browse()
    address = standins["google"].consent(await start(browser, "google"), somebody())
    await tell(house.context, "update sign_ins set verifier = repeat('x', 64)")
    assert refusal(await back(browser, address)) == "sign-in-failed"
    assert standins["google"].refusals == ["invalid_verifier"]


async def test_an_attempt_ends_after_ten_minutes(house: Plane, browse: Browse, standins: Standins) -> None:
    browser = browse()
    address = standins["google"].consent(await start(browser, "google"), somebody())
    await tell(house.context, "update sign_ins set expires_at = now()")
    assert refusal(await back(browser, address)) == "sign-in-failed"


async def test_one_provider_cannot_answer_for_another(house: Plane, browse: Browse, standins: Standins) -> None:
    browser, before = browse(), await people(house)
    address = standins["google"].consent(await start(browser, "google"), somebody())
    address = swapped(address, iss=standins["discord"].url).replace("/auth/google/", "/auth/discord/")
    assert refusal(await back(browser, address)) == "sign-in-failed"
    assert await nobody_came(house, browser, before)
    assert standins["discord"].asked == []


@pytest.mark.parametrize("name", NAMES)
async def test_an_answer_in_the_name_of_another_issuer_is_refused(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    browser, before = browse(), await people(house)
    standins[name].lies["iss_parameter"] = "https://evil.example"
    assert refusal(await sign_in(browser, standins[name], name, somebody())) == "sign-in-failed"
    assert await nobody_came(house, browser, before)
    assert "token" not in standins[name].asked


FOREIGN_KEY = RSAKey.generate_key(2048, {"kid": "1"})
LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "client-2"},
    "another party besides": {"aud": [CLIENT_ID, "client-2"], "azp": "client-2"},
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "too old": {"exp": int(time.time()) - 600},
    "without an end": {"exp": None},
    "from the future": {"iat": int(time.time()) + 3_600, "nbf": int(time.time()) + 3_600},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is no word": {"sub": "a b"},
    "a subject that is too long": {"sub": "9" * 200},
    "not signed": {"alg": "none"},
    "signed by somebody else": {"key": FOREIGN_KEY},
    "signed with what everybody knows": {"alg": "HS256", "key": OctKey.import_key(CLIENT_SECRET)},
    "signed with a key that is not there": {"kid": "7"},
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
async def test_an_id_token_that_is_not_for_us_now_proves_nothing(
    house: Plane, browse: Browse, standins: Standins, lies: dict[str, Any]
) -> None:
    browser, before = browse(), await people(house)
    standins["google"].lies = lies
    assert refusal(await sign_in(browser, standins["google"], "google", somebody())) == "sign-in-failed"
    assert await nobody_came(house, browser, before)


async def test_a_key_that_is_new_is_fetched_and_then_remembered(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    google = standins["google"]
    await sign_in(browse(), google, "google", somebody())
    google.asked = []
    await sign_in(browse(), google, "google", somebody())
    assert google.asked == ["token"], "documents and keys are remembered"
    google.change_key()
    browser = browse()
    assert refusal(await sign_in(browser, google, "google", somebody())) == "sign-in-failed", "not again so soon"
    house.context.oauth.again_seconds = 0
    await sign_in(browser, google, "google", somebody())
    house.context.oauth.again_seconds = AGAIN_SECONDS
    assert (await browser.who())["signed_in"]
    assert google.asked == ["token", "token", "token", "keys"]


DISCORD_LIES: dict[str, dict[str, Any]] = {
    "no id": {"id": None},
    "an id that is no word": {"id": "1 2"},
    "an empty id": {"id": ""},
    "a number": {"id": 7},
}


@pytest.mark.parametrize("lies", DISCORD_LIES.values(), ids=DISCORD_LIES)
async def test_whoever_discord_does_not_name_is_nobody(
    house: Plane, browse: Browse, standins: Standins, lies: dict[str, Any]
) -> None:
    browser, before = browse(), await people(house)
    standins["discord"].lies = lies
    assert refusal(await sign_in(browser, standins["discord"], "discord", somebody())) == "sign-in-failed"
    assert await nobody_came(house, browser, before)


@pytest.mark.parametrize("name", NAMES)
async def test_a_redirect_address_that_is_not_registered_leads_nowhere(
    house: Plane, browse: Browse, standins: Standins, name: str
) -> None:
    address = await start(browse(), name)
    for tampered in ("https://evil.example/auth/callback", f"{house.url}/auth/{name}/callback/../../evil"):
        with pytest.raises(PermissionError):
            standins[name].consent(swapped(address, redirect_uri=tampered), somebody())
    assert len(standins[name].refusals) == 2


ELSEWHERE = [
    *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "evil", "", "/a b", "/\tb"),
    *("javascript:alert(1)", "/x\r\nSet-Cookie: a=b", "/ä", "/" + "x" * 500),
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_afterwards_a_browser_is_sent_to_pages_of_ours_only(browse: Browse, elsewhere: str) -> None:
    answered = await browse().get(f"/auth/google/start?{urlencode({'next': elsewhere})}")
    assert (answered.status, answered.code) == (422, "invalid")


async def test_an_unverified_address_of_somebody_here_opens_nothing_of_theirs(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    """Identity is issuer and subject: neither an e-mail address nor an id of another provider makes one somebody."""
    ada = somebody(email="ada@example.com", email_verified=True)
    hers, his = browse(), browse()
    await sign_in(hers, standins["google"], "google", ada)
    for person in (somebody(email="ada@example.com"), Person(subject=ada.subject, email="ada@example.com")):
        await sign_in(his, standins["discord"], "discord", person)
        assert (await his.who())["user"]["id"] != (await hers.who())["user"]["id"]
    again = browse()
    await sign_in(again, standins["google"], "google", somebody(email="ada@example.com", email_verified=True))
    assert (await again.who())["user"]["id"] != (await hers.who())["user"]["id"]


async def test_whoever_says_no_at_the_provider_is_sent_back_and_can_begin_anew(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    browser = browse()
    answered = await back(browser, standins["google"].refuse(await start(browser, "google", next="/create")))
    assert refusal(answered) == "sign-in-canceled"
    assert parse_qs(urlsplit(answered.headers["Location"]).query)["next"] == ["/create"]
    answered = await back(browser, standins["google"].refuse(await start(browser, "google"), "server_error"))
    assert refusal(answered) == "sign-in-failed"
    await sign_in(browser, standins["google"], "google", somebody())
    assert (await browser.who())["signed_in"]


@pytest.mark.parametrize(("status", "code"), [(503, "unavailable"), (429, "unavailable"), (302, "sign-in-failed")])
async def test_a_provider_that_is_ill_is_told_from_one_that_refuses(
    house: Plane, browse: Browse, standins: Standins, status: int, code: str
) -> None:
    browser = browse()
    standins["discord"].status = status
    assert refusal(await sign_in(browser, standins["discord"], "discord", somebody())) == code


async def test_a_discovery_document_of_another_issuer_is_not_followed(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    house.context.oauth.remember_seconds = 0
    standins["google"].lies["discovery"] = {"issuer": "https://evil.example"}
    answered = await browse().get("/auth/google/start")
    assert refusal(answered) == "sign-in-failed"
    standins["google"].lies = {}
    assert (await browse().get("/auth/google/start")).headers["Location"].startswith(standins["google"].url)
    house.context.oauth.remember_seconds = REMEMBER_SECONDS


async def test_suspended_and_deleted_people_are_not_let_in(house: Plane, browse: Browse, standins: Standins) -> None:
    person, browser = somebody(), browse()
    await sign_in(browser, standins["google"], "google", person)
    user_id = UUID((await browser.who())["user"]["id"])
    await suspension.suspend(house.context.database, user_id, audit.OPERATOR, "spam")
    again = browse()
    assert refusal(await sign_in(again, standins["google"], "google", person)) == "account-suspended"
    assert not (await again.who())["signed_in"]
    await tell(house.context, "update users set status = 'deleted' where status = 'suspended'")
    assert refusal(await sign_in(again, standins["google"], "google", person)) == "account-suspended"


async def test_only_so_many_sign_ins_are_begun_from_one_address(house: Plane, browse: Browse) -> None:
    browser = browse()
    most, _ = codes.LIMITS["sign_in"]
    begun = [await browser.get("/auth/discord/start") for _ in range(most + 1)]
    assert [refusal(one) for one in begun[most:]] == ["too-many-tries"]
    assert all(one.headers["Location"].startswith("http") for one in begun[:most])
