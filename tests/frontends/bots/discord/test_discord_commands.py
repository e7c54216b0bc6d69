"""Every command on Discord answers in the person's language, to the right eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from frontends.bots.dialogue.commands import COMMANDS
from frontends.bots.dialogue.rendering import sentence
from frontends.bots.dialogue.screen import Said
from frontends.bots.language.catalogue import say
from frontends.bots.limits import DISCORD
from tests.fixtures import skins
from tests.fixtures.api import Plane
from tests.fixtures.chatroom import at_work
from tests.fixtures.discord_bots import Stage, beginning, no_orders
from tests.fixtures.skins import HOUSE, ORDER

ANSWERS = skins.ANSWERS | {"buy": ("", "buy.there", {})}


async def test_every_command_is_answered_in_the_language_of_who_asks(stage: Stage) -> None:
    assert {known.name for known in COMMANDS if known.listed} == set(ANSWERS)
    async with stage.program():
        await asyncio.gather(
            *(_asks_everything(stage, number, language) for number, language in ((1, "en"), (2, "ru")))
        )
    assert stage.discord.unanswered == []


async def _asks_everything(stage: Stage, number: int, language: str) -> None:
    for place, (name, (text, key, slots)) in enumerate(ANSWERS.items()):
        person = stage.discord.person(100 * number + place, "Ann", language)
        await person.says(f"/{name} {text}".strip(), to=stage.account)
        shown = await person.sees(beginning(key, language, **slots), within=10)
        assert not shown.hidden, "there is nobody else to be hidden from"


async def test_commands_are_listed_in_every_language_with_their_options(stage: Stage) -> None:
    async with stage.program():
        for language in ("en", "de", "zh"):
            listed = {command.name: command for command in stage.account.menu(language)}
            assert listed["generate"].description == say("command.generate", language)
            assert set(listed["generate"].options) >= {"prompt", "picture", "shape", "count", "seed", "model"}
            assert listed[say("menu.remix", language)].on == "message"
            assert "admin" not in listed
        assert stage.account.description == say("profile.image", "en", name=HOUSE.name)


async def test_in_a_server_private_things_are_for_one_pair_of_eyes(stage: Stage) -> None:
    discord = stage.discord
    ann, ben = discord.person(42, "Ann", "en"), discord.person(43, "Ben", "de")
    group = discord.group("Friends", bots=[stage.account], people=[ann, ben], admins=[ann])
    async with stage.program(), at_work(stage.plane.service.hands):
        await ben.says("/balance", to=stage.account, where=group)
        card = await ben.sees("Token", where=group)
        assert card.hidden
        assert ann.messages(where=group) == []
        await ann.says(f"/generate {ORDER}", to=stage.account, where=group)
        shown = await ben.sees(lambda message: message.media, where=group)
        refused = await ben.presses(shown.button("Delete"))
        assert refused.message is not None
        assert refused.message.hidden
        assert refused.text == sentence(Said("toast.not_yours"), "de", DISCORD)
        info = await ann.presses(shown.button("Info"))
        assert info.message is not None
        assert info.message.hidden
        await ben.says(f"<@{stage.account.id}> {ORDER}", to=stage.account, where=group)
        await ann.sees(lambda message: message.media and message is not shown, where=group)
        await ben.says("what a lighthouse!", to=stage.account, where=group)
    assert len([message for message in group.messages if message.bot and not message.hidden]) == 2


async def test_rules_of_a_server_are_made_by_those_who_manage_it(stage: Stage) -> None:
    discord = stage.discord
    ann, ben = discord.person(42, "Ann", "en"), discord.person(43, "Ben", "de")
    group = discord.group("Friends", bots=[stage.account], people=[ann, ben], admins=[ann])
    async with stage.program():
        await ben.says("/settings", to=stage.account, where=group)
        assert (await ben.sees(beginning("rules.title", "de"), where=group)).buttons == []
        await ann.says("/settings", to=stage.account, where=group)
        page = await ann.sees(beginning("rules.who_everyone", "en"), where=group)
        await ann.presses(page.button(say("button.who_admins", "en")))
        await discord.changes.until(lambda: beginning("rules.who_admins", "en") in page.text, 5)
        await ben.says(f"/generate {ORDER}", to=stage.account, where=group)
        refusal = await ben.sees(beginning("problem.chat-forbids", "de"), where=group)
        assert refusal.hidden
        assert [message for message in ann.messages(where=group) if not message.hidden] == []


async def test_settings_and_language_change_in_the_message_that_shows_them(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program():
        await ann.says("/settings", to=stage.account)
        page = await ann.sees("English")
        await ann.presses(page.button("2 pictures"))
        await stage.discord.changes.until(lambda: page.edits, 5)
        assert "2" in page.text
        await ann.says("/language de", to=stage.account)
        await ann.sees("Deutsch")
        await ann.says("/status", to=stage.account)
        await ann.sees(sentence(Said("status.none"), "de", DISCORD))


async def test_where_it_is_too_late_for_a_window_a_button_opens_it(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    async with stage.program(), at_work(stage.plane.service.hands):
        await ann.says(f"/generate {ORDER}", to=stage.account)
        result = await ann.sees(lambda message: message.media)
        async with no_orders(owner_url, "access exclusive"):
            assert (await ann.presses(result.button(say("button.edit", "de")))).form is None
            remix = await ann.uses("Neu mischen", on=result, of=stage.account)
            await until(stage, lambda: remix.acknowledged)
        for _ in range(2):
            late = await ann.sees(lambda message: message.hidden and message.buttons and not message.deleted)
            form = (await ann.presses(late.button(say("field.image_title", "de")))).form
            assert form is not None
            assert form.fields[0].value == "a lighthouse"


async def test_a_window_asks_for_what_was_left_out(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    async with stage.program():
        asked = await ann.calls(stage.account, "generate")
        await until(stage, lambda: asked.form)
        assert asked.form is not None
        await ann.answers(asked.form, ORDER)
        await ann.sees("a lighthouse")


async def test_tokens_are_bought_on_the_site(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "es")
    async with stage.program():
        await ann.says("/buy", to=stage.account)
        shown = await ann.sees(beginning("buy.there", "es"))
        assert (await ann.presses(shown.button(say("button.buy_there", "es")))).url == HOUSE.site


async def test_the_operator_types_what_is_in_no_menu(stage: Stage, control_plane: Plane) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program():
        await ann.says("!admin status", to=stage.account)
        await ann.sees(beginning("admin.not_you", "en"))


async def test_what_is_for_adults_is_covered_and_only_where_the_platform_allows_it(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    given: dict[str, Any] = {"bots": [stage.account], "people": [ann], "admins": [ann]}
    rated, plain = stage.discord.group("Rated", **given, adult=True), stage.discord.group("Plain", **given)
    async with stage.program(), at_work(stage.plane.service.hands):
        await ann.says("/settings", to=stage.account, where=rated)
        page = await ann.sees(beginning("rules.title", "en"), where=rated)
        await ann.presses(page.button(say("button.safe_off", "en")))
        await until(stage, lambda: page.edits)
        await ann.says(f"/generate a nude, {ORDER}", to=stage.account, where=rated)
        shown = await ann.sees(lambda message: message.media, where=rated)
        assert [media.spoiler for media in shown.media] == [True]
        await ann.says(f"/generate a nude, {ORDER}", to=stage.account, where=plain)
        await ann.sees(beginning("problem.adult-content", "en"), where=plain)


async def test_nobody_is_mentioned_by_what_somebody_typed(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program():
        await ann.says(f"/generate @everyone <@43> **look**, {ORDER}", to=stage.account)
        shown = await ann.sees("everyone")
        assert r"\@everyone \<\@43\> \*\*look\*\*" in shown.text


async def until(stage: Stage, look: Callable[[], object]) -> None:
    await stage.discord.changes.until(look, 5)
