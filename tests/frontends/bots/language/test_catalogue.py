"""Every sentence can be said in every language: translated, with its slots and plurals, short enough, and used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from babel import Locale

from control_plane.errors.root import TesseraError
from control_plane.wire.job import JobStatus, WaitingReason
from frontends.bots.dialogue.events import Command
from frontends.bots.dialogue.rendering import sentence
from frontends.bots.dialogue.wishing import clippings
from frontends.bots.language.bounds import Clipped
from frontends.bots.language.catalogue import LENGTH_MAX, TEXT_MAX, Slot, pieces, say, slots_of
from frontends.bots.language.grammar import understand
from frontends.bots.language.tongue import FALLBACK, FOLDER, LANGUAGES, choose, tongue
from frontends.bots.limits import PLATFORMS

ROOT = Path(__file__).parents[4]
BOTS = ROOT / "frontends" / "bots"
ENGLISH = tongue(FALLBACK)
OTHERS = [code for code in LANGUAGES if code != FALLBACK]
COUNTS = [0, 1, 2, 3, 5, 11, 21, 22, 25, 101, 111, 1_000, 1_000_000]
LONG: dict[str, Slot] = {
    "languages": ["en", "zh", "es"],
    "plain": 9_007_199_254_740_991,
    "duration": 7_200.0,
    "when": "2027-11-23T22:00:00Z",
}
UNIT_NUMBER = 12_345
SAME = {
    *{"Original", "Info", "Panorama", "Plan", "Workers: {workers}", "guidance {number:plain}"},
    *{"Seed {seed:plain} · {cost:tokens}", "status, workers, pause, resume, drain, ban, grant, refund, why"},
}
"""What is the same in English and another language."""
LISTED = {"command", "menu", "option"}
"""First parts of keys that are handed to the platforms; the rest is the name of a command or of an option of one."""
ALONE = {"unknown", "unreachable", "adult-content", "prompt-too-long"}
"""Problems that no API tells of."""


def forms(sentence: str | dict[str, str]) -> list[str]:
    return [sentence] if isinstance(sentence, str) else list(sentence.values())


def how(sentence: str | dict[str, str]) -> set[tuple[str, str]]:
    return {(piece.slot, piece.how) for form in forms(sentence) for piece in pieces(form) if piece.slot}


def samples(key: str, language: str) -> dict[str, Slot]:
    """Something long for every slot."""
    slots: dict[str, Slot] = {}
    for name, spec in how(tongue(language).sentences[key]):
        slots[name] = LONG.get(spec, UNIT_NUMBER if spec else "W" * 16)
    return slots | {name: UNIT_NUMBER for name in ("count",) if name in slots_of(tongue(language).sentences[key])}


def categories(language: str) -> set[str]:
    return {*Locale.parse(language).plural_form.tags, "other"}


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def constants() -> tuple[set[str], set[re.Pattern[str]]]:
    """Texts in the code of the bots, and the patterns of texts that are put together there."""
    whole, made = set(), set()
    for path in BOTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            if isinstance(node, ast.JoinedStr):
                made.add(
                    "".join(
                        re.escape(str(one.value)) if isinstance(one, ast.Constant) else "(.+)" for one in node.values
                    )
                )
    return whole, {re.compile(pattern) for pattern in made if pattern[:1].isalpha()}


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Each call that says a sentence by its key: where, which, and the slots that it fills."""
    for path in BOTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in {"say", "said"} or any(keyword.arg is None for keyword in node.keywords):
                continue
            filled = {str(keyword.arg) for keyword in node.keywords}
            for key in keys(node.args[0]):
                yield f"{path.name}:{node.lineno}", key, filled


