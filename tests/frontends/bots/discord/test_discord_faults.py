"""Whatever goes wrong on Discord, an order is one job and ends in one message, and people are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from frontends.bots.dialogue.rendering import sentence
from frontends.bots.dialogue.screen import Said
from frontends.bots.limits import DISCORD
from frontends.bots.refusal import BotRefused
from frontends.standins.discord.limits import Refusal
from frontends.standins.discord.people import Person
from frontends.standins.discord.places import Group
from frontends.standins.faults import Fault
from frontends.standins.person import Message
from tests.fixtures.chatroom import at_work
from tests.fixtures.discord_bots import NAME, Stage, no_orders
from tests.fixtures.people import at_ease, count

ORDER = "a lighthouse, 64x64, 1 step, model testcard"


def told(key: str, language: str = "en", **slots: Any) -> str:
    return sentence(Said(key, slots), language, DISCORD)


def shown(ann: Person) -> list[Message]:
    """What bots have written to somebody and still stands there."""
    return [message for message in ann.messages() if message.bot is not None]


async def pictures(ann: Person, within: float = 15.0, **where: Any) -> Message:
    return await ann.sees(lambda message: message.media, within=within, **where)


def kept_out(stage: Stage) -> Fault:
    """Without saying by which bucket, as it happens to whoever has done too much that was wrong."""
    fault = stage.discord.faults.refuse("PATCH /webhooks", 429)
    assert isinstance(fault.error, Refusal)
    fault.error.headers["Retry-After"] = "1"
    return fault


FAULTS: dict[str, Callable[[Stage], Fault]] = {
    "the first answer: a bad gateway": lambda stage: stage.discord.faults.refuse("POST /interactions", 502),
    "the first answer: done and never told": lambda stage: stage.discord.faults.lose("POST /interactions"),
    "the first answer: a broken connection": lambda stage: stage.discord.faults.cut("POST /interactions", done=False),
    "an edit: a bad gateway": lambda stage: stage.discord.faults.refuse("PATCH /webhooks", 502, times=2),
    "an edit: done and never told": lambda stage: stage.discord.faults.lose("PATCH /webhooks"),
    "an edit: a broken connection": lambda stage: stage.discord.faults.cut("PATCH /webhooks", done=False),
    "an edit: kept out for a second": kept_out,
}


async def test_a_call_that_fails_is_made_again_and_shows_once(stage: Stage, owner_url: str) -> None:
    async with stage.program() as program, at_work(stage.plane.service.hands):
        for number, (name, wish) in enumerate(FAULTS.items()):
            ann = stage.discord.person(100 + number, "Ann", "en")
            fault = wish(stage)
            await ann.says(f"/generate {ORDER}", to=stage.account)
            result = await pictures(ann)
            await program.settled()
            assert shown(ann) == [result], name
            assert fault.left == 0, name
    assert count(owner_url, "select count(*) from jobs") == len(FAULTS)


async def test_a_press_is_answered_once_whatever_happens_to_the_answer(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    faults = stage.discord.faults
    wishes: list[Callable[[], Fault]] = [
        lambda: faults.refuse("POST /interactions", 502, times=2),
        lambda: faults.lose("POST /interactions"),
        lambda: faults.cut("POST /interactions", done=False),
        lambda: faults.cut("POST /interactions", done=True),
    ]
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says(f"/generate {ORDER}", to=stage.account)
        result = await pictures(ann)
        for number, wish in enumerate(wishes, 1):
            fault = wish()
            await ann.presses(result.button("Info"))
            await stage.discord.changes.until(lambda: len(infos(ann)) == number, 5)  # noqa: B023
            await program.settled()
            assert len(shown(ann)) == 1 + number
            assert fault.left == 0
        broken = faults.refuse("POST /interactions", 502)
        form = (await ann.presses(result.button("Edit prompt"))).form
        assert (form is not None, broken.hits) == (True, 1)


def infos(ann: Person) -> list[Message]:
    return [message for message in shown(ann) if "Order " in message.text and not message.thinking]


async def test_a_message_that_was_sent_and_never_told_of_is_one_message(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        lost = stage.discord.faults.lose("POST /channels")
        await ann.says(ORDER, to=stage.account)
        result = await pictures(ann)
        await program.settled()
        assert shown(ann) == [result]
        assert lost.hits == 1
    assert count(owner_url, "select count(*) from jobs") == 1


async def test_a_slow_service_is_waited_for_behind_a_promise(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    group = stage.discord.group("Friends", bots=[stage.account], people=[ann])
    async with stage.program() as program, at_work(stage.plane.service.hands):
        for where in (None, group):
            result = await _promised(stage, ann, owner_url, where)
            async with no_orders(owner_url):
                await ann.presses(result.button("Again"))
        await stage.discord.changes.until(lambda: len([one for one in group.messages if one.attachments]) == 2, 10)
        await program.settled()
        assert all(not message.thinking for message in ann.messages())
    assert stage.discord.unanswered == []


async def _promised(stage: Stage, ann: Person, owner_url: str, where: Group | None) -> Message:
    async with no_orders(owner_url):
        asked = await ann.calls(stage.account, "generate", where=where, prompt=ORDER)
        await stage.discord.changes.until(lambda: asked.acknowledged, 3)
        assert asked.response is not None
        assert asked.response.thinking
    result = await pictures(ann, where=where)
    assert asked.response is result
    return result


async def test_what_was_promised_to_everybody_and_is_private_is_told_in_private(stage: Stage, owner_url: str) -> None:
    ann, ben = stage.discord.person(42, "Ann", "en"), stage.discord.person(43, "Ben")
    group = stage.discord.group("Friends", bots=[stage.account], people=[ann, ben])
    async with stage.program():
        async with no_orders(owner_url):
            dear = "a lighthouse, 4 pictures, 150 steps, model testcard"
            asked = await ann.calls(stage.account, "generate", where=group, prompt=dear)
            await stage.discord.changes.until(lambda: asked.acknowledged, 3)
        await ann.sees(lambda message: message.hidden, where=group)
        assert [message for message in ben.messages(where=group) if message.bot] == []


async def test_the_buckets_of_the_platform_are_obeyed_whatever_they_are(stage: Stage, owner_url: str) -> None:
    stage.discord.buckets[:] = [
        ("PATCH", "/webhooks/{application}/{token}/messages/{message}", 1, 1.5),
        ("POST", "/channels/{channel}/messages", 1, 1.0),
    ]
    stage.hire()
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says("/help", to=stage.account)
        await ann.sees("/status")
        at_ease(owner_url)
        await ann.says(f"/generate {ORDER}", to=stage.account)
        for number in range(3):
            await ann.says(f"{ORDER}, seed {number}", to=stage.account)
        await stage.discord.changes.until(lambda: len([one for one in shown(ann) if one.media]) == 4, 15)
        await program.settled()
        assert program.bot.tally["floods"] > 0


async def test_what_is_too_large_comes_as_a_link(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    ann.installs(stage.account)
    chat = stage.discord.chat(ann, stage.account)
    async with stage.program() as program, at_work(stage.plane.service.hands):
        chat.attachment_bytes_max = 100
        await ann.says(f"/generate {ORDER}", to=stage.account)
        linked = await ann.sees(lambda message: any(run.url for run in message.runs))
        assert linked.media == []
        chat.attachment_bytes_max = 1_000_000
        held = stage.discord.faults.hold("POST /interactions")
        await ann.says(f"/generate {ORDER}", to=stage.account)
        await held.reached.wait()
        chat.attachment_bytes_max = 100  # from now on, and nobody has said so
        held.release()
        await ann.sees(lambda message: message.id > linked.id and any(run.url for run in message.runs))
        await program.settled()
    assert [violation.said[:3] for violation in stage.discord.violations] == ["413"]
    stage.discord.violations.clear()


async def test_an_answer_outlives_its_token(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    ann.installs(stage.account)
    async with stage.program():
        await ann.says(f"/generate {ORDER}", to=stage.account)
        first = await ann.sees("a lighthouse")
    stage.discord.clock.advance(14.5 * 60)
    async with stage.program() as program:
        await stage.discord.changes.until(lambda: first.text == told("order.moved", "de"), 5)
        second = await ann.sees(lambda message: message is not first and "a lighthouse" in message.text)
        stage.discord.clock.advance(60 * 60)
        async with at_work(stage.plane.service.hands):
            result = await pictures(ann)
            await program.settled()
    assert result is second
    assert shown(ann) == [first, second]
    assert count(owner_url, "select count(*) from jobs") == 1


async def test_where_a_bot_is_only_brought_along_its_answer_goes_on_in_private(stage: Stage) -> None:
    ann, ben = stage.discord.person(42, "Ann", "en"), stage.discord.person(43, "Ben")
    group = stage.discord.group("Strangers", bots=[], people=[ann, ben])
    ann.installs(stage.account)
    async with stage.program():
        await ann.says(f"/generate {ORDER}", to=stage.account, where=group)
        first = await ben.sees("a lighthouse", where=group)
    stage.discord.clock.advance(14.5 * 60)
    async with stage.program() as program, at_work(stage.plane.service.hands):
        result = await pictures(ann, where=stage.discord.chat(ann, stage.account))
        await stage.discord.changes.until(lambda: first.text == told("order.moved"), 5)
        await program.settled()
        assert [message for message in ben.messages() if message.media] == []
        again = await ann.presses(result.button("Info"))
        assert again.text is None or "testcard" in again.text


async def test_where_a_bot_may_not_write_it_answers_all_the_same(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    group = stage.discord.group("Friends", bots=[stage.account], people=[ann])
    group.forbids(stage.account, "SEND_MESSAGES", "VIEW_CHANNEL")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says(f"/generate {ORDER}", to=stage.account, where=group)
        result = await pictures(ann, where=group)
        await ann.presses(result.button("Again"))
        await stage.discord.changes.until(lambda: len([one for one in group.messages if one.attachments]) == 2, 10)
        await program.settled()


async def test_a_gateway_that_breaks_is_resumed_and_what_is_told_twice_is_done_once(
    stage: Stage, owner_url: str
) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        assert await stage.discord.drops(stage.account) == 1
        asked = await ann.calls(stage.account, "generate", prompt=ORDER)
        result = await pictures(ann)
        await stage.account.push("INTERACTION_CREATE", asked.to_json())
        await ann.says("/help", to=stage.account)
        await ann.sees("/status")
        await program.settled()
        assert len(shown(ann)) == 2
        assert result in shown(ann)
    assert (stage.account.identifies, stage.account.resumes) == (1, 1)
    assert count(owner_url, "select count(*) from jobs") == 1


async def test_what_is_told_too_late_to_be_answered_is_answered_by_a_message(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    ann.installs(stage.account)
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await stage.discord.drops(stage.account)
        asked = await ann.calls(stage.account, "generate", prompt=ORDER)
        stage.discord.clock.advance(4)
        result = await pictures(ann)
        await program.settled()
        assert shown(ann) == [result]
        assert not asked.acknowledged


async def test_a_session_that_is_over_is_followed_by_another(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program():
        stage.discord.clock.advance(6)
        await stage.discord.invalidates(stage.account, resumable=False)
        async with asyncio.timeout(10):
            while stage.account.identifies < 2:
                await asyncio.sleep(0.05)
        await ann.says("/help", to=stage.account)
        await ann.sees("/status")


@pytest.mark.parametrize("how", ["revoked", "blocked"])
async def test_a_result_goes_through_another_bot_when_its_own_cannot_write(stage: Stage, how: str) -> None:
    other = stage.hire("ink")
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program:
        await ann.says("hello?", to=other)
        await ann.sees("hello", by=other)
        await ann.says(ORDER, to=stage.account)
        await ann.sees("a lighthouse", by=stage.account)
        if how == "revoked":
            await stage.discord.revokes(stage.account)
        else:
            await ann.blocks(stage.account)
            stage.discord.faults.refuse("PATCH /channels", 403, 50007, times=10, bot=stage.account)
        async with at_work(stage.plane.service.hands):
            result = await pictures(ann)
            await program.settled()
        assert result.bot is other
        if how == "revoked":
            with pytest.raises(BotRefused):
                await program.bot.ping()


async def test_a_token_that_is_refused_is_told_from_a_platform_that_is_away(stage: Stage) -> None:
    async with asyncio.TaskGroup() as tasks:
        for fields, error in (
            ({"token": "MTIz.bad.token"}, BotRefused),
            ({"token": "nonsense"}, BotRefused),
            ({"application_id": 7}, BotRefused),
            ({"rest_url": "http://127.0.0.1:9/api"}, OSError),
        ):
            with pytest.raises(error):
                await stage.alone(tasks, **fields)
        bot = await stage.alone(tasks)
        await bot.ping()
        assert (bot.bot.name, bot.bot.title) == (NAME, "paint")
        assert bot.bot.url.endswith(str(stage.account.id))
        await bot.stop()
        await bot.stop()
        with pytest.raises(OSError, match="."):
            await bot.ping()
