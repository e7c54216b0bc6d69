"""The stand-in of Telegram, through the genuine client library: what a bot of that library can do there, and what a
person sees of it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from PIL import Image
from pyrogram import Client, filters
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
from pyrogram.handlers import CallbackQueryHandler, MessageHandler, PreCheckoutQueryHandler
from pyrogram.types import (
    BotCommand,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    LabeledPrice,
)

from frontends.standins.changes import NotSeen
from frontends.standins.telegram import Declined, Telegram
from frontends.standins.telegram.bots import Bot

QUIET = {"fetch_replies": False, "fetch_topics": False, "fetch_stories": False, "fetch_stickers": False}


def picture(width: int = 64, height: int = 48, name: str = "picture.png") -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 90)).save(out, "PNG")
    out.name = name
    out.seek(0)
    return out


def keyboard(**buttons: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(label, callback_data=data)] for label, data in buttons.items()])


@asynccontextmanager
async def running(telegram: Telegram, bot: Bot, **options: Any) -> AsyncIterator[Any]:
    """A client of the genuine library that answers a few commands."""
    settings = {"in_memory": True, "workers": 4, "sleep_threshold": 0, **QUIET, **options}
    client = Client(
        bot.name,
        api_id=1,
        api_hash="h",
        bot_token=bot.token,
        connection_factory=telegram.connection_factory,
        **settings,
    )
    answers(client)
    async with client:
        yield client


async def start(_: Any, message: Any) -> None:
    hello = {"de": "Hallo"}.get(message.from_user.language_code, "Hello")
    await message.reply_text(f"{hello} {message.from_user.first_name} {' '.join(message.command[1:])}".strip())


async def generate(bot: Any, message: Any) -> None:
    prompt = " ".join(message.command[1:])
    status = await message.reply_text(f"Queued: {prompt}", reply_markup=keyboard(Cancel="cancel:1"))
    await status.edit_text(f"{prompt}: 50%", reply_markup=keyboard(Cancel="cancel:1"))
    await bot.send_photo(message.chat.id, picture(), caption=prompt, reply_markup=keyboard(Again="again:1"))
    await status.delete()


async def pressed(_: Any, query: Any) -> None:
    await query.answer(f"pressed {query.data}", show_alert=True)
    if query.data == "again:1":
        media = InputMediaPhoto(picture(96, 32), caption="again")
        await query.message.edit_media(media, reply_markup=keyboard(Again="again:2"))


async def photo(bot: Any, message: Any) -> None:
    data = await bot.download_media(message, in_memory=True)
    await message.reply_text(f"got {len(data.getvalue())} bytes: {message.caption}")


async def buy(bot: Any, message: Any) -> None:
    prices = [LabeledPrice(label="100 tokens", amount=50)]
    await bot.send_invoice(
        message.chat.id, title="Tokens", description="100", payload="t:100", currency="XTR", prices=prices
    )


async def checkout(_: Any, query: Any) -> None:
    await query.answer(query.from_user.first_name != "Eve", error_message="not for you")


async def paid(_: Any, message: Any) -> None:
    payment = message.successful_payment
    await message.reply_text(f"paid {payment.total_amount} {payment.currency} for {payment.invoice_payload}")


async def replied(_: Any, message: Any) -> None:
    await message.reply_text(f"replied {message.text} to {message.reply_to_message_id}")


def answers(client: Any) -> None:
    reply = filters.incoming & filters.reply & filters.text & ~filters.command(["generate", "start"])
    for handler in (
        MessageHandler(start, filters.command("start")),
        MessageHandler(generate, filters.command("generate")),
        MessageHandler(buy, filters.command("buy")),
        MessageHandler(photo, filters.photo),
        MessageHandler(paid, filters.successful_payment),
        MessageHandler(replied, reply),
        CallbackQueryHandler(pressed),
        PreCheckoutQueryHandler(checkout),
    ):
        client.add_handler(handler)


async def refused(call: Callable[[], Awaitable[object]], error: type[Exception]) -> None:
    with pytest.raises(error):
        await call()


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
