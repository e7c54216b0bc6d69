"""What the stand-in of Telegram refuses, and what goes wrong there by wish, through the genuine client library."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pyrogram.connection.transport import TCPAbridgedO, TCPIntermediate, TCPIntermediateO
from pyrogram.errors import (
    AccessTokenExpired,
    AccessTokenInvalid,
    FloodWait,
    MediaCaptionTooLong,
    MessageNotModified,
    MessageTooLong,
    PeerIdInvalid,
    RPCError,
    UserIsBlocked,
)

from frontends.standins.changes import NotSeen
from frontends.standins.telegram import Telegram
from frontends.standins.telegram.bots import Bot
from tests.fixtures.chatting import keyboard, picture, refused, running


async def test_what_is_too_much_is_refused_and_counted(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        message = await client.send_message(42, "x" * 4096)
        await refused(lambda: client.send_message(42, "x" * 4095 + "🐈"), MessageTooLong)
        await refused(lambda: client.send_photo(42, picture(), caption="x" * 1025), MediaCaptionTooLong)
        await refused(lambda: client.edit_message_text(42, message.id, message.text), MessageNotModified)
        await refused(lambda: client.send_photo(42, picture(2100, 100)), RPCError)
        await refused(lambda: client.send_message(42, "x", reply_markup=keyboard(Long="x" * 65)), RPCError)
        telegram.person(43)
        await refused(lambda: client.send_message(43, "you do not know me"), PeerIdInvalid)
        assert [one.said for one in telegram.violations] == [
            "MESSAGE_TOO_LONG",
            "MEDIA_CAPTION_TOO_LONG",
            "PHOTO_INVALID_DIMENSIONS",
            "BUTTON_DATA_INVALID",
        ]
        await ann.blocks(bot)
        await refused(lambda: client.send_message(42, "are you there"), UserIsBlocked)


async def test_a_chat_bears_a_message_a_second(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        telegram.clock.stop()
        await ann.says("hi", to=bot)
        for number in range(5):
            await client.send_message(42, f"{number}")
        with pytest.raises(FloodWait) as flood:
            await client.send_message(42, "too fast")
        assert flood.value.value == 1
        telegram.clock.advance(1.0)
        await client.send_message(42, "in time")
        group = telegram.group("Friends", bots=[bot], people=[ann])
        await ann.says("/start", to=bot, where=group)
        await ann.sees("Hello", where=group)
        chat = -1_000_000_000_000 - group.id
        for number in range(19):
            await client.send_message(chat, f"{number}")
        with pytest.raises(FloodWait) as flood:
            await client.send_message(chat, "too fast")
        assert flood.value.value == 3
        assert len([message for message in group.messages if message.bot]) == 20
        assert [one.said for one in telegram.violations] == ["FLOOD_WAIT_1", "FLOOD_WAIT_3"]


async def test_the_library_sleeps_through_a_short_flood_wait(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot, sleep_threshold=10) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        fault = telegram.faults.refuse("messages.SendMessage", 420, "FLOOD_WAIT_1")
        began = asyncio.get_running_loop().time()
        await client.send_message(42, "late")
        assert asyncio.get_running_loop().time() - began >= 1
        assert fault.hits == 1
        assert telegram.violations == []


async def test_a_bot_that_was_away_gets_what_it_missed(telegram: Telegram, tmp_path: Any) -> None:
    bot = telegram.bot("tessera_bot")
    ann = telegram.person(42)
    kept = {"in_memory": False, "workdir": str(tmp_path), "skip_updates": False}
    async with running(telegram, bot, **kept):
        await ann.says("/start", to=bot)
        first = await ann.sees("Hello")
    await ann.says("/start again", to=bot)
    logins = telegram.calls.count(("", "auth.ImportBotAuthorization"))
    async with running(telegram, bot, **kept):
        await ann.sees("Hello Ann again", after=first)
        await ann.says("/start thrice", to=bot)
        await ann.sees("thrice")
        assert [message.text for message in ann.messages(by=bot)] == [
            "Hello Ann",
            "Hello Ann again",
            "Hello Ann thrice",
        ]
    assert telegram.calls.count(("", "auth.ImportBotAuthorization")) == logins


async def test_a_broken_connection_is_made_anew(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot):
        ann = telegram.person(42)
        await ann.says("/start", to=bot)
        first = await ann.sees("Hello")
        assert telegram.drops(bot) == 1
        assert not bot.connected
        await ann.says("/start", to=bot)
        await ann.sees("Hello", after=first, within=10)


async def test_what_is_held_is_done_when_it_is_let_go(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot):
        ann = telegram.person(42)
        before = telegram.faults.hold("messages.SendMessage")
        await ann.says("/start", to=bot)
        await before.reached.wait()
        assert ann.messages(by=bot) == []
        with pytest.raises(NotSeen, match="/start"):
            await ann.sees("Hello", within=0.05)
        after = telegram.faults.hold("messages.SendMessage", done=True)
        before.release()
        first = await ann.sees("Hello")
        await ann.says("/start", to=bot)
        await after.reached.wait()
        await ann.sees("Hello", after=first)
        after.release()
        assert (before.hits, after.hits) == (1, 1)


async def test_a_revoked_token_ends_a_bot(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        telegram.revokes(bot)
        await refused(lambda: client.send_message(42, "still there?"), RPCError)
    with pytest.raises(AccessTokenExpired):
        async with running(telegram, bot):
            pass
    stranger = Bot(telegram, 1, "stranger", "1:nonsense")
    with pytest.raises(AccessTokenInvalid):
        async with running(telegram, stranger):
            pass


@pytest.mark.parametrize("protocol", [TCPIntermediate, TCPIntermediateO, TCPAbridgedO])
async def test_every_transport_of_the_protocol_is_spoken(telegram: Telegram, protocol: Any) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot, protocol_factory=protocol):
        ann = telegram.person(42)
        await ann.says("/start", to=bot)
        await ann.sees("Hello")


async def test_a_call_may_be_late(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        slow = telegram.faults.delay("messages.SendMessage", 0.3, bot=bot)
        began = asyncio.get_running_loop().time()
        await client.send_message(42, "late")
        assert asyncio.get_running_loop().time() - began >= 0.3
        assert slow.hits == 1


@pytest.mark.slow
async def test_a_call_that_was_cut_off_is_repeated_by_the_library_and_done_once(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        cut = telegram.faults.cut("messages.SendMessage", done=False)
        await client.send_message(42, "sent again")
        assert [message.text for message in ann.messages(by=bot)] == ["sent again"]
        assert cut.hits == 1


@pytest.mark.slow
async def test_a_lost_answer_is_not_done_twice(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        lost = telegram.faults.lose("messages.SendMessage")
        with pytest.raises((TimeoutError, RPCError)):
            await client.send_message(42, "once")
        assert lost.hits == 1
        assert [message.text for message in ann.messages(by=bot)] == ["once"]
        assert telegram.violations == []
