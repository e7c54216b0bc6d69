"""The page on which people chat with bots of both stand-ins: its stream and acts, and what other sites may not do."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import hikari
import pytest
from PIL import Image
from pyrogram import Client, filters
from pyrogram.handlers import CallbackQueryHandler, MessageHandler
from pyrogram.types import BotCommand, InlineKeyboardButton, InlineKeyboardMarkup

from frontends.standins.demo import demo_chats
from frontends.standins.discord import Discord
from frontends.standins.page import serve
from frontends.standins.telegram import Telegram
from tests.fixtures.chromium import tab

ANN = {"id": 1001, "name": "Ann", "language": "de"}


def picture() -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(out, "PNG")
    out.name = "picture.png"
    out.seek(0)
    return out


@pytest.fixture
async def url(telegram: Telegram, discord: Discord) -> AsyncIterator[str]:
    async with serve({"telegram": telegram, "discord": discord}) as url:
        yield url


@pytest.fixture
async def drawing(telegram: Telegram) -> AsyncIterator[str]:
    """A bot on Telegram that draws; the id that it has."""
    bot = telegram.bot("tessera_bot")
    client: Any = Client(
        "page", 1, "h", bot_token=bot.token, in_memory=True, connection_factory=telegram.connection_factory
    )

    async def draw(_: Any, message: Any) -> None:
        markup = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])
        await message.reply_photo(picture(), caption=f"drew {message.text or message.caption}", reply_markup=markup)

    async def again(_: Any, query: Any) -> None:
        await query.answer("drawing again")
        await query.message.edit_caption("drawn again")

    client.add_handler(MessageHandler(draw, filters.incoming & (filters.text | filters.photo)))
    client.add_handler(CallbackQueryHandler(again))
    async with client:
        await client.set_bot_commands([BotCommand("generate", "Macht ein Bild")], language_code="de")
        yield str(bot.id)


class Browser:
    """What the page's script would do, by HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url.rstrip("/")

    async def acts(self, name: str, **wanted: Any) -> Any:
        headers = {"Origin": self.url}
        async with self.session.post(f"{self.url}/{name}", json={"who": ANN, **wanted}, headers=headers) as response:
            return await response.json()

    async def told(self, stream: aiohttp.ClientResponse, event: str, holds: Any) -> Any:
        """The next data of this event for which this is true."""
        async with asyncio.timeout(10):
            kind = ""
            async for line in stream.content:
                if line.startswith(b"event: "):
                    kind = line[7:].decode().strip()
                elif line.startswith(b"data: ") and kind == event:
                    data = json.loads(line[6:])
                    if holds(data):
                        return data
        raise AssertionError(f"no {event} any more")


@pytest.fixture
async def browser(url: str) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as session:
        yield Browser(session, url)


def words(message: Any) -> str:
    return "".join(run["text"] for run in message["runs"])


async def test_a_chat_goes_through_the_page(browser: Browser, drawing: str, telegram: Telegram) -> None:
    async with browser.session.get(f"{browser.url}/events", params=ANN) as stream:  # type: ignore[arg-type]
        overview = await browser.told(stream, "overview", lambda data: data["bots"]["telegram"][0]["menu"])
        assert overview["bots"]["telegram"][0]["menu"][0]["description"] == "Macht ein Bild"
        to = {"platform": "telegram", "bot": drawing}
        assert await browser.acts("says", text="a cat", **to) == {
            "text": None,
            "alert": False,
            "url": None,
            "form": None,
        }
        drawn = await browser.told(stream, "message", lambda data: words(data) == "drew a cat")
        assert drawn["chat"] == f"bot:{drawing}"
        where = {"Range": "bytes=1-3"}
        async with browser.session.get(browser.url + drawn["media"][0]["url"], headers=where) as part:
            assert (part.status, await part.read(), part.content_type) == (206, b"PNG", "image/png")
        answer = await browser.acts("presses", platform="telegram", message=drawn["id"])
        assert answer["text"] == "drawing again"
        changed = await browser.told(stream, "message", lambda data: data["id"] == drawn["id"] and data["edited"])
        assert words(changed) == "drawn again"
        query = {"act": json.dumps({"who": ANN, "text": "like this", **to}), "name": "me.png"}
        photo = f"{browser.url}/sends_photo"
        headers = {"Origin": browser.url}
        async with browser.session.post(photo, params=query, data=picture().read(), headers=headers) as response:
            assert response.status == 200
        await browser.told(stream, "message", lambda data: words(data) == "drew like this")
    assert telegram.violations == []


