"""What holds for every text: nothing is lost, nothing invented, and the echo tells what was understood."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import chain

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontends.bots.language.echo import echo
from frontends.bots.language.flags import FIELDS
from frontends.bots.language.grammar import understand
from frontends.bots.language.scanning import HAN, clean, fold, plain
from frontends.bots.language.tongue import LANGUAGES, tongue
from frontends.bots.language.wishes import ASPECTS, SIDES, Kind, Names, Understood, Wishes

NAMES = Names.of(
    {"sdxl": "sdxl", "SDXL Turbo": "sdxl-turbo", 'odd "one", v2': "odd (2)", "4k": "4k"},
    {"watercolor": "watercolor", "no people": "no-people", "🎨": "🎨"},
)
WORD = re.compile(rf"[{HAN}]|(?:[^\W_{HAN}][\u0300-\u036f]*)+")
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
LENGTH = 10_000
FUZZED = 10_000
NASTY = [
    "👩‍👩‍👧 seed 42, wide",
    "\u202eediw ,24 dees\u202c, wide",
    "wi\u200bde, se\u200ded 42",
    "\ufeffwide, seed 42\x00, no\x00people",
    "wíde, tamaño 640x480, tan\u0303o",
    "seed ④②, seed ４２, seed ٤٢, seed 𝟜𝟚, ³ pictures",
    "а саt, widе, ѕeed 42",
    "\ud800 seed 42, \udfff wide",
    "İSTANBUL, SEED 42, ẞ, WIDE",
    "--", "——", "--no", "--ar", "-- no x", "--no --no --no", "--no ,,,", '--no ""', '--no "', '--model "" --style',
    ",,,", "((((", "))))", "\"\"\"\"", "«»", "„“”", "...", "\n\n\n", "\t", "", " ", "、、", "。",
    "seed " + "9" * 5_000, "1" * LENGTH, "9:" * 3_000, "10x" * 3_000, "x".join("1" * 9_000),
]  # fmt: skip


def vocabulary(language: str) -> list[str]:
    """What a language has phrases for, with numbers in the places, as somebody would type it."""
    words = tongue(language).words
    lists = chain(
        *words["phrases"].values(), *words["aspects"].values(), *words["sides"].values(),
        *(words[role] for role in ("fillers", "courtesies", "requests", "of", "closing", "without", "no", "idioms")),
    )  # fmt: skip
    return [re.sub(r"\S*\|", "", pattern.removesuffix(" !")).replace("?", "") for pattern in lists]


PLACES = {
    "#": ["3", "42", "7.5", "2,5", "４２", "three", "drei", "две", "三", "999999", "-1"],
    "@": ["16:9", "1:1", "３：２"],
    "~": ["1024x768", "640 × 480"],
    "$": ["sdxl", "sdxl turbo", "watercolor", "no people", 'odd "one", v2', "🎨"],
}
MARKS = [
    ", ",
    "，",
    ". ",
    "\n",
    " ",
    "",
    "; ",
    " - ",
    "、",
    '"',
    "“",
    "”",
    "«",
    "»",
    "(",
    ")",
    "<",
    ">",
    "--",
    "—",
    ":",
]
PLAIN = [
    "a fox",
    "лиса",
    "一只猫",
    "Straße",
    "2:1",
    "4k",
    "1080p",
    "10:10",
    "x",
    "💡",
    "\u200d",
    "\u0301",
    "é",
    "'s",
    "\x00",
]


@st.composite
def texts(draw: st.DrawFn, language: str) -> str:
    phrases = sorted({*vocabulary(language), *vocabulary("en")})
    flags = [f"--{name}" for name in FIELDS]
    pieces = draw(st.lists(st.one_of(*map(st.sampled_from, (phrases, phrases, flags, PLAIN, MARKS))), max_size=12))
    filled = [re.sub(r"[#@~$]", lambda place: draw(st.sampled_from(PLACES[place[0]])), piece) for piece in pieces]
    return "".join(piece + draw(st.sampled_from([" ", " ", ", ", "", "，"])) for piece in filled)


def words(text: str) -> list[str]:
    return WORD.findall(text)


def holds(text: str, language: str, kind: Kind | None = None) -> Understood:
    told = understand(text, language, kind=kind, names=NAMES)
    consumed = [word for start, end in told.spans for word in words(clean(text)[start:end])]
    assert Counter(words(told.prompt)) + Counter(consumed) == Counter(words(clean(text))), (text, told)
    rest = iter(words(clean(text)))
    assert all(word in rest for word in words(told.prompt)), (text, told)
    assert all(start < end for start, end in told.spans)
    nothing_is_invented(told, " ".join(text[start:end] for start, end in told.spans), language)
    again = understand(told.echo, language, kind=kind, names=NAMES)
    assert (again.wishes, again.prompt, again.echo) == (told.wishes, "", told.echo), (text, told, again)
    assert "\n" not in told.echo
    assert bool(told.echo) == bool(told.wishes)
    return told


def nothing_is_invented(told: Understood, consumed: str, language: str) -> None:
    view = fold(plain(consumed))
    in_words = {
        str(number) for code in LANGUAGES for word, number in tongue(code).words["numbers"].items() if word in view
    }
    said = {float(number.replace(",", ".")) for number in [*NUMBER.findall(view), *in_words]}
    for field, value in msgspec.to_builtins(told.wishes).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert float(value) in said, (field, told)
    assert all(word in words(consumed) for one in told.wishes.negatives for word in words(one)), told
    if told.wishes.aspect and told.wishes.aspect not in ASPECTS:
        assert {float(side) for side in told.wishes.aspect.split(":")} <= said, told


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_lost_or_invented_and_the_echo_says_it_again(language: str) -> None:
    understood = Counter[str]()

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(texts(language), st.sampled_from([None, "image", "video"]))
    def check(text: str, kind: Kind | None) -> None:
        understood.update(list(msgspec.to_builtins(holds(text, language, kind).wishes)))

    check()
    assert len(understood) > 5, "the texts are about something"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.sampled_from(LANGUAGES))
def test_any_text_can_be_read(text: str, language: str) -> None:
    holds(text, language)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_text_loses_nothing(text: str) -> None:
    for language in LANGUAGES:
        holds(text, language)


@pytest.mark.torture
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fuzzer_finds_nothing(language: str) -> None:
    @settings(max_examples=FUZZED, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(texts(language), st.text(max_size=300)), st.sampled_from([None, "image", "video"]))
    def check(text: str, kind: Kind | None) -> None:
        holds(text, language, kind)

    check()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_wish_is_told_so_that_it_is_understood_again(language: str) -> None:
    numbers = [1, 2, 3, 4, 5, 11, 21, 22, 99]
    said = [
        msgspec.convert({field: number}, Wishes)
        for field in ("count", "seed", "steps", "fps", "frames")
        for number in numbers
    ]
    said += [Wishes(kind=kind, count=number) for kind in ("image", "video") for number in numbers]
    said += [
        msgspec.convert({field: number}, Wishes) for field in ("guidance", "seconds") for number in (1.0, 2.5, 21.25)
    ]
    said += [Wishes(strength=0.05), Wishes(seed=2**53 - 1), Wishes(frames=9_999), Wishes(steps=999), Wishes(raw=True)]
    said += [*(Wishes(aspect=aspect) for aspect in ASPECTS), *(Wishes(side=side) for side in SIDES)]
    said += [Wishes(kind="image"), Wishes(kind="video"), Wishes(width=640), Wishes(height=480), Wishes(aspect="2:1")]
    for wishes in said:
        told = echo(wishes, language, lambda line: understand(line, language).wishes)
        again = understand(told, language)
        assert (again.wishes, again.prompt) == (wishes, ""), told


def test_what_is_quoted_stays_in_the_prompt() -> None:
    for opening, closing in ('""', "“”", "„“", "«»", "「」", "()", "[]", "（）", "《》"):
        quoted = f"{opening}wide, 3 pictures, seed 42, --no people{closing}"
        told = holds(f"a sign {quoted}, seed 7", "en")
        assert told.prompt == f"a sign {quoted}"
        assert told.wishes.seed == 7


def test_a_text_with_no_wish_stays_as_it_is() -> None:
    text = "  a fox;  a hen ,\n and   «a   wall»…  "
    assert understand(text, "en").prompt == text.strip()


REPEATED = [
    *["a ", " ", ",", ", wide", "no people, ", "--no a ", "--seed 1 ", "seed ", "three ", "(", ")", "(a)", '"', '"a" '],
    *["a.", "!", "…", "灯", "三张，", "， ", "1", "1,", "9:9 ", "9:9:", "10x10", "é", "e\u0301", "it's", "with "],
    *["in the ", "— ", "««", "a\n", "-", ": ", "# "],
]


@pytest.mark.parametrize("piece", REPEATED, ids=range(len(REPEATED)))
def test_the_work_is_proportional_to_the_length(piece: str) -> None:
    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        began = time.process_time()
        understand(text, "en", names=NAMES)
        return time.process_time() - began

    few, many = seconds(LENGTH // 10), min(seconds(LENGTH) for _ in range(2))
    assert many < max(25 * few, 0.05)
