"""The stand-in of Telegram, through the genuine client library: what a bot of that library can do there, and what a
person sees of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pyrogram import filters
from pyrogram.errors import (
    RPCError,
)
from pyrogram.handlers import MessageHandler
from pyrogram.types import (
    BotCommand,
    ForceReply,
    InputMediaPhoto,
)

from frontends.standins.telegram import Declined, Telegram
from tests.fixtures.chatting import picture, refused, running


async def test_a_dialogue_is_seen_as_the_person_would_see_it(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        assert (await client.get_me()).username == "tessera_bot"
        ann = telegram.person(42, "Ann", "de")
        await ann.starts(bot, "ref_7")
        await ann.sees("Hallo Ann ref_7")
        await ann.says("/generate a cat", to=bot)
        shown = await ann.sees(lambda message: message.media)
        assert (shown.text, shown.media[0].width, shown.media[0].kind) == ("a cat", 64, "photo")
        status = next(message for message in telegram.messages.values() if "50%" in message.text)
        assert status.edits == ["Queued: a cat"]
        await telegram.changes.until(lambda: status.deleted, 5)
        answer = await ann.presses(shown.button("Again"))
        assert (answer.text, answer.alert) == ("pressed again:1", True)
        await telegram.changes.until(lambda: shown.text == "again" and shown.media[0].width == 96, 5)
        assert shown.buttons[0][0].data == "again:2"
    assert telegram.violations == []


async def test_files_go_both_ways_unharmed(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        sent = picture(300, 200).getvalue()
        message = await ann.sends_photo(sent, "like this", to=bot)
        await ann.sees(f"got {len(sent)} bytes: like this")
        film = io.BytesIO(b"\0\0\0\x18ftypmp42" + bytes(11 * 1024**2))
        film.name = "film.mp4"
        await client.send_video(42, film, duration=4, width=640, height=360, caption="film", has_spoiler=True)
        video = (await ann.sees("film")).media[0]
        assert (video.kind, video.width, video.data, video.spoiler) == ("video", 640, film.getvalue(), True)
        await client.send_document(42, picture(2600, 200, "original.png"), caption="original")
        assert (await ann.sees("original")).media[0].kind == "document"
        await client.send_photo(42, picture(2600, 200), caption="as a photo")
        photo = (await ann.sees("as a photo")).media[0]
        assert (photo.width, photo.mime_type) == (2560, "image/jpeg")
        album = await client.send_media_group(
            42, [InputMediaPhoto(picture()) for _ in range(3)], reply_to_message_id=message.id
        )
        seen = [one for one in ann.messages(by=bot) if one.album]
        assert len(album) == len(seen) == 3
        assert len({one.album for one in seen}) == 1
        assert seen[0].reply_to == message.id
    assert telegram.violations == []


async def test_stars_are_paid_once_and_go_back(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann, eve = telegram.person(42), telegram.person(43, "Eve")
        await ann.says("/buy", to=bot)
        invoice = await ann.sees(lambda message: message.invoice)
        charge = await ann.pays(invoice)
        await ann.sees("paid 50 XTR for t:100")
        assert await client.get_stars_balance() == 50
        assert await client.refund_star_payment(42, charge)
        await refused(lambda: client.refund_star_payment(42, charge), RPCError)
        assert await client.get_stars_balance() == 0
        await eve.says("/buy", to=bot)
        unpaid = await eve.sees(lambda message: message.invoice)
        with pytest.raises(Declined, match="not for you"):
            await eve.pays(unpaid)


@pytest.mark.parametrize("supergroup", [True, False])
async def test_privacy_mode_keeps_a_group_from_a_bot(telegram: Telegram, supergroup: bool) -> None:
    bot, other = telegram.bot("tessera_bot"), telegram.bot("other_bot")
    heard: list[str] = []
    async with running(telegram, bot) as client:

        async def hear(_: Any, message: Any) -> None:
            heard.append(message.text or "service")

        client.add_handler(MessageHandler(hear), group=-1)
        ann, ben = telegram.person(42), telegram.person(43, "Ben")
        group = telegram.group("Friends", bots=[bot, other], people=[ann, ben], admins=[ben], supergroup=supergroup)
        await ann.says("not for bots", to=bot, where=group)
        await ann.says("/generate@other_bot a cat", to=other, where=group)
        await ann.says("/start@tessera_bot", to=bot, where=group)
        hello = await ben.sees("Hello Ann", where=group)
        await ben.says("what?", to=bot, where=group, reply_to=hello)
        await ann.sees("replied what?", where=group)
        assert heard == ["/start@tessera_bot", "what?"]
        chat = -1_000_000_000_000 - group.id if supergroup else -group.id
        assert (await client.get_chat_member(chat, 43)).status.name == "ADMINISTRATOR"
        assert (await client.get_chat_member(chat, 42)).status.name == "MEMBER"
        seen = await client.get_messages(chat, hello.id)
        assert seen.text == hello.text
        await client.delete_messages(chat, hello.id)
        assert hello.deleted


async def test_menus_and_descriptions_are_kept_by_language(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        await client.set_bot_commands([BotCommand("help", "Help")])
        await client.set_bot_commands([BotCommand("help", "Hilfe")], language_code="de")
        await client.set_bot_info_description("Draws pictures")
        assert [command.description for command in bot.menu("de")] == ["Hilfe"]
        assert [command.description for command in bot.menu("fr")] == ["Help"]
        assert bot.info["description", ""] == "Draws pictures"
        assert [command.command for command in await client.get_bot_commands()] == ["help"]


async def test_a_question_is_answered_by_a_reply_and_a_time_is_shown_by_the_client(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    async with running(telegram, bot) as client:
        ann = telegram.person(42)
        await ann.says("hi", to=bot)
        said = '<b>New</b> prompt? <tg-time unix="1800000000" format="r">soon</tg-time>'
        question = await client.send_message(42, said, reply_markup=ForceReply(placeholder="a dog"))
        seen = await ann.sees(lambda message: message.asks)
        assert [(run.text, set(run.styles), run.time, run.format) for run in seen.runs] == [
            ("New", {"bold"}, None, ""),
            (" prompt? ", set(), None, ""),
            ("soon", set(), 1800000000, "r"),
        ]
        await ann.answers(seen, "a dog")
        await ann.sees(f"replied a dog to {question.id}")


async def test_a_bot_that_is_brought_into_a_group_hears_of_it(telegram: Telegram) -> None:
    bot = telegram.bot("tessera_bot")
    ann = telegram.person(42)
    group = telegram.group("Friends", bots=[], people=[ann])

    async def greet(_: Any, message: Any) -> None:
        await message.reply_text(f"hello {message.chat.title}")

    async with running(telegram, bot) as client:
        client.add_handler(MessageHandler(greet, filters.new_chat_members), group=-1)
        await telegram.adds(bot, group, ann)
        message = await ann.sees("hello Friends", where=group)
        await ann.reacts(message, "🔥")
        await client.send_reaction(-1_000_000_000_000 - group.id, message.id, emoji="👍")
        assert message.reactions == ["👍"]
