"""Whatever goes wrong at Telegram: what was ordered arrives once, and nobody else notices."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from frontends.bots.dialogue.effects import Approve, Say
from frontends.bots.dialogue.events import Sent, Unsent
from frontends.bots.dialogue.screen import Card, Said
from frontends.bots.dialogue.state import Scene
from frontends.bots.refusal import BotRefused
from frontends.standins.faults import Fault, Faults
from frontends.standins.telegram import Telegram
from frontends.standins.telegram.bots import Bot
from tests.fixtures.chatroom import at_work
from tests.fixtures.people import count, violations
from tests.fixtures.skins import ORDER
from tests.fixtures.telegram_bots import NAME, Stage, beginning, has_picture

Wish = Callable[[Faults, Bot], Fault]

FAULTS: dict[str, Wish] = {
    "flood_of_words": lambda f, bot: f.refuse("messages.SendMessage", 420, "FLOOD_WAIT_2", bot=bot),
    "flood_of_pictures": lambda f, bot: f.refuse("messages.SendMedia", 420, "FLOOD_WAIT_2", bot=bot, times=2),
    "flood_of_files": lambda f, bot: f.refuse("messages.UploadMedia", 420, "FLOOD_WAIT_1", bot=bot),
    "flood_of_parts": lambda f, bot: f.refuse("upload.SaveFilePart", 420, "FLOOD_PREMIUM_WAIT_1", bot=bot),
    "busy": lambda f, bot: f.refuse("messages.SendMessage", 500, "RPC_CALL_FAIL", bot=bot, times=3),
    "away": lambda f, bot: f.refuse("messages.SendMedia", -503, "Timeout", bot=bot, times=2),
    "words_unanswered": lambda f, bot: f.lose("messages.SendMessage", bot=bot),
    "picture_unanswered": lambda f, bot: f.lose("messages.SendMedia", bot=bot),
    "part_unanswered": lambda f, bot: f.lose("messages.UploadMedia", bot=bot),
    "deletion_unanswered": lambda f, bot: f.lose("messages.DeleteMessages", bot=bot),
    "words_cut_off": lambda f, bot: f.cut("messages.SendMessage", done=False, bot=bot),
    "words_cut_off_when_done": lambda f, bot: f.cut("messages.SendMessage", done=True, bot=bot),
    "picture_cut_off_when_done": lambda f, bot: f.cut("messages.SendMedia", done=True, bot=bot),
    "late": lambda f, bot: f.delay("messages.SendMessage", 1.0, bot=bot),
    "question_gone": lambda f, bot: f.refuse("messages.SendMessage", 400, "REPLY_MESSAGE_ID_INVALID", bot=bot),
    "unknown": lambda f, bot: f.refuse("messages.SendMessage", 500, "NOBODY_KNOWS_THIS", bot=bot),
}
"""One for each of so many bots."""


@pytest.mark.slow
async def test_whatever_goes_wrong_an_order_is_one_result(stage: Stage, owner_url: str) -> None:
    telegram = stage.telegram
    ann = telegram.person(42, "Ann", "en")
    wishes = {stage.hire(name): wish(telegram.faults, stage.accounts[name]) for name, wish in FAULTS.items()}
    people = {bot: telegram.person(100 + number, "Ben", ("de", "es")[number % 2]) for number, bot in enumerate(wishes)}
    async with stage.program() as program, at_work(stage.plane.service.hands):
        for bot, person in people.items():
            await person.says(ORDER, to=bot)
        await ann.says("/help", to=stage.account)
        await ann.sees("/status", within=2)
        shown = {bot: await person.sees(has_picture, by=bot, within=20) for bot, person in people.items()}
        await program.settled()
    for bot, person in people.items():
        assert person.messages(by=bot) == [shown[bot]], (bot.name, [message.text for message in person.messages()])
    assert {bot.name: fault.hits for bot, fault in wishes.items() if not fault.hits} == {}
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == len(FAULTS)
    assert violations(owner_url) == []


async def test_a_chat_that_must_wait_holds_up_no_other(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann, ben = telegram.person(42, "Ann", "en"), telegram.person(43, "Ben", "zh")
    async with stage.program() as program:
        flood = telegram.faults.refuse("messages.SendMessage", 420, "FLOOD_WAIT_4")
        await ann.says("/help", to=bot)
        async with asyncio.timeout(5):
            await flood.reached.wait()
        await ben.says("/help", to=bot)
        await ben.sees("/status", within=1)
        assert program.bot.tally["floods"] == 1
        assert ann.messages(by=bot) == []
        await ann.sees("/status", within=6)


async def test_a_broken_connection_loses_nothing_and_doubles_nothing(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    group, private = telegram.group("Friends", bots=[bot], people=[ann]), telegram.chat(ann, bot)
    async with stage.program() as program:
        await ann.says("/help@paint_bot", to=bot, where=group)
        await ann.sees("/status", where=group)
        for word in ("status", "history"):
            assert telegram.drops(bot) >= 1
            await ann.says(f"/{word}", to=bot)
            await ann.says(f"/{word}@paint_bot", to=bot, where=group)
            for place in (group, private):  # what was said last may be answered first
                await ann.sees(beginning(f"{word}.none", "en"), where=place, within=20)
            await stage.until(lambda: bot.connected)
        await program.settled()
        here = [message.text for message in ann.messages(by=bot, where=private)]
        there = [message.text for message in ann.messages(by=bot, where=group)]
    assert here == [beginning("status.none", "en"), beginning("history.none", "en")]
    assert there[1:] == here


async def test_whoever_blocked_the_bot_is_left_alone_and_finds_it_in_the_history(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    async with stage.program() as program:
        await ann.says(f"/generate {ORDER}", to=bot)
        await ann.sees("Ordered for")
        await ann.blocks(bot)
        async with at_work(stage.plane.service.hands):
            await program.settled()
        assert not [message for message in ann.messages(by=bot) if message.media]
        await ann.unblocks(bot)
        await ann.says("/history", to=bot)
        await ann.sees("a lighthouse")


async def test_the_result_of_a_revoked_bot_comes_through_another_one(stage: Stage) -> None:
    telegram, bot, other = stage.telegram, stage.account, stage.hire("ink_bot")
    ann, ben = telegram.person(42, "Ann", "de"), telegram.person(43, "Ben", "en")
    async with stage.program() as program:
        await ann.starts(other)
        await ann.sees("Hallo", by=other)
        for person in (ann, ben):
            await person.says(f"/generate {ORDER}", to=bot)
            await person.sees("lighthouse", by=bot)
        telegram.revokes(bot)
        async with at_work(stage.plane.service.hands):
            await ann.sees(has_picture, by=other, within=10)
            await program.settled()
        with pytest.raises(BotRefused, match="ACCESS_TOKEN_EXPIRED"):
            await program.bot.ping()
        assert not ben.messages(by=other)


async def test_a_login_that_is_worth_nothing_is_made_anew_while_the_token_holds(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    async with stage.program() as program:
        await ann.says("/start", to=bot)
        await ann.sees("Hello!")
        bot.auth_keys.clear()  # somebody has ended all sessions
        await ann.says("/help", to=bot)
        await program.bot.ping()
        await ann.sees("/status")
        await ann.says("/start", to=bot)
        await stage.until(lambda: len(ann.messages(by=bot)) == 3)
    assert telegram.calls.count(("", "auth.ImportBotAuthorization")) == 2


async def test_a_bot_whose_token_is_refused_says_so_and_leaves_nothing_behind(stage: Stage) -> None:
    async with stage.alone(token="1:nonsense") as bot:
        with pytest.raises(BotRefused, match="ACCESS_TOKEN_INVALID"):
            await bot.start()
        with pytest.raises(BotRefused):
            await bot.ping()
    async with stage.alone() as bot:
        await bot.start()
        await bot.ping()
        assert (bot.bot.title, bot.bot.url) == (NAME, f"https://t.me/{NAME}")
        await bot.stop()
        await bot.stop()
    stage.telegram.revokes(stage.account)
    async with stage.alone() as bot:
        with pytest.raises(BotRefused, match="ACCESS_TOKEN_EXPIRED"):
            await bot.start()


async def test_a_session_of_another_world_is_forgotten(stage: Stage, tmp_path: Path) -> None:
    """As after a demonstration was started anew: the data centre does not know the key of the session file."""
    async with stage.alone() as bot:
        await bot.start()
    async with Telegram() as elsewhere:
        elsewhere.bot(NAME, token=stage.account.token)
        shutil.copytree(tmp_path / "sessions", tmp_path / "kept")
        async with stage.alone(connection_factory=elsewhere.connection_factory, folder=tmp_path / "kept") as bot:
            async with asyncio.timeout(5):
                await bot.start()
            await bot.ping()


async def test_nobody_there_is_an_outage_and_no_refusal(stage: Stage) -> None:
    async with Telegram() as gone:
        factory = gone.connection_factory
    async with stage.alone(connection_factory=factory) as bot:
        with pytest.raises(OSError):
            async with asyncio.timeout(1.5):
                await bot.start()


async def test_what_telegram_does_not_take_is_told_without_files(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann, ben = telegram.person(42, "Ann", "en"), telegram.person(43, "Ben", "ru")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        for person, said in ((ann, "PHOTO_INVALID_DIMENSIONS"), (ben, "FILE_PARTS_INVALID")):
            refused = telegram.faults.refuse("messages.UploadMedia", 400, said)
            await person.says(ORDER, to=bot)
            told = await person.sees(beginning("result.link", person.language), within=10)
            assert told.media == []
            assert "http" in told.text
            assert refused.hits == 1
        await program.settled()


async def test_what_a_skin_answers_for_what_cannot_be(stage: Stage) -> None:
    telegram, bot = stage.telegram, stage.account
    ann = telegram.person(42, "Ann", "en")
    telegram.person(99, "Eve", "en")
    card = Card(lines=[Said("status.none")])

    def scene(chat: str) -> Scene:
        return Scene(bot=NAME, makes="image", platform_name="telegram", chat=chat, subject=chat.lstrip("-"))

    async with stage.program() as program:
        await ann.starts(bot)
        await ann.sees("Hello!")
        skin = program.bot

        async def outcome(chat: str, key: str = "say") -> Sent | Unsent | None:
            return await skin.perform(scene(chat), Say(key=key, card=card), "en")

        never_met = await outcome("99")
        assert isinstance(never_met, Unsent)
        assert never_met.why == "blocked"
        sent = await outcome("42")
        again = await outcome("42")
        assert isinstance(sent, Sent)
        assert isinstance(again, Sent)
        assert sent.message == again.message != ""
        assert await skin.perform(scene("42"), Approve(checkout="12345"), "en") is None, "it was over"
        with pytest.raises(FileNotFoundError):
            await skin.fetch(f"42/{sent.message}", stage.folder)
        with pytest.raises(FileNotFoundError):
            await skin.fetch("42/99999", stage.folder)
    assert len([message for message in ann.messages(by=bot) if message.text == beginning("status.none", "en")]) == 1
