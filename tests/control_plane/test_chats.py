"""Chats in which several people order: their own rules, a shared cap that counts each order once, and reports."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fixtures.api import API, Plane
from tests.fixtures.people import Person
from tests.fixtures.worker import Answered

CHAT = "/chats/telegram/-100"
ORDER = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


async def _rules(person: Person, **rules: object) -> None:
    assert (await person.call("PUT", CHAT, rules)).status == 200


async def _admit(person: Person, key: str = "k1", **fields: object) -> Answered:
    order = {name: fields.pop(name) for name in ("prompt", "adult") if name in fields}
    return await person.call("POST", f"{CHAT}/orders", {"order": ORDER | order, "key": key, **fields})


async def _refusal(person: Person, key: str = "k1", **fields: object) -> str | None:
    answered = await _admit(person, key, **fields)
    assert answered.status == 200, answered.body
    refusal: dict[str, Any] | None = answered.json["refusal"]
    return None if refusal is None else str(refusal["code"])


async def test_without_rules_everybody_may_order_what_is_safe(ada: Person, lovelace: Person) -> None:
    view = (await ada.call("GET", CHAT)).json
    assert view["ordered_today"] == 0
    assert await _refusal(lovelace) is None
    assert await _refusal(lovelace, prompt="a nude", adult_allowed=True) == "chat-forbids"
    await _rules(ada, safe_only=False)
    assert await _refusal(lovelace, prompt="a nude") == "chat-forbids"
    allowed = (await _admit(lovelace, prompt="a nude", adult_allowed=True)).json
    assert (allowed["refusal"], allowed["adult"]) == (None, True)
    assert await _refusal(lovelace, adult=True) == "chat-forbids", "what it starts from is, whatever its words say"
    assert (await _admit(lovelace, adult=True, adult_allowed=True)).json["adult"]


async def test_an_order_from_anywhere_says_whether_it_is_adult_content(ada: Person, lovelace: Person) -> None:
    """As from the website, which asks no chat."""
    for prompt, adult in (("a nude", True), ("a lighthouse", False)):
        placed = await lovelace.call("POST", "/jobs", {"prompt": prompt})
        assert placed.status == 201, placed.body
        assert placed.json["adult"] is adult
        looked = await lovelace.call("GET", f"/jobs/{placed.json['id']}")
        assert looked.json["adult"] is adult
    placed = await ada.call("POST", "/jobs/batch", {"jobs": [{"prompt": "a lighthouse"}, {"prompt": "a nude"}]})
    assert placed.status == 201, placed.body
    assert [job["adult"] for job in placed.json["jobs"]] == [False, True]


async def test_who_may_order_and_with_which_models_is_for_the_chat_to_say(ada: Person, lovelace: Person) -> None:
    await _rules(ada, who="admins")
    assert await _refusal(lovelace) == "chat-forbids"
    assert await _refusal(lovelace, is_admin=True) is None
    await _rules(ada, models=["other"])
    assert await _refusal(lovelace) == "chat-forbids"
    await _rules(ada, models=["testcard"])
    assert await _refusal(lovelace) is None


async def test_a_shared_cap_is_never_exceeded_and_counts_each_order_once(ada: Person, lovelace: Person) -> None:
    cost = (await _admit(ada, "probe")).json["cost"]
    await _rules(ada, daily_cap=3 * cost)
    keys = [f"k{n}" for n in range(6)]
    asked = await asyncio.gather(*(_refusal((ada, lovelace)[n % 2], key) for n, key in enumerate(keys)))
    assert asked.count(None) == 3
    taken = [key for key, refusal in zip(keys, asked, strict=True) if refusal is None]
    assert await _refusal(ada, taken[0]) is None
    assert (await ada.call("GET", CHAT)).json["ordered_today"] == 3 * cost
    assert (await ada.call("DELETE", f"{CHAT}/orders?key={taken[0]}")).status == 204
    assert await _refusal(ada, "another") is None
    assert await _refusal(ada, "one-too-many") == "chat-forbids"


async def test_a_chat_is_spoken_of_by_the_services_of_its_provider_only(control_plane: Plane, ada: Person) -> None:
    discord = Person(control_plane, await control_plane.service_key("discord"), "discord:5")
    key = await control_plane.user_key()
    body = {"order": ORDER, "key": "k"}
    tried: list[tuple[str, str, object]] = [
        ("GET", CHAT, None),
        ("PUT", CHAT, {}),
        ("POST", f"{CHAT}/orders", body),
        ("DELETE", f"{CHAT}/orders?key=k", None),
    ]
    for method, path, sent in tried:
        assert (await discord.call(method, path, sent)).code == "forbidden"
        assert (await control_plane.call(method, API + path, key, sent)).code == "forbidden"
    assert (await ada.call("GET", CHAT)).status == 200


async def test_what_a_bot_has_shown_can_be_reported_by_whom_it_was_shown_to(
    control_plane: Plane, ada: Person, lovelace: Person
) -> None:
    job = (await ada.order()).json
    report = {"job_id": job["id"], "category": "other"}
    assert (await lovelace.call("POST", "/reports", report)).status == 201
    stranger = await control_plane.user_key()
    assert (await control_plane.call("POST", f"{API}/reports", stranger, report)).status == 404
    foreign = {"job_id": str(await control_plane.service.order()), "category": "other"}
    assert (await lovelace.call("POST", "/reports", foreign)).status == 404
