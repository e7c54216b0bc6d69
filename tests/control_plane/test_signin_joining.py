"""Adding an identity to the account that is signed in, and who may come at all, by stand-ins of providers over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from control_plane import audit
from control_plane.conduct import suspension
from control_plane.context import Context
from control_plane.people import sessions, users
from tests.fixtures.api import API, Plane
from tests.fixtures.browsers import Browser
from tests.fixtures.providers import (
    Standins,
    back,
    people,
    providing,
    refusal,
    sign_in,
    somebody,
    start,
)
from tests.fixtures.worker import running
from tests.standins.provider import CLIENT_ID, CLIENT_SECRET

Browse = Callable[..., Browser]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("honest")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house_context(
    house_url: str, standins: Standins, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Context]:
    async with providing(house_url, tmp_path_factory.mktemp("data"), standins) as context:
        yield context


async def test_whoever_is_signed_in_adds_an_identity_that_is_nobodys(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    browser, google, discord = browse(), somebody(), somebody()
    await sign_in(browser, standins["google"], "google", google)
    before, secret = await browser.who(), browser.jar["tessera"]
    await sign_in(browser, standins["discord"], "discord", discord, link="true", next="/account")
    after = await browser.who()
    assert after["user"]["id"] == before["user"]["id"]
    assert browser.jar["tessera"] != secret, "who may do more has a new cookie"
    assert len((await browser.get(f"{API}/user/me")).json["identities"]) == 2
    await sign_in(browser, standins["discord"], "discord", discord, link="true")  # it is theirs already
    other = browse()
    await sign_in(other, standins["discord"], "discord", discord)
    assert (await other.who())["user"]["id"] == before["user"]["id"]


async def test_adding_the_identity_of_another_account_makes_the_two_one(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    one, two, google, discord = browse(), browse(), somebody(), somebody()
    await sign_in(one, standins["google"], "google", google)
    await sign_in(two, standins["discord"], "discord", discord)
    older, younger = (await one.who())["user"]["id"], (await two.who())["user"]["id"]
    await sign_in(two, standins["google"], "google", google, link="true")
    assert (await two.who())["user"]["id"] == older != younger
    assert (await one.who())["user"]["id"] == older
    assert len((await two.get(f"{API}/user/me")).json["identities"]) == 2
    assert len((await two.get(f"{API}/sessions")).json["data"]) == 2


async def test_without_being_asked_for_no_identity_is_added(house: Plane, browse: Browse, standins: Standins) -> None:
    """Somebody else at the same computer signs in, and gets an account of their own."""
    browser = browse()
    await sign_in(browser, standins["google"], "google", somebody())
    ada = (await browser.who())["user"]["id"]
    await sign_in(browser, standins["discord"], "discord", somebody())
    assert (await browser.who())["user"]["id"] != ada
    assert refusal(await browse().get("/auth/google/start?link=true")) == "sign-in-failed"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_no_foreign_page_has_an_identity_added(
    house: Plane, browse: Browse, standins: Standins, site: str
) -> None:
    browser = browse()
    await sign_in(browser, standins["google"], "google", somebody())
    refused = await browser.get("/auth/discord/start?link=true", **{"Sec-Fetch-Site": site})
    assert (refused.status, refused.code) == (403, "forbidden")
    followed = await browser.get("/auth/discord/start", **{"Sec-Fetch-Site": site})
    assert followed.status == 303, "signing in may begin anywhere"


async def test_an_identity_is_added_only_while_the_same_person_is_signed_in(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    browser, before = browse(), 0
    await sign_in(browser, standins["google"], "google", somebody())
    address = standins["discord"].consent(await start(browser, "discord", link="true"), somebody())
    await sign_in(browser, standins["google"], "google", somebody())
    before = await people(house)
    assert refusal(await back(browser, address)) == "sign-in-failed"
    assert await people(house) == before
    assert len((await browser.get(f"{API}/user/me")).json["identities"]) == 1


async def test_a_suspended_persons_identity_is_added_to_nobody(
    house: Plane, browse: Browse, standins: Standins
) -> None:
    spammer, browser, discord = browse(), browse(), somebody()
    await sign_in(spammer, standins["discord"], "discord", discord)
    user_id = UUID((await spammer.who())["user"]["id"])
    await suspension.suspend(house.context.database, user_id, audit.OPERATOR, "spam")
    await sign_in(browser, standins["google"], "google", somebody())
    assert refusal(await sign_in(browser, standins["discord"], "discord", discord, link="true")) == "account-suspended"
    assert len((await browser.get(f"{API}/user/me")).json["identities"]) == 1


# ------------------------------------------------------------------------------------------ who may come


@pytest.mark.parametrize(("signup", "code"), [("closed", "signup-closed"), ("invite", "invite-needed")])
async def test_nobody_new_comes_where_nobody_is_to(
    house: Plane,
    browse: Browse,
    standins: Standins,
    house_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    signup: str,
    code: str,
) -> None:
    settings = {"discord_client_id": CLIENT_ID, "discord_client_secret": CLIENT_SECRET, "signup": signup}
    folder = tmp_path_factory.mktemp("closed")
    async with running(house_url, folder, discord_url=standins["discord"].url, **settings) as context:
        browser = browse(origin=context.settings.base_url)
        browser.url = context.settings.base_url
        standins["discord"].redirect_uris.add(f"{browser.url}/auth/discord/callback")
        assert refusal(await sign_in(browser, standins["discord"], "discord", somebody())) == code
        known = await users.create(context.database, f"known {uuid4().hex}")
        made = await sessions.make_link(context.database, known, audit.OPERATOR)
        assert (await browser.press(f"/auth/link/{made.token}")).status == 303
        assert (await browser.get("/auth/google/start")).status == 404