def keys(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*keys(node.body), *keys(node.orelse))


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated(language: str) -> None:
    told = tongue(language).sentences
    assert ENGLISH.sentences.keys() - told.keys() == set(), "untranslated"
    assert told.keys() - ENGLISH.sentences.keys() == set(), "not said in English"
    words = {key: " ".join(piece.text for form in forms(said) for piece in pieces(form)) for key, said in told.items()}
    assert [
        key
        for key, said in told.items()
        if said == ENGLISH.sentences[key] and said not in SAME and re.search(r"[^\W\d_]{2}", words[key])
    ] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_same_slots(language: str) -> None:
    told = tongue(language).sentences
    units = set(tongue(language).units)
    wrong = [key for key, said in told.items() if slots_of(said) != slots_of(ENGLISH.sentences[key])]
    assert wrong == []
    shaped = {key: {pair for pair in how(said) if pair[1] not in units} for key, said in told.items()}
    english = {key: {pair for pair in how(said) if pair[1] not in units} for key, said in ENGLISH.sentences.items()}
    assert {
        key: pairs for key, pairs in shaped.items() if {*pairs} - {("count", "")} != {*english[key]} - {("count", "")}
    } == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_plural_has_the_forms_of_its_language(language: str) -> None:
    speaker = tongue(language)
    plurals = {key: set(said) for key, said in speaker.sentences.items() if isinstance(said, dict)}
    plurals |= {f"unit {name}": set(said) for name, said in speaker.units.items()}
    assert {name: found for name, found in plurals.items() if found != categories(language)} == {}
    assert all("{n}" in form for unit in speaker.units.values() for form in unit.values())
    assert speaker.units.keys() == ENGLISH.units.keys()
    assert len(plurals) > 15
    assert {key for key in ENGLISH.sentences if isinstance(ENGLISH.sentences[key], dict)} == {
        key for key in speaker.sentences if isinstance(speaker.sentences[key], dict)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said_and_is_short_enough(language: str) -> None:
    long = {}
    for key in tongue(language).sentences:
        most = LENGTH_MAX.get(key.partition(".")[0], TEXT_MAX)
        slots = samples(key, language)
        said = max((say(key, language, **slots | {"count": count}) for count in COUNTS), key=utf16)
        assert said.strip(), key
        assert key == "echo.joint" or said == said.strip(), key
        if utf16(said) > most:
            long[key] = (utf16(said), most)
    assert long == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_commands_of_the_context_menu_have_different_names(language: str) -> None:
    names = [said for key, said in tongue(language).sentences.items() if key.startswith("menu.")]
    assert len({str(name) for name in names}) == len(names)


def test_every_sentence_is_used() -> None:
    whole, made = constants()
    values = whole | {*get_args(JobStatus), *get_args(WaitingReason), *slugs(), *ALONE}

    fields = set(Command.__struct_fields__)

    def used(key: str) -> bool:
        found = [match for pattern in made if (match := pattern.fullmatch(key))]
        if key.partition(".")[0] in LISTED and key.partition(".")[2] in values | fields:
            return True
        return key in values or any(all(used(group) for group in match.groups()) for match in found)

    assert [key for key in ENGLISH.sentences if not used(key)] == []


def slugs() -> set[str]:
    return {kind.slug for kind in TesseraError.__subclasses__()}


def test_every_problem_that_has_a_sentence_is_one_of_the_api() -> None:
    import control_plane.errors  # the tree is whole once the package is read

    told = {key.removeprefix("problem.") for key in ENGLISH.sentences if key.startswith("problem.")}
    assert len(slugs()) > 30, control_plane.errors.__name__
    assert told - slugs() - ALONE == set()


def test_every_reason_to_wait_has_a_sentence() -> None:
    assert {f"waiting.{reason}" for reason in get_args(WaitingReason)} <= ENGLISH.sentences.keys()


def test_whoever_says_a_sentence_fills_its_slots() -> None:
    found = list(calls())
    assert len(found) > 50
    assert [(place, key) for place, key, _ in found if key not in ENGLISH.sentences] == []
    wrong = [(place, key, filled) for place, key, filled in found if slots_of(ENGLISH.sentences[key]) - filled]
    assert wrong == []


def test_numbers_lists_and_moments_are_written_as_the_language_writes_them() -> None:
    assert say("buy.credited", "de", count=12_345) == "Danke! 12.345 Token wurden gutgeschrieben."
    assert [say("echo.pictures", "ru", count=count) for count in (1, 2, 5, 21, 112)] == [
        "1 картинка", "2 картинки", "5 картинок", "21 картинка", "112 картинок",
    ]  # fmt: skip
    assert say("link.done", "es", platforms=["Discord", "Telegram"]).startswith("Unidas: Discord y Telegram.")
    assert say("link.done", "zh", platforms=["A", "B", "C"]).startswith("已关联：A、B和C。")
    assert say("plan.paid_until", "en", when=datetime(2027, 3, 1, 15, tzinfo=UTC)).startswith(
        "Paid for until Mar 1, 2027,"
    )
    assert "3 Minuten" in say("order.ready", "de", ready=timedelta(seconds=170))
    assert say("result.seed", "en", seed=9_007_199_254_740_991, cost=1) == "Seed 9007199254740991 · 1 token"


def test_what_a_person_typed_is_never_taken_for_a_slot() -> None:
    assert say("order.understood", "en", what="{cost} {0} {{x}} %s {n}") == "Understood: {cost} {0} {{x}} %s {n}"


def test_a_sentence_without_its_slot_is_our_own_mistake() -> None:
    with pytest.raises(KeyError, match="what"):
        say("order.understood", "en")
    with pytest.raises(KeyError, match=r"no\.such"):
        say("no.such", "en")


@pytest.mark.parametrize(
    ("client", "wish", "spoken"),
    [
        ("de", None, "de"), ("de-AT", None, "de"), ("zh-hans", None, "zh"), ("zh_Hant_TW", None, "zh"),
        ("pt-br", None, "en"), ("", None, "en"), (None, None, "en"), ("RU", None, "ru"), ("es-419", None, "es"),
        ("de", "ru", "ru"), ("de", "xx", "de"), ("fr", "en", "en"), ("../de", None, "en"), ("en-GB", None, "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_persons_wish_or_their_clients(client: str | None, wish: str | None, spoken: str) -> None:
    assert choose(client, wish) == spoken


def test_a_language_is_one_file() -> None:
    assert {path.stem for path in FOLDER.iterdir() if path.suffix != ".pyc"} == set(LANGUAGES)
    assert len({tongue(code).name for code in LANGUAGES}) == len(LANGUAGES) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_people_are_shown_as_an_example_is_understood(language: str) -> None:
    example = say("option.prompt", language).split("：" if language == "zh" else ": ", 1)[1]
    told = understand(example, language)
    assert told.wishes.aspect == "wide"
    assert (told.wishes.count, told.wishes.seed, len(told.wishes.negatives)) == (3, 42, 1)
    assert told.prompt
    assert understand(say("placeholder.prompt", language), language).wishes.aspect == "wide"
    help_line = say("page.help_image", language, name="Tessera").splitlines()[0]
    wishes = re.split("[:：] ?", help_line, maxsplit=1)[1]
    shown = understand(re.sub(r"[,，、][^,，、]*…….*|[,，][^,，]*…$", "", wishes).rstrip(".。"), language).wishes
    assert (shown.seed, shown.steps, len(shown.negatives)) == (42, 30, 1), shown


def test_what_was_clipped_is_told_with_what_it_is_a_number_of() -> None:
    english, telegram = FALLBACK, PLATFORMS["telegram"]
    told = [
        sentence(line, english, telegram)
        for line in clippings(
            (Clipped("steps", "300", "50"), Clipped("count", "9", "4"), Clipped("size", "9x9", "8x8"))
        )
    ]
    assert told[0] == "300 steps cannot be had here; made with 50 steps."
    assert told[1].startswith("9 versions")
    assert told[2].startswith("9x9 cannot")
    assert sentence(clippings((Clipped("seconds", "2.5", ""),))[0], "de", telegram).startswith("2,5 Sekunden geht")
