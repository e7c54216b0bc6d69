"""Somebody new where it takes an invite: proved once, known in that browser alone, and let in by a right code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from control_plane.context import Context
from control_plane.people import codes, invites
from tests.fixtures.api import API, Plane
from tests.fixtures.browsers import Browser, tell
from tests.fixtures.providers import Standins, people, providing, refusal, sign_in, somebody
from tests.fixtures.worker import Answered
from tests.standins.provider import Person

Browse = Callable[..., Browser]
WRONG = "0000-0000-0000-0000"
COOKIE = "tessera-newcomer"

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("honest")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house_context(
    house_url: str, standins: Standins, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Context]:
    async with providing(house_url, tmp_path_factory.mktemp("data"), standins, signup="invite") as context:
        yield context


async def proved(browser: Browser, standins: Standins, person: Person | None = None, **query: str) -> Answered:
    """A browser in which somebody new has just shown who they are."""
    answered = await sign_in(browser, standins["google"], "google", person or somebody(), **query)
    assert refusal(answered) == "invite-needed"
    return answered


async def enters(browser: Browser, code: str) -> Answered:
    return await browser.api("POST", "/auth/invite", {"code": code})


async def test_who_has_shown_who_they_are_comes_in_by_an_invite(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    browser, person, before = browse(), somebody(), await people(house)
    answered = await proved(browser, standins, person, next="/history")
    assert "next=%2Fhistory" in answered.headers["Location"]
    given = {"path": "/", "max-age": "600", "httponly": True, "samesite": "Lax"}
    assert browser.attributes[COOKIE] == given
    assert (await browser.who())["newcomer"] == "google"
    assert await people(house) == before
    wrong = await enters(browser, WRONG)
    assert (wrong.status, wrong.code) == (422, "invalid")
    assert not (await browser.who())["signed_in"]
    made = await invites.create(house.context.database, plan="starter", tokens=7)
    entered = await enters(browser, f" {made.code.lower().replace('-', ' ')}")
    assert (entered.status, entered.json) == (200, {"next": "/history"})
    assert COOKIE not in browser.jar
    who = await browser.who()
    assert (who["signed_in"], who["newcomer"], who["user"]["plan"]) == (True, None, "starter")
    me = (await browser.get(f"{API}/user/me")).json
    assert me["identities"] == [{"provider": "google", "subject": person.subject}]
    assert me["tokens"]["purchased"] == 7
    again = browse()
    await sign_in(again, standins["google"], "google", person)
    assert (await again.who())["user"]["id"] == who["user"]["id"], "an invite is for newcomers only"
    assert await tell(house.context, "select 1 from newcomers") == []


async def test_a_proof_is_worth_nothing_in_another_browser_and_nothing_after_ten_minutes(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    made = await invites.create(house.context.database, uses=5)
    browser, other, before = browse(), browse(), await people(house)
    await proved(browser, standins)
    nobody = await enters(other, made.code)
    assert (nobody.status, nobody.code) == (403, "sign-in-failed")
    other.jar["tessera-newcomer"] = browser.jar["tessera-browser"]
    assert (await enters(other, made.code)).code == "sign-in-failed"
    await tell(house.context, "update newcomers set expires_at = now()")
    assert (await browser.who())["newcomer"] is None
    assert (await enters(browser, made.code)).code == "sign-in-failed"
    assert await people(house) == before
    assert await tell(house.context, "select used from invites where uses = 5") == [(0,)]


async def test_wrong_codes_are_counted_by_person_however_often_they_sign_in(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    person, browser = somebody(), browse()
    tries = codes.LIMITS["invite"][0]
    for n in range(tries):
        if n % 4 == 0:
            browser = browse()
            await proved(browser, standins, person)
        assert (await enters(browser, WRONG)).status == 422
    made = await invites.create(house.context.database)
    refused = await enters(browser, made.code)
    assert (refused.status, refused.code) == (429, "too-many-tries")
    assert int(refused.headers["Retry-After"]) > 0


async def test_no_foreign_page_enters_a_code(house: Plane, browse: Browse, standins: Standins) -> None:
    browser = browse()
    await proved(browser, standins)
    made = await invites.create(house.context.database)
    for foreign in ({"Origin": "https://evil.example"}, {"Tessera-CSRF": ""}, {"Sec-Fetch-Site": "cross-site"}):
        answered = await browser.api("POST", "/auth/invite", {"code": made.code}, **foreign)
        assert (answered.status, answered.code) == (403, "forbidden"), foreign
    assert not (await browser.who())["signed_in"]


async def test_a_spent_invite_lets_nobody_in(house: Plane, browse: Browse, standins: Standins) -> None:
    made = await invites.create(house.context.database)
    first, second = browse(), browse()
    await proved(first, standins)
    await proved(second, standins)
    assert (await enters(first, made.code)).status == 200
    before = await people(house)
    assert (await enters(second, made.code)).status == 422
    assert await people(house) == before
    assert (await second.who())["newcomer"] == "google", "another code may follow"
