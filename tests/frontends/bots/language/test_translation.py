"""Prompts are translated by a LibreTranslate server over real HTTP, and go as they were typed whenever it fails."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from frontends.bots.dialogue.requests import Answer, Problem, Translate, Translated
from frontends.bots.errands import Errands
from frontends.bots.language import translation
from frontends.bots.language.detection import detect
from frontends.bots.language.translation import TRANSLATE_SECONDS, Translation, Translator
from frontends.client import Client
from tests.frontends.bots.language.test_grammar_examples import examples
from tests.standins.libretranslate import LibreTranslate, libretranslate

GERMAN = "ein Leuchtturm im Sturm"
ENGLISH = "a lighthouse in the storm"


@pytest.fixture
async def server() -> AsyncIterator[LibreTranslate]:
    async with libretranslate() as standin:
        yield standin


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def translator(server: LibreTranslate, session: aiohttp.ClientSession) -> Translator:
    return Translator(session, server.url)


def goes_as_typed(told: Translation, outcome: str) -> bool:
    return told.text == told.typed and told.outcome == outcome


@pytest.mark.parametrize(
    ("typed", "text", "language"),
    [
        (GERMAN, ENGLISH, "de"),
        ("маяк в шторм", "lighthouse in a storm", "ru"),
        ("暴风雨中的灯塔", "lighthouse in a storm", "zh"),
    ],
)
async def test_what_the_model_does_not_read_is_translated(
    translator: Translator, typed: str, text: str, language: str
) -> None:
    told = await translator.translate(typed, "en")
    assert told == Translation(typed=typed, text=text, outcome="translated", language=language)


async def test_what_the_model_reads_is_not_sent_anywhere(translator: Translator, server: LibreTranslate) -> None:
    assert goes_as_typed(await translator.translate(ENGLISH, "de"), "kept")
    assert goes_as_typed(await translator.translate("暴风雨中的灯塔", "zh", ("en", "zh")), "kept")
    assert goes_as_typed(await translator.translate("🦊 42", "en"), "kept")
    assert goes_as_typed(await translator.translate("dramatic lighthouse", "en"), "kept")
    assert server.asked == []


async def test_the_server_decides_what_is_not_clear(translator: Translator, server: LibreTranslate) -> None:
    told = await translator.translate("un phare dans la tempête", "fr-CA")
    assert (told.text, told.outcome, told.language) == (ENGLISH, "translated", "fr")
    server.detects = "en"
    assert goes_as_typed(await translator.translate("dramatic lighthouse", "fr"), "kept")
    assert [question["source"] for question in server.asked] == ["fr", "auto"]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('ein Schild mit "ein Leuchtturm im Sturm"', 'a sign with "ein Leuchtturm im Sturm"'),
        ("(ein Schild mit „ein Leuchtturm im Sturm“)", "(a sign with „ein Leuchtturm im Sturm“)"),
        (f"{GERMAN} <lora:im Stil von:0.8>", f"{ENGLISH} <lora:im Stil von:0.8>"),
        (f"{GERMAN} im Stil von Ohwx Mann", f"{ENGLISH} in the style of Ohwx Mann"),
        (f'"a" {GERMAN} "b", "c"', f'"a" {ENGLISH} "b", "c"'),
        (f"XQ0Z {GERMAN} «XQ1Z»", f"XQ0Z {ENGLISH} «XQ1Z»"),
    ],
)
async def test_quotations_loras_and_triggers_stay_as_they_are(
    translator: Translator, server: LibreTranslate, typed: str, text: str
) -> None:
    told = await translator.translate(typed, "de", triggers=["ohwx mann", "mann"])
    assert (told.text, told.outcome) == (text, "translated")
    assert all("ohwx" not in question["q"].lower() and '"' not in question["q"] for question in server.asked)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("XQ1Z", ""),
        lambda text: text + " XQ0Z",
        lambda text: text + " XQ7Z",
        lambda text: text.replace("XQ0Z", "XQ1Z"),
        lambda text: text.replace("XQ", "X Q"),
        lambda text: text + " XQ" + "9" * 5_000 + "Z",
        lambda text: "",
        lambda text: text + " word" * 2_000,
    ],
)  # fmt: skip
async def test_a_translation_that_damages_what_must_stay_is_not_taken(
    translator: Translator, server: LibreTranslate, damage: Callable[[str], str]
) -> None:
    server.damage = damage
    typed = f'"eins" {GERMAN} "zwei"'
    assert goes_as_typed(await translator.translate(typed, "de"), "failed")
    assert len(server.asked) == 1


async def test_placeholders_may_move_and_change_their_case(translator: Translator, server: LibreTranslate) -> None:
    server.damage = lambda text: "xq 1 z " + text.replace(" XQ1Z", "")
    told = await translator.translate(f'"eins" {GERMAN} "zwei"', "de")
    assert told.text == f'"zwei" "eins" {ENGLISH}'


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None), (400, None), (429, None), (302, None), (200, b"<html>"), (200, b"{}"), (200, b""),
        (200, b'{"translatedText": 5}'), (200, b"\xff\xfe"), (200, b'"' + b"x" * 70_000 + b'"'),
    ],
)  # fmt: skip
async def test_a_server_that_talks_nonsense_changes_nothing(
    translator: Translator, server: LibreTranslate, status: int, body: bytes | None
) -> None:
    server.status, server.body = status, body
    assert goes_as_typed(await translator.translate(GERMAN, "de"), "failed")
    server.status, server.body = 200, None
    assert (await translator.translate(GERMAN, "de")).text == ENGLISH, "a fault is not remembered"


async def test_a_slow_server_is_waited_for_three_seconds_and_then_left_alone(
    translator: Translator, server: LibreTranslate
) -> None:
    server.delay_seconds = 60
    began = time.monotonic()
    assert goes_as_typed(await translator.translate(GERMAN, "de"), "failed")
    assert TRANSLATE_SECONDS - 0.1 < time.monotonic() - began < TRANSLATE_SECONDS + 1
    assert goes_as_typed(await translator.translate("маяк в шторм", "ru"), "failed")
    assert len(server.asked) == 1, "it was not asked again"
    assert time.monotonic() - began < TRANSLATE_SECONDS + 1


async def test_a_server_that_is_not_there_changes_nothing(session: aiohttp.ClientSession) -> None:
    assert goes_as_typed(await Translator(session, "http://127.0.0.1:9").translate(GERMAN, "de"), "failed")


async def test_without_a_server_it_is_said_what_the_model_does_not_read(session: aiohttp.ClientSession) -> None:
    lonely = Translator(session, None)
    assert goes_as_typed(await lonely.translate(GERMAN, "en"), "unread")
    assert goes_as_typed(await lonely.translate("dramatic lighthouse", "de"), "kept")
    assert goes_as_typed(await lonely.translate("暴风雨中的灯塔", "en", ("en", "zh")), "kept")
    assert goes_as_typed(await lonely.translate(GERMAN, "en", ("en", "zh")), "unread")


async def test_what_shall_not_be_there_is_translated_with_the_prompt_and_from_its_language(
    server: LibreTranslate, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """One word hardly tells which language it is; the prompt beside it does."""

    errands = Errands(Client(session, "http://127.0.0.1:9", "k"), tmp_path, Translator(session, server.url))

    async def told(typed: str, unwanted: str) -> Answer | Problem:
        asked = Translate(typed=typed, unwanted=unwanted, client_code="en", reads=("en",))
        return await errands.run(asked, "telegram:1", nothing_sent)

    assert await told(GERMAN, "Möwen") == Translated(text=ENGLISH, unwanted="seagulls", outcome="translated")
    assert [question["source"] for question in server.asked] == ["de", "de"]
    assert await told(GERMAN, "") == Translated(text=ENGLISH, outcome="translated")
    assert await told(ENGLISH, "gulls") == Translated(text=ENGLISH, unwanted="gulls", outcome="kept")
    server.status = 500
    assert await told(GERMAN, "Wellen") == Translated(text=ENGLISH, unwanted="Wellen", outcome="failed")


async def nothing_sent(reference: str, folder: Path) -> Path:
    raise AssertionError("nothing is fetched")


async def test_what_was_translated_is_remembered_within_bounds(translator: Translator, server: LibreTranslate) -> None:
    for _ in range(3):
        assert (await translator.translate(GERMAN, "de")).text == ENGLISH
    assert len(server.asked) == 1
    for number in range(translation.REMEMBERED_MAX + 10):
        await translator.translate(f"der Sturm und die Nacht {number}", "de")
    assert len(server.asked) == translation.REMEMBERED_MAX + 11
    await translator.translate(f"der Sturm und die Nacht {number}", "de")
    assert len(server.asked) == translation.REMEMBERED_MAX + 11
    await translator.translate(GERMAN, "de")
    assert len(server.asked) == translation.REMEMBERED_MAX + 12, "the oldest was forgotten"


async def test_the_key_of_the_server_goes_along(server: LibreTranslate, session: aiohttp.ClientSession) -> None:
    server.api_key = "secret"
    assert (await Translator(session, server.url + "/").translate(GERMAN, "de")).outcome == "failed"
    assert (await Translator(session, server.url + "/", "secret").translate(GERMAN, "de")).text == ENGLISH


@pytest.mark.parametrize("language", ["es", "de", "ru", "zh"])
def test_most_prompts_of_the_examples_are_found_in_their_language(language: str) -> None:
    prompts = [prompt for _, prompt, _ in examples(language) if prompt]
    found = [detect(prompt, language) for prompt in prompts]
    assert found.count(language) > 0.8 * len(found)
    assert found.count("en") < 0.05 * len(found)


def test_english_prompts_are_not_taken_for_another_language() -> None:
    prompts = [prompt for _, prompt, _ in examples("en") if prompt and prompt.isascii() and "ohne" not in prompt]
    assert {detect(prompt) for prompt in prompts} <= {"en", None}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("夜の街を歩く猫", "ja"), ("바다 위의 등대", "ko"), ("маяк в шторм", "ru"), ("маяк у бурі, вітер", "uk"),
        ("منارة في العاصفة", "ar"), ("φάρος στην καταιγίδα", "el"), ("a portrait of Ольга", "en"),
        ("灯塔 in a storm, 4k", "en"), ("暴风雨中的灯塔 cinematic lighting", "zh"), ("sdxl bokeh", None),
        ('a sign "ein Haus und der Hund"', "en"), ("", None), ("12345", None), ("\x00\ud800", None),
        ("una casa en la playa", "es"), ("der Hund und die Katze", "de"), ("a dog and a cat in the house", "en"),
        ("un phare dans la tempête", "fr"), ("uma raposa na floresta com neve", "pt"), ("un faro en la", None),
    ],
)  # fmt: skip
def test_the_language_of_a_text_is_found_or_left_open(text: str, language: str | None) -> None:
    assert detect(text) == language
