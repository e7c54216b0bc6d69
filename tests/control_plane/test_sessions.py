"""People in browsers: how a session begins, what it may do, whom it refuses, and every way in which it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import pytest

from control_plane import audit
from control_plane.conduct import suspension
from control_plane.people import codes, credentials, linking, sessions, users
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.browsers import Browser, tell
from tests.fixtures.worker import running

Browse = Callable[..., Browser]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


async def someone(plane: Plane, name: str = "ada") -> UUID:
    """A new user of a new name that begins so."""
    return await users.create(plane.context.database, f"{name} {uuid4().hex}")


async def link_of(plane: Plane, user_id: UUID) -> str:
    made = await sessions.make_link(plane.context.database, user_id, audit.OPERATOR)
    return f"/auth/link/{made.token}"


async def signed_in(plane: Plane, browser: Browser, user_id: UUID) -> Browser:
    answered = await browser.press(await link_of(plane, user_id))
    assert (answered.status, answered.headers["Location"]) == (303, "/"), answered.body
    return browser


# ------------------------------------------------------------------------------------------ coming in


async def test_a_link_signs_in_once_by_its_button_and_looking_at_it_uses_nothing_up(
    house: Plane, browse: Browse
) -> None:
    ada = await someone(house, "ada <script>")
    link = await link_of(house, ada)
    for _ in range(3):  # previews of chats, scanners of mail
        seen = await browse().get(link)
        assert seen.status == 200
        assert b"Sign in as ada &lt;script&gt; " in seen.body
        assert "Set-Cookie" not in seen.headers
        assert "form-action 'self'" in seen.headers["Content-Security-Policy"]
        assert seen.headers["Cache-Control"] == "no-store"
    browser = browse()
    assert (await browser.press(link)).status == 303
    who = await browser.who()
    assert (who["signed_in"], who["user"]["id"], who["is_operator"]) == (True, str(ada), False)
    again = browse()
    assert [(await again.press(link)).status, (await again.get(link)).status, again.jar] == [410, 410, {}]
    assert not (await again.who())["signed_in"]


async def test_a_newer_link_ends_the_one_before_and_each_ends_by_itself(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    first, second = await link_of(house, ada), await link_of(house, ada)
    assert (await browse().press(first)).status == 410
    await tell(house.context, "update login_links set expires_at = now()")
    assert (await browse().press(second)).status == 410


async def test_nobody_suspended_or_unknown_gets_a_link_or_comes_in_by_one(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    link = await link_of(house, ada)
    await suspension.suspend(house.context.database, ada, audit.OPERATOR, "spam")
    refused = await browse().press(link)
    assert (refused.status, refused.code) == (403, "account-suspended")
    with pytest.raises(Exception, match="suspended"):
        await link_of(house, ada)
    with pytest.raises(Exception, match="no such user"):
        await link_of(house, uuid4())


async def test_the_code_of_a_bot_signs_its_person_in_once(house: Plane, browse: Browse) -> None:
    bot = await house.service_key("telegram")
    named = {"Tessera-On-Behalf-Of": "telegram:1"}
    code = (await house.call("POST", f"{API}/user/link-code", bot, headers=named)).json["code"]
    browser = browse()
    assert (await browser.api("POST", "/auth/code", {"code": code.lower().replace("-", " ")})).status == 204
    assert (await browser.who())["user"]["name"] == "telegram:1"
    again = await browse().api("POST", "/auth/code", {"code": code})
    assert (again.status, again.json["errors"][0]["code"]) == (422, "no_such_code")


async def test_codes_are_not_guessed_for_long(house: Plane, browse: Browse) -> None:
    browser = browse()
    most, _ = codes.LIMITS["login_code"]
    tried = [(await browser.api("POST", "/auth/code", {"code": "0000-0000"})).status for _ in range(most + 1)]
    assert tried == [422] * most + [429]


async def test_signing_in_again_begins_a_new_session_and_ends_the_one_before(house: Plane, browse: Browse) -> None:
    ada, bob = await someone(house), await someone(house, "bob")
    browser, thief = browse(), browse()
    await signed_in(house, browser, ada)
    thief.jar = dict(browser.jar)
    assert (await thief.who())["signed_in"]
    await signed_in(house, browser, bob)
    assert (await browser.who())["user"]["id"] == str(bob)
    assert thief.jar != browser.jar
    assert not (await thief.who())["signed_in"]
    assert thief.jar == {}, "what opens nothing is taken away"


# ------------------------------------------------------------------------------------------ what it may do


async def test_a_session_acts_for_its_person_on_everything_that_a_key_of_theirs_could(
    house: Plane, browse: Browse
) -> None:
    browser = await signed_in(house, browse(), ada := await someone(house))
    ordered = await browser.api("POST", f"{API}/jobs", SMALL)
    assert ordered.status == 201, ordered.body
    mine = await browser.get(f"{API}/jobs")
    assert [job["id"] for job in mine.json["data"]] == [ordered.json["id"]]
    made = await browser.api("POST", f"{API}/api-keys", {"name": "shop"})
    assert made.json["expires_at"] is None, "a key outlives the session that made it"
    assert (await house.call("GET", f"{API}/user/me", made.json["key"])).json["id"] == str(ada)
    assert (await browser.get(f"{API}/admin/status")).code == "forbidden"
    assert (await browser.api("GET", f"{API}/user/me", **{"Tessera-On-Behalf-Of": "telegram:1"})).status == 403
    other = await browser.get(f"{API}/jobs/{await house.service.order()}")
    assert other.status == 404


async def test_an_operators_session_does_what_an_operator_may_until_their_key_ends(
    house: Plane, browse: Browse
) -> None:
    browser = await signed_in(house, browse(), house.admin_id)
    assert (await browser.who())["is_operator"]
    assert (await browser.get(f"{API}/admin/status")).status == 200
    someone_id = await someone(house)
    suspended = await browser.api("POST", f"{API}/admin/users/{someone_id}/suspend", {"reason": "spam"})
    assert suspended.status < 300, suspended.body
    await credentials.revoke_key(house.context.database, house.admin_key.split("_")[1])
    house.context.credentials.forget_user(house.admin_id)
    assert (await browser.get(f"{API}/admin/status")).status == 403
    assert (await browser.who())["signed_in"]


async def test_a_cookie_is_no_key_and_a_key_no_cookie(house: Plane, browse: Browse) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    secret = browser.jar["tessera"]
    assert (await browser.get(f"{API}/user/me")).status == 200
    assert (await house.call("GET", f"{API}/user/me", secret)).status == 401
    key = await house.key_of(await someone(house, "bob"), ["read"])
    assert (await house.call("GET", f"{API}/user/me", key)).status == 200
    browser.jar["tessera"] = key
    assert (await browser.get(f"{API}/user/me")).status == 401
    browser.jar["tessera"] = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    assert (await browser.get(f"{API}/user/me")).status == 401


async def test_a_key_goes_before_a_cookie(house: Plane, browse: Browse) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    key = await house.key_of(await someone(house, "bob"), ["read"])
    shown = await browser.get(f"{API}/user/me", Authorization=f"Bearer {key}")
    assert not shown.json["name"].startswith("ada")
    assert (await browser.get(f"{API}/user/me", Authorization="Bearer nonsense")).status == 401


# ------------------------------------------------------------------------------------------ foreign pages

FOREIGN: dict[str, dict[str, str]] = {
    "a form of another site": {"Origin": "https://evil.example"},
    "a sibling of our site": {"Sec-Fetch-Site": "same-site"},
    "a sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a page without an origin": {"Origin": "null", "Sec-Fetch-Site": ""},
    "nobody says from where": {"Origin": "", "Sec-Fetch-Site": ""},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "our name by another scheme": {"Origin": "https://127.0.0.1"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_no_foreign_page_acts_by_a_cookie(house: Plane, browse: Browse, headers: dict[str, str]) -> None:
    browser = await signed_in(house, browse(), ada := await someone(house))
    for method, path, body in (
        ("POST", f"{API}/jobs", SMALL),
        ("DELETE", f"{API}/sessions", None),
        ("POST", "/auth/signout", None),
        ("POST", "/auth/code", {"code": "0000-0000"}),
    ):
        refused = await browser.api(method, path, body, **headers)
        assert (refused.status, refused.code) == (403, "forbidden"), (method, path)
    link = await link_of(house, ada)
    assert (await browse().press(link, **headers)).status == 403
    assert (await browser.who())["signed_in"]
    assert (await browser.get(f"{API}/jobs")).json["data"] == []


async def test_what_changes_something_needs_the_header_that_a_form_cannot_send(house: Plane, browse: Browse) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    for path in (f"{API}/jobs", "/auth/signout"):
        assert (await browser.press(path)).status == 403
    bare = {"Origin": browser.origin, "Content-Type": "application/json"}
    refused = await browser.request("POST", f"{API}/jobs", headers=bare, data=b'{"prompt": "x"}')
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "Tessera-CSRF" in refused.json["detail"]
    hidden = await browser.api("POST", f"{API}/jobs", SMALL, Origin="null")
    assert hidden.status == 201, "a page of ours that gives no referrer is told by the browser itself"


# ------------------------------------------------------------------------------------------ where cookies are used


async def test_over_http_the_cookie_is_plain_and_kept_from_scripts_and_foreign_sites(
    house: Plane, browse: Browse
) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    assert set(browser.jar) == {"tessera"}
    given = browser.attributes["tessera"]
    assert {**given, "max-age": int(given["max-age"])} == {
        "path": "/",
        "httponly": True,
        "samesite": "Lax",
        "max-age": int(sessions.SESSION_SECONDS),
    }


async def test_over_https_the_cookie_is_bound_to_the_host_and_no_plain_one_counts(
    house_url: str, tmp_path: Path, browse: Browse
) -> None:
    async with running(house_url, tmp_path / "https", public_url="https://tessera.example") as context:
        url = f"http://127.0.0.1:{context.settings.port}"
        browser = browse(origin="https://tessera.example", Host="tessera.example")
        browser.url = url
        made = await sessions.make_link(context.database, await users.create(context.database, "eve"), audit.OPERATOR)
        assert (await browser.press(f"/auth/link/{made.token}")).status == 303
        assert set(browser.jar) == {"__Host-tessera"}
        assert browser.attributes["__Host-tessera"]["secure"] is True
        assert (await browser.who())["signed_in"]
        browser.jar = {"tessera": browser.jar["__Host-tessera"]}
        assert not (await browser.who())["signed_in"]
        assert (await browser.get(f"{API}/user/me")).status == 401


async def test_over_plain_http_from_elsewhere_there_are_no_cookies(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    inside = await signed_in(house, browse(), ada)
    outside = browse(origin="http://tessera.example", Host="tessera.example")
    outside.jar = dict(inside.jar)
    assert (await outside.get(f"{API}/user/me")).status == 403
    assert (await outside.press(await link_of(house, ada))).status == 403
    told = await outside.who()
    assert (told["signed_in"], told["providers"]) == (False, [])
    assert "TESSERA_PUBLIC_URL" in told["refusal"]


# ------------------------------------------------------------------------------------------ how it ends


async def test_two_browsers_are_listed_and_one_signs_the_other_out(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    one, two = browse(), browse(**{"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"})
    await signed_in(house, one, ada)
    await signed_in(house, two, ada)
    listed = (await one.get(f"{API}/sessions")).json["data"]
    assert {(entry["device"], entry["current"], entry["way"]) for entry in listed} == {
        ("Firefox on Linux", True, "link"),
        ("Safari on iPhone", False, "link"),
    }
    other = next(entry["id"] for entry in listed if not entry["current"])
    assert (await one.api("DELETE", f"{API}/sessions/{other}")).status == 204
    assert (await two.get(f"{API}/user/me")).status == 401
    assert (await one.get(f"{API}/user/me")).status == 200
    assert (await one.api("DELETE", f"{API}/sessions/{other}")).status == 404


async def test_nobody_ends_the_session_of_somebody_else(house: Plane, browse: Browse) -> None:
    ada = await signed_in(house, browse(), await someone(house))
    bob = await signed_in(house, browse(), await someone(house, "bob"))
    [hers] = (await ada.get(f"{API}/sessions")).json["data"]
    foreign = await bob.api("DELETE", f"{API}/sessions/{hers['id']}")
    missing = await bob.api("DELETE", f"{API}/sessions/{uuid4()}")
    assert (foreign.status, foreign.json["detail"]) == (404, missing.json["detail"])
    assert len((await bob.get(f"{API}/sessions")).json["data"]) == 1
    assert (await bob.api("DELETE", f"{API}/sessions")).status == 204
    assert (await ada.who())["signed_in"]


async def test_signing_out_ends_this_browser_and_everywhere_ends_all_but_keys(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    key = await house.key_of(ada, ["read"])
    one, two, three = [await signed_in(house, browse(), ada) for _ in range(3)]
    kept = dict(one.jar)
    assert (await one.api("POST", "/auth/signout")).status == 204
    assert one.jar == {}
    one.jar = kept
    assert (await one.get(f"{API}/user/me")).status == 401
    assert (await one.api("POST", "/auth/signout")).status == 204, "nothing is wrong when nobody is signed in"
    assert (await two.api("DELETE", f"{API}/sessions")).status == 204
    assert two.jar == {}
    assert (await three.get(f"{API}/user/me")).status == 401
    assert (await house.call("GET", f"{API}/user/me", key)).status == 200
    verbs = [entry.verb for entry in await audit.entries(house.context.database, limit=10)]
    assert {"sign_in", "sign_out", "sign_out_everywhere", "create"} <= set(verbs)


@pytest.mark.parametrize(
    "ended",
    [
        "update sessions set expires_at = now()",
        "update sessions set last_used_at = now() - interval '14 days'",
    ],
)
async def test_a_session_that_is_over_or_forgotten_opens_nothing(
    house: Plane, browse: Browse, ended: LiteralString
) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    assert (await browser.who())["expires_at"] is not None
    await tell(house.context, ended)
    house.context.credentials.forget_all()
    assert (await browser.get(f"{API}/user/me")).status == 401
    assert not (await browser.who())["signed_in"]


async def test_using_a_session_keeps_it_from_being_forgotten(house: Plane, browse: Browse) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    await house.context.credentials.write_uses()
    await tell(house.context, "update sessions set last_used_at = now() - interval '13 days'")
    await browser.who()
    await house.context.credentials.write_uses()
    found = await tell(house.context, "select id from sessions where last_used_at > now() - interval '1 minute'")
    assert found == [(UUID((await browser.who())["session_id"]),)]


async def test_one_person_has_only_so_many_sessions(house: Plane, browse: Browse) -> None:
    ada = await someone(house)
    first = await signed_in(house, browse(), ada)
    *_, last = [await signed_in(house, browse(), ada) for _ in range(sessions.SESSIONS_MAX)]
    house.context.credentials.forget_all()
    assert not (await first.who())["signed_in"]
    assert len((await last.get(f"{API}/sessions")).json["data"]) == sessions.SESSIONS_MAX


async def test_a_suspended_person_is_told_so_and_can_do_nothing_else(house: Plane, browse: Browse) -> None:
    browser = await signed_in(house, browse(), ada := await someone(house))
    await suspension.suspend(house.context.database, ada, audit.OPERATOR, "spam")
    house.context.credentials.forget_user(ada)
    assert (await browser.api("POST", f"{API}/jobs", SMALL)).code == "account-suspended"
    assert (await browser.get(f"{API}/jobs")).code == "account-suspended"
    assert (await browser.get(f"{API}/user/me")).json["status"] == "suspended"
    assert (await browser.who())["user"]["status"] == "suspended"


async def test_whoever_was_merged_stays_signed_in_as_whom_they_have_become(house: Plane, browse: Browse) -> None:
    older, younger = await someone(house), await someone(house, "bob")
    browser = await signed_in(house, browse(), younger)
    await linking.merge(house.context.database, older, younger)
    house.context.credentials.forget_user(younger)
    assert (await browser.get(f"{API}/user/me")).json["id"] == str(older)
    assert len((await browser.get(f"{API}/sessions")).json["data"]) == 1
    assert (await browser.api("DELETE", f"{API}/sessions")).status == 204
    assert not (await browser.who())["signed_in"]


async def test_another_process_forgets_a_session_when_it_hears_of_its_end(
    house: Plane, browse: Browse, house_url: str, tmp_path: Path
) -> None:
    browser = await signed_in(house, browse(), await someone(house))
    async with running(house_url, tmp_path / "other") as other:
        elsewhere = browse()
        elsewhere.url, elsewhere.jar = other.settings.base_url, dict(browser.jar)
        assert (await elsewhere.get(f"{API}/user/me")).status == 200
        assert (await browser.api("DELETE", f"{API}/sessions")).status == 204
        await eventually(lambda: elsewhere.get(f"{API}/user/me"), lambda answered: answered.status == 401)
