"""What a text says, however it is dressed up: the forms in which prompts and blocked words are compared.

`fold` undoes disguises of characters: compatibility forms (fullwidth, mathematical, ligatures; NFKC of Unicode Annex
15), zero-width and other invisible characters, combining accents, case, and letters of other scripts that look like
Latin ones (the confusables of Unicode Technical Standard 39, from the package `confusable-homoglyphs`). It is
idempotent. `skeleton` goes on to words alone: digits among letters are the letters that they stand for, `i` and `l` are
one, punctuation is gone. Both sides of a comparison are folded, so what is lost is lost on both. Everything takes time
in proportion to the text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from string import ascii_lowercase, digits

from confusable_homoglyphs.confusables import confusables_data

ROUNDS_MAX = 8
"""Two are usual; what would not come to rest by then is taken as it is."""
SPELT_MIN = 3
"""So many single letters in a row are one word set apart: `n u d e`."""

_LEET = str.maketrans("013457@$", "oieastas")
_SURVEYED = (range(0x10000), range(0x1F000, 0x1FC00), range(0xE0000, 0xE1000))
"""The basic plane, symbols, and the plane of invisible tags."""
_INVISIBLE = (
    *(0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # fillers
    *range(0x180B, 0x1810),  # variation selectors, here and below
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
    *range(0x0300, 0x0370),  # accents, here and below; marks of scripts that spell with them (Thai, Hindi) stay
    *range(0x1AB0, 0x1B00),
    *range(0x1DC0, 0x1E00),
    *range(0x20D0, 0x2100),
    *range(0xFE20, 0xFE30),
)


def _disguises() -> dict[int, str | None]:
    """Every character to be replaced before case is folded: by what it looks like, or by nothing."""
    table: dict[int, str | None] = {}
    for letter in ascii_lowercase + digits:
        for twin in (*confusables_data.get(letter.upper(), ()), *confusables_data.get(letter, ())):
            if len(twin["c"]) == 1 and not twin["c"].isascii():
                table[ord(twin["c"])] = letter
    unseen = (p for p in chain(*_SURVEYED) if p > 0x7F and unicodedata.category(chr(p)) in ("Cf", "Sk"))
    return {**table, **dict.fromkeys(chain(unseen, _INVISIBLE))}


def _gaps() -> tuple[dict[int, str], dict[int, str]]:
    """Spaces of all kinds, and punctuation with symbols: what is between words, and what may be inside one."""
    kinds = {point: unicodedata.category(chr(point))[0] for point in chain(*_SURVEYED)}
    spaces = {point: " " for point, kind in kinds.items() if kind in "ZC"}
    return spaces, {point: " " for point, kind in kinds.items() if kind in "PS"}


_DISGUISES = _disguises()
_SPACES, _SIGNS = _gaps()
_BARE = {**_SPACES, **_SIGNS}
_CLOSED = {**_SPACES, **dict.fromkeys(_SIGNS, ""), ord("@"): "a", ord("$"): "s"}


def fold(text: str) -> str:
    """The text without disguises, in lower case. `fold(fold(text)) == fold(text)`."""
    if text.isascii():
        return text.lower()
    for _ in range(ROUNDS_MAX):
        if (again := _folded(text)) == text:
            break
        text = again
    return text


def _folded(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.translate(_DISGUISES)).translate(_DISGUISES)
    return unicodedata.normalize("NFKC", bare.casefold())


def readings(text: str) -> tuple[str, ...]:
    """The ways in which a text may be read: a capital letter of another script may be itself, or what it looks like.

    `НЕТ` is the Russian no, and could be `HET`; folding its case first, or its looks, gives one or the other.
    """
    if text.isascii():
        return (text.lower(),)
    return tuple(dict.fromkeys((fold(text), fold(text.casefold()))))


def skeleton(text: str) -> str:
    """A text as words with a space around each, one reading to a line; see `skeleton_of`."""
    return skeleton_of(readings(text))


def skeleton_of(found: Iterable[str]) -> str:
    """The same of readings that are known; also with what was set apart by punctuation inside a word, or letter by
    letter, joined again."""
    lines: dict[str, None] = {}
    for reading in found:
        bare = reading.translate(_BARE).split()
        lines[_line(bare)] = None
        if (closed := reading.translate(_CLOSED).split()) != bare:
            lines[_line(closed)] = None
        if [len(word) for word in bare].count(1) >= SPELT_MIN:
            lines[_line(_joined(bare))] = None
    return "\n".join(lines)


def words(text: str) -> list[str]:
    """A blocked word or phrase as it would stand in a skeleton."""
    return _line(fold(text).translate(_BARE).split()).split()


def _line(words: Iterable[str]) -> str:
    """Digits among letters read as letters, and `l` as `i`."""
    spelt = [word if word.isalpha() or word.isdigit() else word.translate(_LEET) for word in words]
    return f" {' '.join(spelt)} ".replace("l", "i")


def _joined(words: list[str]) -> Iterator[str]:
    for single, run in groupby(words, lambda word: len(word) == 1):
        letters = list(run)
        if single and len(letters) >= SPELT_MIN:
            word = "".join(letters)
            yield from (word, word[1:], word[:-1])  # an article may stand before or behind it
        else:
            yield from letters