async def test_a_form_is_filled_and_what_is_impossible_is_said(browser: Browser, discord: Discord) -> None:
    account = discord.bot("Tessera")
    bot = hikari.GatewayBot(
        account.token, rest_url=discord.rest_url, banner=None, logs=None, intents=hikari.Intents.NONE
    )

    async def card(event: hikari.CommandInteractionCreateEvent) -> None:
        row = bot.rest.build_message_action_row()
        row.add_interactive_button(hikari.ButtonStyle.PRIMARY, "edit", label="Edit")
        await event.interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, "a card", component=row)

    async def form(event: hikari.ComponentInteractionCreateEvent) -> None:
        field = bot.rest.build_modal_action_row().add_text_input("prompt", "New prompt", value="a cat")
        await event.interaction.create_modal_response("Edit", "form", component=field)

    async def filled(event: hikari.ModalInteractionCreateEvent) -> None:
        [[typed]] = event.interaction.components
        said = f"now {typed.value}"
        await event.interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, said, flags=64)

    bot.subscribe(hikari.CommandInteractionCreateEvent, card)
    bot.subscribe(hikari.ComponentInteractionCreateEvent, form)
    bot.subscribe(hikari.ModalInteractionCreateEvent, filled)
    await bot.start(check_for_updates=False)
    try:
        await bot.rest.set_application_commands(account.id, [bot.rest.slash_command_builder("card", "A card")])
        ann = discord.person(1001, "Ann", "de")
        to = {"platform": "discord", "bot": str(account.id)}
        assert "not registered" in (await browser.acts("says", text="/nonsense", **to))["error"]
        await browser.acts("says", text="/card", **to)
        shown = await ann.sees("a card")
        opened = await browser.acts("presses", platform="discord", message=str(shown.id))
        assert opened["form"]["fields"][0]["label"] == "New prompt"
        key = opened["form"]["key"]
        await browser.acts("fills", platform="discord", form=key, fields={"prompt": "a dog"})
        assert (await ann.sees("now a dog")).hidden
        assert (await browser.acts("fills", platform="discord", form="nonsense"))["error"]
        assert (await browser.acts("presses", platform="discord", message="7"))["error"] == "That message is gone."
    finally:
        await bot.close()


async def test_other_sites_are_kept_out(browser: Browser) -> None:
    session, url = browser.session, browser.url
    async with session.get(url, headers={"Host": "evil.example"}) as response:
        assert response.status == 403
    async with session.post(f"{url}/says", json={"who": ANN}, headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
    async with session.get(url) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert (await response.text()).count("http") == 0
    for wrong in ({"who": ANN, "platform": 7}, {"who": {**ANN, "id": "x"}}):
        async with session.post(f"{url}/says", json=wrong, headers={"Origin": url}) as response:
            assert response.status == 422
    async with session.get(f"{url}/events", params={"id": "x"}) as response:
        assert response.status == 422
    async with session.get(f"{url}/media/telegram/77/0") as response:
        assert response.status == 404


TYPE = """(() => {
  const column = document.querySelector("[data-platform=telegram]")
  const text = column.querySelector("textarea")
  text.value = TEXT
  text.dispatchEvent(new Event("input"))
  return column.querySelector(".suggestions").textContent
})()"""
SEND = 'document.querySelector("[data-platform=telegram] form").requestSubmit()'


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 400])
async def test_a_person_chats_in_a_real_browser(url: str, drawing: str, telegram: Telegram, width: int) -> None:
    async with tab(url, width) as page:
        await page.until("document.querySelector('[data-platform=telegram] .chats')?.value")
        await page.evaluate(
            "who.elements.language.value = 'de'; who.dispatchEvent(new Event('change'))".replace(
                "who", "document.querySelector('#who')"
            )
        )
        await page.until("document.querySelector('[data-platform=telegram] .chats')?.value")
        async with asyncio.timeout(10):
            while "Macht ein Bild" not in await page.evaluate(TYPE.replace("TEXT", "'/gen'")):
                await asyncio.sleep(0.1)
        await page.evaluate(TYPE.replace("TEXT", "'/generate a cat'"))
        await page.evaluate(SEND)
        await page.until("document.querySelector('.message img')?.naturalWidth === 64")
        await page.evaluate("document.querySelector('.message .buttons button').click()")
        await page.until("document.querySelector('#toasts')?.textContent.includes('drawing again')")
        await page.until("[...document.querySelectorAll('.message .text')].some(t => t.textContent === 'drawn again')")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        columns = "[...document.querySelectorAll('.column')].filter(c => c.offsetWidth > 0).length"
        assert await page.evaluate(columns) == (2 if width > 800 else 1)
        assert page.complaints == []
    assert telegram.violations == []


async def test_a_demonstration_has_the_same_tokens_after_a_restart() -> None:
    names = (["tessera_bot", "tessera_video_bot"], ["Tessera"])
    async with demo_chats(*names) as first:
        told = [bot.token for platform in (first.telegram, first.discord) for bot in platform.roster()]
        async with aiohttp.ClientSession() as session, session.get(first.url) as response:
            assert response.status == 200
        assert [group.title for group in first.telegram.places(first.telegram.person(1002))] == ["Friends"]
    async with demo_chats(*names) as second:
        assert told == [bot.token for platform in (second.telegram, second.discord) for bot in platform.roster()]
    assert len(set(told)) == 3
