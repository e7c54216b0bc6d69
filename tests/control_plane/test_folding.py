"""Disguises do not help, whatever they are and however they are combined."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.conduct import folding
from control_plane.conduct.folding import fold, readings, skeleton

TWINS = {
    "a": "аα𝐚ａ",
    "c": "сϲⅽｃ",
    "d": "ԁⅾｄ",
    "e": "еｅ℮",
    "h": "һｈ",
    "i": "іıｉ",
    "k": "ｋ𝐤",
    "n": "ｎ𝐧",
    "o": "оοｏ",
    "p": "рｐρ",
    "s": "ѕｓ",
    "t": "ｔ𝐭",
    "u": "ｕ𝐮",
    "x": "хｘ",
    "y": "уｙ",
}
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\ufe0f\u0301\u0336\u20dd\U000e0061"


@st.composite
def disguised(draw: st.DrawFn, word: str) -> str:
    """The word with look-alikes, fullwidth letters, capitals, accents and invisible characters anywhere."""
    found = draw(st.text(INVISIBLE, max_size=2))
    for letter in word:
        twins = [letter, letter.upper(), *TWINS.get(letter, ""), chr(ord(letter) + 0xFEE0)]
        found += draw(st.sampled_from(twins)) + draw(st.text(INVISIBLE, max_size=2))
    return found


@given(st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    for reading in readings(text):
        assert fold(reading) == reading


@given(st.sampled_from(["naked", "hentai", "explicit", "sex", "child", "pussycat"]).flatmap(disguised))
@settings(max_examples=400, deadline=None)
def test_a_disguised_word_reads_like_itself(text: str) -> None:
    assert skeleton(text).split("\n")[0] in {
        skeleton(word) for word in ("naked", "hentai", "explicit", "sex", "child", "pussycat")
    }


@pytest.mark.parametrize(
    "text",
    [
        "n a k e d",
        "n.a.k.e.d",
        "na-ked",
        "n_aked",
        "N4K3D",
        "n@k3d",
        "nàkëd",
        "ＮＡＫＥＤ",
        "𝓷𝓪𝓴𝓮𝓭",
        "nаkеd",
        "na\u200bked",
    ],
)
def test_a_word_is_found_however_it_is_set(text: str) -> None:
    assert " naked " in skeleton(f"a {text} statue")


def test_i_and_l_and_1_are_one() -> None:
    assert skeleton("chiId") == skeleton("child") == skeleton("ch1ld") == skeleton("chi1d")


def test_numbers_stay_numbers() -> None:
    assert skeleton("12 years, 2048 by 1024") == " 12 years 2048 by 1024 "


def test_a_language_of_its_own_is_itself_in_any_case() -> None:
    for text in ("Привет мир", "ΚΑΛΗΜΕΡΑ ΚΟΣΜΕ", "हिन्दी", "ไทย", "한국어", "ガラス", "עברית", "العربية"):
        assert set(skeleton(text.lower()).split("\n")) <= set(skeleton(text).split("\n"))
        assert fold(text.lower()) == fold(fold(text.lower()))
    assert skeleton("हिन्दी") == " हिन्दी ", "a script that spells with marks keeps them"


def test_what_stands_alone_stays_alone() -> None:
    assert skeleton("a b, then c") == " a b then c "
    assert skeleton("plain words, and (brackets)!") == " piain words and brackets "


@pytest.mark.parametrize("part", ["a.", "a ", "1a", "a1", "a@", "е1", "é", "\u0301", "ﷺ", "a    ", "İ", "한", "_a"])
def test_the_longest_prompt_of_anything_is_read_in_no_time(part: str) -> None:
    text = (part * 4_000)[:4_000]
    started = time.perf_counter()
    skeleton(text)
    assert time.perf_counter() - started < 0.5


def test_every_reading_is_composed() -> None:
    for reading in readings("Å ﬁ ① ㍿ ½ é"):
        assert unicodedata.is_normalized("NFKC", reading)
    assert folding.words("Sci-Fi") == ["sci", "fi"]
