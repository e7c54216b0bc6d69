"""Groups on Telegram: who is meant, who may, and what is missed."""

from __future__ import annotations

import pytest

from frontends.bots.language.catalogue import say
from frontends.standins.changes import NotSeen
from tests.fixtures.chatroom import at_work
from tests.fixtures.people import count
from tests.fixtures.skins import ORDER
from tests.fixtures.telegram_bots import Stage, beginning, has_picture


@pytest.mark.parametrize("supergroup", [True, False])
async def test_in_a_group_a_bot_answers_whom_it_is_named_by_and_nobody_else(
    stage: Stage, owner_url: str, supergroup: bool
) -> None:
    telegram, bot, other = stage.telegram, stage.account, stage.telegram.bot("other_bot")
    bot.privacy = False  # it hears everything, and still is not meant
    ann, ben = telegram.person(42, "Ann", "en"), telegram.person(43, "Ben", "de")
    group = telegram.group("Friends", bots=[bot, other], people=[ann, ben], admins=[ben], supergroup=supergroup)
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says("what do you think of lighthouses?", to=bot, where=group)
        await ann.says("/generate@other_bot a lighthouse", to=other, where=group)
        await ann.says("/roll 2d6", to=bot, where=group)
        said = await ann.says(f"@Paint_Bot, {ORDER}", to=bot, where=group)
        shown = await ann.sees(has_picture, where=group)
        assert (shown.reply_to, "@" in shown.text) == (said.id, False)
        refused = await ben.presses(shown.button(say("button.info", "en")))
        assert refused.text == say("toast.not_yours", "de")
        await ben.says("nice!", to=bot, where=group, reply_to=shown)
        await ben.says(f"/generate@paint_bot {ORDER}", to=bot, where=group)
        await ben.sees(beginning("result.image", "de", count=1), where=group)
        await ben.says("/generate", to=bot, where=group)
        question = await ben.sees(lambda message: message.asks, where=group)
        await ann.says("I think so too", to=bot, where=group)
        await ben.says("at night, 64x64, model testcard", to=bot, where=group, reply_to=question)
        await ben.sees("at night", where=group)
        await ann.presses(shown.button(say("button.edit", "en")))
        question = await ann.sees(lambda message: message.asks and message.id > question.id, where=group)
        named = [entity for entity in question.entities if getattr(entity, "user_id", None) is not None]
        assert len(named) == 1, "who pressed is asked, nobody else"
        await program.settled()
    assert count(owner_url, "select count(*) from jobs") == 3
    assert list(other.chats.values()) == []


async def test_rules_of_a_group_are_made_by_those_who_run_it(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann, ben = telegram.person(42, "Ann", "en"), telegram.person(43, "Ben", "es")
    group = telegram.group("Friends", bots=[bot], people=[ann, ben], admins=[ann])
    async with stage.program(), at_work(stage.plane.service.hands):
        await ben.says("/settings", to=bot, where=group)
        assert (await ben.sees(beginning("rules.title", "es"), where=group)).buttons == []
        await ann.says("/settings", to=bot, where=group)
        page = await ann.sees(beginning("rules.title", "en"), where=group)
        refused = await ben.presses(page.button(say("button.who_admins", "en")))
        assert refused.text == say("toast.admins_only", "es")
        await ann.presses(page.button(say("button.who_admins", "en")))
        await stage.until(lambda: beginning("rules.who_admins", "en") in page.text)
        await ben.says(f"/generate {ORDER}", to=bot, where=group)
        await ben.sees(beginning("problem.chat-forbids", "es"), where=group)
        await ann.says(f"/generate {ORDER}", to=bot, where=group)
        await ann.sees(has_picture, where=group)
        await ben.says("/link", to=bot, where=group)
        await ben.sees(beginning("link.in_private", "es"), where=group)


@pytest.mark.slow
async def test_many_albums_in_a_group_stay_within_its_minute(stage: Stage) -> None:
    """Each picture of an album counts."""
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    group = telegram.group("Friends", bots=[bot], people=[ann])
    async with stage.program(), at_work(stage.plane.service.hands):
        for number in range(4):
            await ann.says(
                f"/generate lighthouse {number}, 4 pictures, 64x64, 1 step, model testcard", to=bot, where=group
            )
        await stage.until(lambda: len([one for one in group.messages if one.album]) >= 8, 15)
        with pytest.raises(NotSeen):  # four answers, two or three albums: the minute is full
            await stage.until(lambda: len([one for one in group.messages if one.album]) == 16, 3)


@pytest.mark.parametrize("how", ["muted", "removed"])
async def test_a_bot_that_may_not_write_any_more_lets_it_be(stage: Stage, owner_url: str, how: str) -> None:
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    group = telegram.group("Friends", bots=[bot], people=[ann])
    async with stage.program() as program:
        await ann.starts(bot)
        await ann.says(f"/generate {ORDER}", to=bot, where=group)
        status = await ann.sees("Ordered for", where=group)
        if how == "muted":
            group.muted.add(bot.id)
        else:
            group.bots.remove(bot)
        async with at_work(stage.plane.service.hands):
            await program.settled()
        assert [message for message in group.messages if message.bot] == [status]
        assert bot.name in program.conversations._memory.met("telegram", "42"), "that chat is no more, not the person"
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == 1
