"""Every command on Telegram is answered in the person's language; menus, questions, codes and bills."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from frontends.bots.dialogue.commands import COMMANDS
from frontends.bots.language.catalogue import say
from frontends.standins.telegram import Declined
from frontends.standins.telegram.people import Person
from tests.fixtures import skins
from tests.fixtures.people import count, violations
from tests.fixtures.skins import HOUSE, ORDER
from tests.fixtures.telegram_bots import Stage, beginning

ANSWERS = skins.ANSWERS | {"buy": ("", "buy.choose", {})}


async def test_every_command_is_answered_in_the_language_of_who_asks(stage: Stage) -> None:
    assert {known.name for known in COMMANDS if known.listed} == set(ANSWERS)
    async with stage.program():
        for language in ("en", "ru"):
            for number, (name, (text, key, slots)) in enumerate(ANSWERS.items()):
                person = stage.telegram.person(100 + number + 100 * (language == "ru"), "Ann", language)
                said = await person.says(f"/{name} {text}".strip(), to=stage.account)
                shown = await person.sees(beginning(key, language, **slots))
                assert shown.reply_to == said.id
                ticking = [run.time for run in shown.runs if run.format == "r"]
                assert bool(ticking) == (name in ("balance", "link")), "when a code ends is told by the person's client"


async def test_menus_and_what_a_bot_is_are_registered_in_every_language_once(stage: Stage) -> None:
    stage.hire("film_bot", "video")
    async with stage.program() as program:
        for bot in program.bots.values():
            await bot.publish(HOUSE)
        calls = len(stage.telegram.calls)
        await program.bot.publish(HOUSE)
        assert not [name for _, name in stage.telegram.calls[calls:] if name.startswith("bots.Set")], (
            "it was so already"
        )
    for language in ("en", "de", "es", "ru", "zh"):
        listed = {command.name: command.description for command in stage.account.menu(language)}
        assert listed["generate"] == say("command.generate", language)
        assert "admin" not in listed
        code = "" if language == "en" else language
        assert stage.account.info["about", code] == say("about.image", language, name=HOUSE.name)
        assert stage.accounts["film_bot"].info["description", code] == say("profile.video", language, name=HOUSE.name)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_was_left_out_is_asked_for_and_answered_by_a_reply(stage: Stage, language: str) -> None:
    ann = stage.telegram.person(42, "Ann", language)
    async with stage.program():
        await ann.says("/generate", to=stage.account)
        question = await ann.sees(lambda message: message.asks)
        assert say("field.image_title", language) in question.text
        await ann.answers(question, ORDER)
        await ann.sees(beginning("order.taken", language, cost=1))


async def test_language_and_settings_are_chosen_by_buttons(stage: Stage) -> None:
    ann = stage.telegram.person(42, "Ann", "en")
    async with stage.program():
        await ann.says("/language", to=stage.account)
        page = await ann.sees(beginning("language.choose", "en"))
        await ann.presses(page.button("Deutsch"))
        await stage.until(lambda: "Deutsch" in page.text or any("Deutsch" in m.text for m in ann.messages()))
        await ann.says("/settings", to=stage.account)
        page = await ann.sees(beginning("settings.title", "de"))
        answer = await ann.presses(page.button(say("button.count", "de", number=2)))
        assert answer.text == say("toast.chosen", "de")
        await stage.until(lambda: page.edits)


async def test_a_link_leads_into_the_chat_with_what_it_is_about(stage: Stage) -> None:
    ann = stage.telegram.person(42, "Ann", "es")
    async with stage.program():
        await ann.starts(stage.account, "link_K7QM-2XWD")
        asked = await ann.sees(beginning("link.confirm", "es"))
        await ann.presses(asked.button(say("button.link_now", "es")))
        await ann.sees(lambda message: message.id > asked.id)
        await ann.starts(stage.account, "history")
        await ann.sees(beginning("history.none", "es"))


async def test_tokens_are_bought_for_stars_once_and_go_back(stage: Stage, owner_url: str) -> None:
    ann, ada = stage.telegram.person(42, "Ann", "de"), stage.telegram.person(43, "Ada", "en")
    async with stage.program() as program:
        code = await stage.plane.call("POST", "/api/v1/user/link-code", stage.plane.admin_key)
        await ada.says(f"/link {code.json['code']}", to=stage.account)
        await ann.says("/buy", to=stage.account)
        offer = await ann.sees(beginning("buy.choose", "de"))
        assert not [button for row in offer.buttons for button in row if button.url], "no other checkout in Telegram"
        await ann.presses(offer.button("150 ⭐"))
        bill = await ann.sees(lambda message: message.invoice)
        assert bill.invoice is not None
        assert (bill.invoice.currency, bill.invoice.amount) == ("XTR", 150)
        charge = await ann.pays(bill)
        await ann.sees(beginning("buy.credited", "de", count=500))
        bill.invoice = type(bill.invoice)("500", "500", "XTR", 1, bill.invoice.payload)  # a price that does not hold
        with pytest.raises(Declined, match="Preis"):
            await ann.pays(bill)
        await ada.sees("Linked")
        await ada.says(f"/admin refund {charge} asked for", to=stage.account)
        await ada.sees("150 Stars go back")
        assert stage.account.charges[charge].refunded
        await program.settled()
        await program.bot.give_back("42", charge)  # once more, after a crash: it is left alone
    assert count(owner_url, "select count(*) from payments") == 1
    assert violations(owner_url) == []


WAYS: list[tuple[str, str, dict[str, Any], str, dict[str, Any]]] = [
    ("start", "help", {}, "page.help_image", {"name": HOUSE.name}),
    ("start", "link", {}, "link.code", {}),
    ("balance", "buy", {}, "buy.choose", {}),
    ("balance", "plan", {}, "plan.yours", {"plan": "free"}),
    ("plan", "balance", {}, "balance.available", {"count": 25}),
    ("link", "enter_code", {}, "field.code_title", {}),
    ("settings", "language", {}, "language.choose", {}),
    ("settings", "recipe_off", {}, "settings.recipe_off", {}),
    ("language", "tongue", {"name": "Español"}, "language.done", {"language": "Español"}),
    (f"generate {ORDER}", "cancel", {}, "ended.canceled", {}),
    ("generate", "", {}, "field.image_title", {}),
]
"""What is typed, the button that is pressed then, and what is seen of it."""


async def test_every_button_of_a_page_leads_where_it_says(stage: Stage) -> None:
    async with stage.program():
        people = itertools.count(100)
        await asyncio.gather(
            *(
                goes(stage, stage.telegram.person(next(people), "Ann", lang), *way)
                for way in WAYS
                for lang in ("de", "zh")
            )
        )
        ann = stage.telegram.person(42, "Ann", "ru")
        for number in range(2):
            await ann.says(f"{number}, {ORDER}", to=stage.account)
            await ann.sees(f"“{number}, a lighthouse")
        await ann.says("/status", to=stage.account)
        page = await ann.sees(lambda message: len(message.buttons) >= 1 and "2. " in message.text)
        await ann.presses(page.button(say("button.cancel_one", "ru", number=1)))
        await ann.sees(beginning("ended.canceled", "ru"))


async def goes(stage: Stage, person: Person, typed: str, button: str, label: dict[str, Any], *seen: Any) -> None:
    """One way through a page, by somebody of their own."""
    key, slots = seen
    language = "es" if button == "tongue" else person.language
    await person.says(f"/{typed}", to=stage.account)
    page = await person.sees(lambda message: message.buttons or not button, within=10)
    if button:
        await person.presses(page.button(say(f"button.{button}", person.language, **label)), within=10)
    await person.sees(beginning(key, language, **slots), within=10)
