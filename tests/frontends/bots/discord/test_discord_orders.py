"""Orders on Discord, as people place them, see them come, and go on from there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from frontends.bots.dialogue.effects import Edit
from frontends.bots.dialogue.rendering import sentence
from frontends.bots.dialogue.screen import Artifact, Card, Said
from frontends.bots.dialogue.state import Scene
from frontends.bots.discord.addresses import Address
from frontends.bots.language.catalogue import say
from frontends.bots.limits import DISCORD
from frontends.standins.discord.interactions import Interaction
from frontends.standins.discord.messages import Message
from frontends.standins.discord.people import Person
from frontends.standins.person import Form
from tests.fixtures.chatroom import at_work
from tests.fixtures.discord_bots import Stage
from tests.fixtures.marks import picture
from tests.fixtures.people import at_ease, count
from tests.fixtures.queue import one, rows
from tests.fixtures.skins import BUTTONS
from tests.fixtures.working import staffing

ORDER = "a lighthouse, 64x64, 1 step, model testcard"


def told(key: str, language: str, **slots: Any) -> str:
    """A sentence as it stands in a message."""
    return sentence(Said(key, slots), language, DISCORD)


def label(name: str, language: str, **slots: Any) -> str:
    return say(f"button.{name}", language, **{"number": 1} | slots)


async def ordered(stage: Stage, ann: Person, text: str = ORDER, **where: Any) -> Message:
    """The message with the pictures."""
    last = max([message.id for message in ann.messages()], default=0)
    await ann.says(f"/generate {text}", to=stage.account, **where)
    return await ann.sees(lambda message: message.media and message.id > last)


async def pressed(stage: Stage, ann: Person, shown: Message, name: str) -> Message:
    """The message that a button of a message leads to."""
    await ann.presses(shown.button(label(name, ann.language)))
    newest = max(message.id for message in ann.messages())
    return await ann.sees(lambda message: message.id >= newest and message is not shown)


@pytest.mark.slow
async def test_a_command_is_answered_at_once_becomes_the_picture_and_every_button_works(
    stage: Stage, owner_url: str
) -> None:
    people = [stage.discord.person(42, "Ann", "en"), stage.discord.person(43, "Ben", "de")]
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await asyncio.gather(*(_uses_every_button(stage, person, person.language, owner_url) for person in people))
        await program.settled()
    assert {(person.language, name) for person in people for name in BUTTONS} <= program.pressed


async def _uses_every_button(stage: Stage, ann: Person, language: str, owner_url: str) -> None:
    shown = await ordered(stage, ann)
    at_ease(owner_url)
    assert told("result.image", language, count=1) in shown.text
    assert told("order.taken", language, cost=1) in shown.edits[0]
    assert "a lighthouse" in shown.text
    again = await pressed(stage, ann, shown, "again")
    await stage.discord.changes.until(lambda: again.media, 10)
    assert [message.media != [] for message in ann.messages()] == [True, True], "one message each"
    answer = await ann.presses(shown.button(label("edit", language)))
    assert isinstance(answer.form, Form)
    assert (answer.form.title, answer.form.fields[0].value) == (say("field.image_title", language), "a lighthouse")
    await ann.answers(answer.form, "a lighthouse at night, 2 steps")
    await ann.sees(lambda message: message.media and "at night" in message.text)
    varied = await pressed(stage, ann, shown, "vary")
    await stage.discord.changes.until(lambda: varied.media, 10)
    larger = await pressed(stage, ann, shown, "upscale")
    await stage.discord.changes.until(lambda: larger.media, 10)
    film = await pressed(stage, ann, shown, "animate")
    await stage.discord.changes.until(lambda: film.buttons, 10)
    await ann.presses(film.button(label("cancel", language)))
    await stage.discord.changes.until(lambda: told("ended.canceled", language) in film.text, 10)
    await ann.says("/history", to=stage.account)
    history = await ann.sees(told("history.title", language))
    old = await pressed(stage, ann, history, "number")
    assert told("ended.canceled", language) in old.text
    original = await pressed(stage, ann, shown, "original")
    await stage.discord.changes.until(lambda: original.media, 10)
    assert (original.text, original.media[0].data) == (told("result.original", language), shown.media[0].data)
    info = await pressed(stage, ann, shown, "info")
    assert "testcard" in info.text
    shared = await pressed(stage, ann, shown, "share")
    await stage.discord.changes.until(lambda: shared.media, 10)
    form = (await ann.presses(shared.button(label("report", language)))).form
    assert form is not None
    thanks = (await ann.answers(form, "too many gulls")).message
    assert thanks is not None
    assert thanks.text == told("report.taken", language)
    asked = await pressed(stage, ann, shown, "delete")
    assert asked.text == told("press.really_delete", language)
    await ann.presses(asked.button(label("delete_for_good", language)))
    await stage.discord.changes.until(lambda: asked.text == told("press.deleted", language), 5)
    assert shown.deleted, "the picture is gone from the chat too"


async def test_an_order_is_canceled_at_every_stage(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "es")
    async with stage.program() as program:
        await ann.says(f"/generate {ORDER}", to=stage.account)
        shown = await ann.sees(told("order.taken", "es", cost=1))
        answer = await ann.presses(shown.button(label("cancel", "es")))
        assert answer.text == told("toast.canceling", "es")
        await stage.discord.changes.until(lambda: told("ended.canceled", "es") in shown.text, 5)
        await program.settled()


async def test_what_is_chosen_beside_the_words_is_understood_with_them(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program():
        await ann.says("/help", to=stage.account)
        await ann.sees("/status")
        at_ease(owner_url)
        names = await ann.completes(stage.account, "generate", "model", "test")
        assert names == ["Test card picture"]
        await ann.calls(
            stage.account,
            "generate",
            prompt="a lighthouse",
            shape="3:2",
            count=2,
            seed=7,
            without="people, boats",
            model="testcard",
        )
        shown = await ann.sees(lambda message: "a lighthouse" in message.text)
        understood = shown.text.replace("\\", "")
        for wish in ("3:2", "2 versions", "seed 7", "people, boats", "model testcard"):
            assert wish in understood, wish


async def test_a_picture_comes_along_with_a_command_in_a_message_and_in_a_reply(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.sends_photo(picture(), f"/generate like this, {ORDER}", to=stage.account)
        await ann.sees(lambda message: message.media and "like this" in message.text)
        sent = await ann.sends_photo(picture("red"), "as a drawing, 64x64, model testcard", to=stage.account)
        drawn = await ann.sees(lambda message: message.media and "as a drawing" in message.text)
        assert sent is not None
        assert drawn.reply_to == sent.id
        await ann.says("at night, 64x64, model testcard", to=stage.account, reply_to=drawn)
        await ann.sees(lambda message: message.media and "at night" in message.text)
        await program.settled()
    assert count(owner_url, "select count(*) from input_uses") == 3


async def test_words_in_private_are_an_order_and_several_pictures_are_one_message(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program(), at_work(stage.plane.service.hands):
        said = await ann.says(f"{ORDER}, 3 pictures", to=stage.account)
        shown = await ann.sees(lambda message: len(message.media) == 3)
        assert said is not None
        assert shown.reply_to == said.id
        asked = await pressed(stage, ann, shown, "vary")
        assert asked.text == told("press.which", "en")
        varied = await pressed(stage, ann, asked, "number")
        await stage.discord.changes.until(lambda: len(varied.media) == 1, 10)


async def test_a_message_of_the_bot_has_commands_of_its_own(stage: Stage, owner_url: str) -> None:
    people = [stage.discord.person(42, "Ann", "de"), stage.discord.person(43, "Ben", "es")]
    async with stage.program(), at_work(stage.plane.service.hands):
        offered = {command.name for command in stage.account.menu("es") if command.on == "message"}
        assert offered == {say(f"menu.{name}", "es") for name in ("remix", "upscale", "animate")}
        await asyncio.gather(*(_uses_every_command_on_a_message(stage, person, owner_url) for person in people))


async def _uses_every_command_on_a_message(stage: Stage, ann: Person, owner_url: str) -> None:
    def command(name: str) -> str:
        return say(f"menu.{name}", ann.language)

    shown = await ordered(stage, ann)
    at_ease(owner_url)
    remixed = await ann.uses(command("remix"), on=shown, of=stage.account)
    await stage.discord.changes.until(lambda: remixed.form, 5)
    assert remixed.form is not None
    await ann.answers(remixed.form, f"a lighthouse by night, {ORDER}")
    await ann.sees(lambda message: message.media and "by night" in message.text)
    for name in ("upscale", "animate"):
        made = await ann.uses(command(name), on=shown, of=stage.account)
        assert await _ordered_by(stage, made) is not shown
    plain = await ann.says("just so", to=stage.account)
    assert plain is not None
    nothing = await ann.uses(command("remix"), on=plain, of=stage.account)
    await stage.discord.changes.until(lambda: nothing.response, 5)
    assert nothing.response is not None
    assert nothing.response.text == told("press.no_picture", ann.language)


async def _ordered_by(stage: Stage, used: Interaction) -> Message:
    """The message that shows the order of a command on a message."""
    return await stage.discord.changes.until(
        lambda: used.response if used.response and used.response.buttons else None, 10
    )


async def test_one_message_shows_how_far_it_is_a_glimpse_and_then_the_picture_or_the_film(
    stage: Stage, tmp_path: Path, owner_url: str
) -> None:
    films = stage.hire("film", "video")
    ann, ben = stage.discord.person(42, "Ann", "en"), stage.discord.person(43, "Ben", "zh")
    async with stage.program() as program, staffing(stage.plane.service, tmp_path / "agent", picture_seconds=3.0):
        for person, bot in ((ann, stage.account), (ben, films)):
            await person.says("/help", to=bot)
            await person.sees("/status")
        at_ease(owner_url)
        await ann.says("/generate a lighthouse, 128x96, model testcard", to=stage.account)
        await ben.says("/generate 灯塔,64x64,1 秒,model testcard-video", to=films)
        status = await ann.sees(told("order.taken", "en", cost=1))
        await stage.discord.changes.until(lambda: [media.name[:8] for media in status.media] == ["preview."], 15)
        await stage.discord.changes.until(lambda: told("result.image", "en", count=1) in status.text, 15)
        assert [media.mime_type for media in status.media] == ["image/png"]
        assert any("▰" in text for text in status.edits)
        film = await ben.sees(lambda message: message.media and message.media[0].kind == "video", within=20)
        assert film.media[0].data[4:8] == b"ftyp"
        await program.settled()


async def test_a_glimpse_outlives_the_edits_that_come_before_and_after_it(stage: Stage, owner_url: str) -> None:
    """A newer face takes the place of the one that waits, and has no picture: what was to be seen goes along, once."""
    ann = stage.discord.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        status = await ordered(stage, ann)
        await program.settled()
        with rows(owner_url) as owner:
            job_id = UUID(str(one(owner, "select id from jobs")))
        scene = Scene(bot=stage.account.name, makes="image", platform_name="discord", chat="42", subject="42")
        given: dict[str, Any] = {"bytes": 1, "width": 64, "height": 64, "mime_type": "image/png", "shown_as": "photo"}
        seen = Artifact(job_id=job_id, index=0, identity="discord:42", **given)
        address = str(Address(status.place.id, status.id))

        async def edit(key: str, *media: Artifact) -> list[int]:
            card = Card(lines=[Said(key)], media=list(media))
            await program.bots[stage.account.name].perform(scene, Edit(message=address, card=card), "en")
            assert status.text == told(key, "en")
            return [attachment.id for attachment in status.attachments]

        first = await edit("order.running")
        waiting = asyncio.gather(edit("order.canceling"), edit("order.canceling", seen), edit("order.canceling"))
        _, _, second = await waiting
        assert (len(first), len(second), first == second) == (1, 1, False)
        assert await edit("order.running") == second
