"""Pictures on Telegram, both ways: from words to the result and what its buttons do; and pictures that are sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import pytest

from frontends.bots.dialogue.effects import Say
from frontends.bots.dialogue.screen import Artifact, Card
from frontends.bots.dialogue.state import Scene
from frontends.bots.language.catalogue import say
from frontends.standins.person import Message
from frontends.standins.telegram.people import Person
from tests.fixtures.chatroom import at_work
from tests.fixtures.marks import picture
from tests.fixtures.people import at_ease, count
from tests.fixtures.queue import one, rows
from tests.fixtures.skins import BUTTONS, ORDER
from tests.fixtures.telegram_bots import Stage, beginning, has_picture
from tests.fixtures.working import staffing

LOOKS: list[tuple[str, str, list[str]]] = [
    ("info", "info.id", []),
    ("share", "share.made_by_ai", ["photo"]),
    ("original", "result.original", ["document"]),
]
"""Buttons that show something, what it begins with, and its files."""


async def result(person: Person, before: int) -> Message:
    """The next picture with buttons."""
    return await person.sees(lambda message: message.id > before and shows_result(message), within=30)


def shows_result(message: Message) -> bool:
    """Unlike a status message with a preview."""
    return has_picture(message) and len(message.buttons) > 1


@pytest.mark.slow
async def test_words_become_a_picture_and_its_buttons_do_what_they_say(stage: Stage, owner_url: str) -> None:
    people = [stage.telegram.person(42, "Ann", "en"), stage.telegram.person(43, "Ben", "de")]
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await asyncio.gather(*(uses_every_button(stage, person, owner_url) for person in people))
        await program.settled()
    assert {(person.language, name) for person in people for name in BUTTONS} <= program.pressed
    for person in people:
        waiting = [
            message for message in person.messages() if message.buttons and message.buttons[0][0].label == "Cancel"
        ]
        assert waiting == [], "no status message is left"


async def uses_every_button(stage: Stage, person: Person, owner_url: str) -> None:
    language, bot = person.language, stage.account

    def label(key: str) -> str:
        return say(f"button.{key}", language)

    said = await person.says(ORDER, to=bot)
    shown = await result(person, said.id)
    at_ease(owner_url)
    assert (shown.media[0].kind, shown.reply_to) == ("photo", said.id)
    assert beginning("result.image", language, count=1) in shown.text
    for name, key, kinds in LOOKS:
        assert (await person.presses(shown.button(label(name)))).text is None
        told = await person.sees(beginning(key, language, name="Tessera"))
        assert [media.kind for media in told.media] == kinds
        if name == "share":
            await person.presses(told.button(label("report")))
            await person.answers(await person.sees(lambda message: message.asks), "that is my lighthouse")
            await person.sees(beginning("report.taken", language))
    await person.presses(shown.button(label("edit")))
    question = await person.sees(lambda message: message.asks and "a lighthouse" in message.text)
    assert [run.text for run in question.runs if "code" in run.styles] == ["a lighthouse"], "a touch copies it"
    await person.answers(question, "a lighthouse at night")
    edited = await result(person, question.id)
    assert "at night" in edited.text
    for name in ("again", "vary", "upscale"):
        before = max(message.id for message in person.messages())
        answer = await person.presses(edited.button(label(name)))
        assert answer.text == say("toast.ordering", language)
        await result(person, before)
    await person.presses(edited.button(label("animate")))
    film = await person.sees(lambda message: message.buttons and message.buttons[0][0].label == label("cancel"))
    await person.presses(film.button(label("cancel")))
    await person.sees(beginning("ended.canceled", language))
    await person.says("/history", to=bot)
    history = await person.sees(beginning("history.title", language))
    await person.presses(history.button("1"))
    await person.presses(edited.button(label("delete")))
    sure = await person.sees(beginning("press.really_delete", language))
    assert (await person.presses(sure.button(label("delete_for_good")))).text == say("toast.deleted", language)
    await stage.until(lambda: sure.text == say("press.deleted", language))
    assert edited.deleted, "the picture is gone from the chat too"


async def test_several_pictures_are_an_album_with_a_message_of_buttons(stage: Stage) -> None:
    ann = stage.telegram.person(42, "Ann", "es")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says("un faro, 3 imágenes, 64x64, 1 paso, model testcard", to=stage.account)
        shown = await ann.sees(beginning("result.image", "es", count=3))
        album = [message for message in ann.messages(by=stage.account) if message.album]
        assert len(album) == 3
        assert len({message.album for message in album}) == 1
        assert not any(message.buttons for message in album)
        await ann.presses(shown.button(say("button.vary", "es")))
        which = await ann.sees(beginning("press.which", "es"))
        await ann.presses(which.button("2"))
        await result(ann, which.id)
        await ann.presses(shown.button(say("button.original", "es")))
        original = await ann.sees(beginning("result.original", "es"))
        files = [message for message in ann.messages(by=stage.account) if message.album == original.album]
        assert [message.media[0].kind for message in files] == ["document"] * 3
        await program.settled()


async def test_a_picture_is_where_an_order_starts_from(stage: Stage, owner_url: str) -> None:
    ann, bot = stage.telegram.person(42, "Ann", "en"), stage.account
    words = "at night, 64x64, 1 step, model testcard"
    async with stage.program() as program, at_work(stage.plane.service.hands):
        photo = await ann.sends_photo(picture(), words, to=bot)
        shown = await result(ann, photo.id)
        said = await ann.says(f"/generate again {words}", to=bot, reply_to=photo)
        await result(ann, said.id)
        said = await ann.says(f"once more {words}", to=bot, reply_to=shown)
        await result(ann, said.id)
        sent = await ann.sends_file(picture(), "plan.png", "image/png", f"/generate {words}", to=bot)
        await result(ann, sent.id)
        told = await ann.sends_file(bytes(33 * 1024**2), "huge.png", "image/png", words, to=bot)
        await ann.sees(beginning("problem.too-large", "en"), after=told)
        await ann.sends_file(b"%PDF-1.7 nothing to see", "plan.pdf", "application/pdf", to=bot)
        album = [stage.telegram.draft(stage.telegram.chat(ann, bot), person=ann, text=text) for text in (words, "", "")]
        for one in album:
            one.album, one.file = 77, stage.telegram.files.photo("photo.png", picture(), int(time.time()))
            await stage.telegram.post(one)
        await result(ann, album[0].id)
        await program.settled()
    assert count(owner_url, "select count(*) from jobs") == 5
    assert count(owner_url, "select count(*) from job_specs where spec ->> 'input_image' is not null") == 5


async def test_while_it_is_made_one_message_shows_how_far_it_is(stage: Stage, tmp_path: Path, owner_url: str) -> None:
    """A real agent draws, with previews; a film is sent as one."""
    film_bot = stage.hire("film_bot", "video")
    ann, ben = stage.telegram.person(42, "Ann", "en"), stage.telegram.person(43, "Ben", "zh")
    async with stage.program() as program, staffing(stage.plane.service, tmp_path / "agent", picture_seconds=4.0):
        await ben.starts(film_bot)
        await ann.starts(stage.account)
        await ben.sees(lambda message: message.buttons)
        at_ease(owner_url)
        await ann.says("a lighthouse " + "in a very long storm " * 60 + "128x96, model testcard", to=stage.account)
        await ben.says("灯塔,64x64,1 秒,model testcard-video", to=film_bot)
        status = await ann.sees("Ordered for")
        await stage.until(lambda: status.media, 15)
        assert status.media[0].kind == "photo"
        await ann.sees(lambda message: message is not status and has_picture(message), within=15)
        film = (await ben.sees(lambda message: message.media and message.media[0].kind == "video", within=20)).media[0]
        assert (film.mime_type, film.data[4:8]) == ("video/mp4", b"ftyp")
        sent = next(message.file for message in stage.telegram.messages.values() if message.media == [film])
        assert sent is not None
        assert [one.duration > 0 for one in sent.attributes if hasattr(one, "duration")] == [True]
        await program.settled()
        assert status.deleted


async def test_what_is_covered_and_what_cannot_stand_together(stage: Stage, owner_url: str) -> None:
    """What the dialogue does not ask for on Telegram yet, but may."""
    ann = stage.telegram.person(42, "Ann", "en")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says(f"2 pictures, {ORDER}", to=stage.account)
        await ann.sees(beginning("result.image", "en", count=2))
        await program.settled()
        with rows(owner_url) as owner:
            job_id = UUID(str(one(owner, "select id from jobs")))
        photos = [artifact(job_id, index, "photo") for index in (0, 1)]
        documents = [artifact(job_id, index, "document") for index in (0, 1)]
        card = Card(media=[*photos, *documents, photos[0]], spoiler=True)
        scene = Scene(bot=stage.account.name, makes="image", platform_name="telegram", chat="42", subject="42")
        before = max(message.id for message in ann.messages())
        await program.bot.perform(scene, Say(key="covered", card=card), "en")
        await program.bot.perform(scene, Say(key="covered", card=card), "en")
        sent = [message for message in ann.messages() if message.id > before]
        assert [message.media[0].kind for message in sent] == ["photo", "photo", "document", "document", "photo"]
        assert {message.media[0].spoiler for message in sent} == {True}
        assert len({message.album for message in sent}) == 3


def artifact(job_id: UUID, index: int, shown_as: str) -> Artifact:
    given = {"mime_type": "image/png", "bytes": 1, "width": 64, "height": 64, "identity": "telegram:42"}
    return Artifact(job_id=job_id, index=index, shown_as=shown_as, **given)  # type: ignore[arg-type]
