"""The stand-in of Discord, through the genuine library: commands, buttons, forms and messages, and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import hikari
import pytest
from PIL import Image

from frontends.standins.discord import Discord
from frontends.standins.discord.bots import Bot
from frontends.standins.person import Form


def picture(width: int = 64, height: int = 48) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 90)).save(out, "PNG")
    return out.getvalue()


def buttons(bot: hikari.GatewayBot, **pairs: str) -> Any:
    row = bot.rest.build_message_action_row()
    for label, data in pairs.items():
        row.add_interactive_button(hikari.ButtonStyle.SECONDARY, data, label=label)
    return row


async def register(bot: hikari.GatewayBot) -> None:
    application = await bot.rest.fetch_application()
    generate = bot.rest.slash_command_builder("generate", "Makes a picture")
    generate.set_description_localizations({hikari.Locale.DE: "Macht ein Bild"})
    generate.set_integration_types(
        [hikari.ApplicationIntegrationType.GUILD_INSTALL, hikari.ApplicationIntegrationType.USER_INSTALL]
    )
    for kind, name, needed in (
        (hikari.OptionType.STRING, "prompt", True),
        (hikari.OptionType.INTEGER, "count", False),
        (hikari.OptionType.ATTACHMENT, "image", False),
    ):
        generate.add_option(hikari.CommandOption(type=kind, name=name, description=name, is_required=needed))
    models = bot.rest.slash_command_builder("models", "What it draws with")
    option = hikari.CommandOption(
        type=hikari.OptionType.STRING, name="model", description="Its name", autocomplete=True, is_required=True
    )
    models.add_option(option)
    remix = bot.rest.context_menu_command_builder(hikari.CommandType.MESSAGE, "Remix")
    await bot.rest.set_application_commands(application.id, [generate, models, remix])


async def command(bot: hikari.GatewayBot, event: hikari.CommandInteractionCreateEvent) -> None:
    asked = event.interaction
    options = {option.name: option.value for option in asked.options or ()}
    if asked.command_name == "Remix":
        assert asked.resolved is not None
        [target] = asked.resolved.messages.values()
        said = f"remix of {target.content}"
        await asked.create_initial_response(
            hikari.ResponseType.MESSAGE_CREATE, said, flags=hikari.MessageFlag.EPHEMERAL
        )
        return
    await asked.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
    if "image" in options:
        assert asked.resolved is not None
        data = await asked.resolved.attachments[options["image"]].read()  # type: ignore[index]
        await asked.edit_initial_response(f"got {len(data)} bytes, {asked.attachment_size_limit}")
        return
    await asked.edit_initial_response(f"{options['prompt']}: 50%", component=buttons(bot, Cancel="cancel:1"))
    row = buttons(bot, Again="again:1", Edit="edit:1")
    await asked.edit_initial_response(
        f"{options['prompt']}", attachment=hikari.Bytes(picture(), "cat.png"), component=row
    )


async def press(bot: hikari.GatewayBot, event: hikari.ComponentInteractionCreateEvent) -> None:
    asked = event.interaction
    if asked.custom_id.startswith("again"):
        await asked.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_UPDATE)
        await asked.edit_initial_response("again", attachment=hikari.Bytes(picture(96, 32), "again.png"))
        return
    field = bot.rest.build_modal_action_row().add_text_input("prompt", "New prompt", value="a cat")
    await asked.create_modal_response("Edit the prompt", "form:1", component=field)


async def fill(event: hikari.ModalInteractionCreateEvent) -> None:
    value = event.interaction.components[0].components[0].value
    await event.interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, f"new prompt: {value}")


async def complete(event: hikari.AutocompleteInteractionCreateEvent) -> None:
    typed = str(event.interaction.options[0].value)
    known = [name for name in ("sdxl", "sd15", "flux") if name.startswith(typed)]
    await event.interaction.create_response([hikari.impl.AutocompleteChoiceBuilder(name, name) for name in known])


async def direct(event: hikari.DMMessageCreateEvent) -> None:
    if event.is_human:
        await event.message.respond(f"you said {event.content}", reply=True)


@asynccontextmanager
async def running(
    discord: Discord, account: Bot, intents: hikari.Intents = hikari.Intents.DM_MESSAGES, **options: Any
) -> AsyncIterator[hikari.GatewayBot]:
    bot = hikari.GatewayBot(
        account.token,
        rest_url=discord.rest_url,
        banner=None,
        logs=None,
        intents=intents,
        suppress_optimization_warning=True,
        **options,
    )

    async def on_command(event: hikari.CommandInteractionCreateEvent) -> None:
        await command(bot, event)

    async def on_press(event: hikari.ComponentInteractionCreateEvent) -> None:
        await press(bot, event)

    bot.subscribe(hikari.CommandInteractionCreateEvent, on_command)
    bot.subscribe(hikari.ComponentInteractionCreateEvent, on_press)
    bot.subscribe(hikari.ModalInteractionCreateEvent, fill)
    bot.subscribe(hikari.AutocompleteInteractionCreateEvent, complete)
    if intents & hikari.Intents.DM_MESSAGES:
        bot.subscribe(hikari.DMMessageCreateEvent, direct)
    try:
        await bot.start(check_for_updates=False)
        await register(bot)
        yield bot
    finally:
        if bot.is_alive:
            await bot.close()


async def refused(call: Callable[[], Awaitable[object]], status: int, code: int = 0) -> None:
    with pytest.raises(hikari.HTTPResponseError) as error:
        await call()
    assert error.value.status == status
    assert getattr(error.value, "code", 0) == code


async def test_a_dialogue_is_seen_as_the_person_would_see_it(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account):
        assert account.menu("de")[0].description == "Macht ein Bild"
        ann = discord.person(42, "Ann", "de")
        await ann.says("/generate a cat count:2", to=account)
        shown = await ann.sees(lambda message: message.media)
        assert (shown.text, shown.media[0].data, shown.edits) == ("a cat", picture(), ["a cat: 50%"])
        await ann.presses(shown.button("Again"))
        await discord.changes.until(lambda: shown.text == "again" and shown.media[-1].width == 96, 5)
        answer = await ann.presses(shown.button("Edit"))
        assert isinstance(answer.form, Form)
        assert [(field.label, field.value) for field in answer.form.fields] == [("New prompt", "a cat")]
        await ann.answers(answer.form, "a dog")
        await ann.sees("new prompt: a dog")
        remix = await ann.uses("Remix", on=shown, of=account)
        private = await ann.sees("remix of again")
        assert private.hidden
        assert remix.response is private
        assert await ann.completes(account, "models", "model", "sd") == ["sdxl", "sd15"]
        await ann.sends_photo(picture(), "/generate like this", to=account)
        await ann.sees(f"got {len(picture())} bytes, 10485760")
        await ann.says("hello", to=account)
        await ann.sees("you said hello")
    assert (discord.violations, discord.unanswered) == ([], [])


async def test_a_command_that_the_client_would_not_let_pass_does_not(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account):
        ann = discord.person(42)
        with pytest.raises(AssertionError, match="needs"):
            await ann.says("/generate", to=account)
        with pytest.raises(AssertionError, match="not registered"):
            await ann.says("/nonsense", to=account)
        with pytest.raises(ValueError, match="many"):
            await ann.calls(account, "generate", prompt="a cat", count="many")


async def test_a_bot_in_a_server_may_do_what_it_was_allowed(discord: Discord) -> None:
    account, uninvited = discord.bot("Tessera"), discord.bot("Guest")
    ann, ben = discord.person(42), discord.person(43, "Ben")
    group = discord.group("Friends", bots=[account], people=[ann, ben], admins=[ben])
    async with running(discord, account, hikari.Intents.GUILDS) as bot, running(discord, uninvited) as guest:
        async with asyncio.timeout(5):
            while bot.cache.get_guild(group.guild_id) is None:
                await asyncio.sleep(0.01)
        await ann.says("/generate a cat", to=account, where=group)
        await ben.sees("a cat", where=group)
        await ann.uses("Remix", on=group.messages[-1], of=account)
        await ann.sees("remix of", where=group)
        assert all("remix of" not in message.text for message in ben.messages())
        group.forbids(account, "SEND_MESSAGES")
        await refused(lambda: bot.rest.create_message(group.id, "hi"), 403, 50013)
        await refused(lambda: guest.rest.create_message(group.id, "hi"), 403, 50001)
        with pytest.raises(AssertionError, match="not registered"):
            await ann.says("/generate a dog", to=uninvited, where=group)
        ann.installs(uninvited)
        await ann.says("/generate a dog", to=uninvited, where=group)
        await ben.sees("a dog", by=uninvited)
        channel = await bot.rest.create_dm_channel(43)
        assert (await channel.send("a word in private")).content == "a word in private"
        await ben.sees("a word in private")
        await ben.blocks(account)
        await refused(lambda: channel.send("again"), 403, 50007)
    assert discord.violations == []


async def test_what_is_too_much_is_refused_and_counted(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account) as bot:
        ann = discord.person(42)
        await ann.says("hi", to=account)
        chat = discord.chat(ann, account)
        await ann.sees("you said hi")
        await refused(lambda: bot.rest.create_message(chat.id, "x" * 2001), 400, 50035)
        large = hikari.Bytes(bytes(11 << 20), "film.mp4")
        await refused(lambda: bot.rest.create_message(chat.id, "film", attachment=large), 413)
        too_long = buttons(bot, Press="x" * 101)
        await refused(lambda: bot.rest.create_message(chat.id, "x", component=too_long), 400, 50035)
        await ann.says("/generate a cat", to=account)
        shown = await ann.sees(lambda message: message.media)
        asked = next(iter(discord.interactions.values()))
        discord.clock.advance(15 * 60)
        late = bot.rest.edit_interaction_response
        await refused(lambda: late(account.id, asked.token, "late"), 401, 50027)
        assert shown.text == "a cat"
        said = [one.said for one in discord.violations]
        assert len(said) == 3
        assert said[1] == "413 Request entity too large"


async def test_the_library_keeps_to_the_limits_that_the_headers_tell(discord: Discord) -> None:
    discord.buckets = [("POST", "/channels/{channel}/messages", 5, 0.3)]
    account = discord.bot("Tessera")
    async with running(discord, account) as bot:
        ann = discord.person(42)
        await ann.says("hi", to=account)
        await ann.sees("you said hi")
        chat = discord.chat(ann, account)
        began = asyncio.get_running_loop().time()
        for number in range(11):
            await bot.rest.create_message(chat.id, f"{number}")
        assert asyncio.get_running_loop().time() - began > 0.3
        assert discord.violations == []


async def test_a_client_that_does_not_keep_to_them_is_told_to_wait(discord: Discord) -> None:
    discord.buckets = [("POST", "/channels/{channel}/messages", 5, 500.0)]
    account = discord.bot("Tessera")
    ann = discord.person(42)
    await ann.says("hi", to=account)
    url = f"{discord.rest_url}/channels/{discord.chat(ann, account).id}/messages"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {account.token}"}) as session:
        for left in (4, 3, 2, 1, 0):
            async with session.post(url, json={"content": "hi"}) as response:
                assert response.headers["X-RateLimit-Remaining"] == str(left)
        async with session.post(url, json={"content": "hi"}) as response:
            said = await response.json()
            assert (response.status, said["global"], response.headers["X-RateLimit-Scope"]) == (429, False, "user")
            assert 0 < said["retry_after"] <= 100
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(session.get(f"{discord.rest_url}/users/@me")) for _ in range(400)]
        answers = [one.result() for one in asked]
        assert {one.headers.get("X-RateLimit-Global") for one in answers if one.status == 429} == {"true"}
        assert sum(one.status == 200 for one in answers) >= 40
    assert {one.bot for one in discord.violations} == {"Tessera"}


@pytest.mark.slow
async def test_a_dropped_gateway_is_resumed_and_nothing_is_missed(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account):
        ann = discord.person(42)
        assert await discord.drops(account) == 1
        await ann.says("while you were away", to=account)
        await ann.sees("you said while you were away", within=10)
        assert (account.identifies, account.resumes) == (1, 1)


@pytest.mark.slow
async def test_the_library_tries_again_after_a_bad_gateway(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account) as bot:
        ann = discord.person(42)
        await ann.says("hi", to=account)
        broken = discord.faults.refuse("POST /channels", 502, 0, "bad gateway", times=2)
        await ann.sees("you said hi", within=15)
        await bot.rest.create_message(discord.chat(ann, account).id, "and again")
        assert broken.hits == 2


@pytest.mark.slow
async def test_sessions_end_in_every_way_that_the_platform_has(discord: Discord) -> None:
    discord.heartbeat_ms = 500
    account = discord.bot("Tessera")
    async with running(discord, account):
        ann = discord.person(42)
        await discord.asks_to_reconnect(account)
        await ann.says("one", to=account)
        await ann.sees("you said one", within=15)
        assert (account.identifies, account.resumes) == (1, 1)
        discord.stops_beating(account)
        async with asyncio.timeout(15):
            while account.resumes < 2:
                await asyncio.sleep(0.05)
        discord.clock.advance(5)
        await discord.invalidates(account, resumable=False)
        async with asyncio.timeout(20):
            while account.identifies < 2:
                await asyncio.sleep(0.05)
        await ann.says("two", to=account)
        await ann.sees("you said two", within=15)
    assert discord.violations == []


async def test_faults_come_true_as_often_as_wished(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account) as bot:
        ann = discord.person(42)
        await ann.says("hi", to=account)
        await ann.sees("you said hi")
        chat = discord.chat(ann, account)
        lost = discord.faults.lose("PATCH /channels")
        message = await bot.rest.create_message(chat.id, "before")
        with contextlib.suppress(hikari.HTTPError, TimeoutError):
            async with asyncio.timeout(0.5):
                await bot.rest.edit_message(chat.id, message, "after")
        assert lost.hits == 1
        await ann.sees("after")
        held = discord.faults.hold("POST /channels", done=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bot.rest.create_message(chat.id, "held"))
            await held.reached.wait()
            await ann.sees("held")
            held.release()
    assert discord.violations == []


async def test_a_late_answer_is_refused_and_a_revoked_token_ends_a_bot(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with running(discord, account) as bot:
        ann = discord.person(42)
        slow = discord.faults.hold("POST /interactions")
        asked = await ann.calls(account, "generate", prompt="a cat")
        await slow.reached.wait()
        discord.clock.advance(4)
        slow.abandon()
        late = bot.rest.create_interaction_response
        await refused(lambda: late(asked.id, asked.token, hikari.ResponseType.MESSAGE_CREATE, "late"), 404, 10062)
        assert discord.unanswered == [asked]
        await discord.revokes(account)
        await refused(bot.rest.fetch_my_user, 401)
    discord.violations.clear()
    with pytest.raises(hikari.UnauthorizedError):
        async with running(discord, account):
            pass


READY, INVALID, HELLO = 0, 9, 10


async def identified(discord: Discord, session: aiohttp.ClientSession, **said: Any) -> Any:
    """What the gateway answers to an IDENTIFY: its first payload, or the code that it closes with."""
    async with session.ws_connect(discord.gateway_url) as socket:
        assert (await socket.receive_json())["op"] == HELLO
        await socket.send_json({"op": 2, "d": {"intents": 0, **said}})
        answer = await socket.receive()
        return socket.close_code if answer.type is not aiohttp.WSMsgType.TEXT else answer.json()


async def test_the_gateway_keeps_its_own_limits(discord: Discord) -> None:
    account = discord.bot("Tessera")
    async with aiohttp.ClientSession() as session:
        token = account.token
        assert await identified(discord, session, token="nonsense") == 4004
        assert await identified(discord, session, token=token, shard=[2, 2]) == 4010
        assert await identified(discord, session, token=token, intents=1 << 40) == 4013
        assert await identified(discord, session, token=token, intents=1 << 15) == 4014
        ready = await identified(discord, session, token=token, shard=[0, 2])
        assert (ready["op"], ready["t"], account.starts_left) == (READY, "READY", 999)
        assert (await identified(discord, session, token=token, shard=[1, 2]))["op"] == INVALID
        assert [one.call for one in discord.violations] == ["IDENTIFY"]
        discord.clock.advance(5)
        assert (await identified(discord, session, token=token, shard=[1, 2]))["t"] == "READY"
        discord.heartbeat_ms = 100
        async with session.ws_connect(discord.gateway_url) as socket:
            await socket.receive()
            await socket.receive()
            assert socket.close_code == 4009
