"""A text cut into parts and tokens, for `grammar`. Every step goes over the text once; positions are those of the text.

*Sealed* is what stands in double quotes of any country, or in brackets: it is never interpreted. A text falls into
*parts* at commas, semicolons, line ends, at `.`, `!` and `?` before a space, at a dash between spaces, and between
Chinese characters at a space; a comma between digits separates nothing. Letters are compared by their folded form
(case, full width, accents put together, `ё` as `е`); a Chinese character is a token of its own. Digits are those of
ASCII and their full-width twins; what merely looks like one of them is none.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

Span = tuple[int, int]
TokenKind = Literal["size", "ratio", "side", "number", "han", "word", "mark", "sealed"]

QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "〝": "〞"}
"""What opens a quotation, and what closes it. Apostrophes do not: they stand in the middle of words."""
BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "【": "】", "《": "》"}
MARKS = frozenset([*QUOTES, *QUOTES.values(), *BRACKETS, *BRACKETS.values()])
_OPENS = {close: opened for opened, close in BRACKETS.items()}
_MARK = re.compile("[" + re.escape("".join(sorted(MARKS))) + "]")

_SEMICOLONS = "，、；。！？"
"""Punctuation of full width separates always: it is never part of a number or of an abbreviation."""
_PLAIN = (
    {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}
    | {ord(mark): ";" for mark in _SEMICOLONS}
    | {ord(space): " " for space in "\u3000\xa0\u202f"}
    | {ord("×"): "x"}
)
_UNSENDABLE = dict.fromkeys([*range(9), *range(14, 32), 127], " ") | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
"""Control characters, and halves of characters: no prompt can be sent with them."""

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = rf"(?:[^\W\d_{HAN}][\u0300-\u036f]*)"
_SEPARATOR = re.compile(
    rf"""(?: ,(?!(?<=[0-9],)[0-9]) | [;|\r\n] | (?<=\s)[-–—](?=\s)
         | (?<![.!?…])(?<!\b[^\W\d_])(?<!\b[^\W\d_]{{2}})[.!?…]+(?=\s|$) )
         (?: [;|\s]|,(?!(?<=[0-9],)[0-9]) )*
       | (?<=[{HAN}])[^\S\r\n]+(?=[{HAN}])""",
    re.VERBOSE,
)
_TOKEN = re.compile(
    rf"""(?P<size>(?<![a-z0-9_.,])(?<![0-9]:)[0-9]{{2,5}}\ ?[x*х]\ ?[0-9]{{2,5}}(?!\d|[.,:]\d))
       | (?P<ratio>(?<![a-z0-9_.,])(?<![0-9]:)[0-9]{{1,3}}\ ?:\ ?[0-9]{{1,3}}(?!\d|[.,:]\d))
       | (?P<side>(?<![a-z0-9_.,])(?:[24]k|(?:720|1080|1440)p)(?![a-z0-9_]))
       | (?P<number>(?:(?<!\w)-)?[0-9]+(?:[.,][0-9]+)?)
       | (?P<han>[{HAN}])
       | (?P<word>{_LETTER}+(?:['’]{_LETTER}+)*)
       | (?P<mark>\S)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    kind: TokenKind
    text: str
    """Folded."""
    start: int
    end: int


class Part(NamedTuple):
    """A stretch of the text, and the separator after it up to `after`."""

    start: int
    end: int
    after: int


def clean(text: str) -> str:
    """The text as it can be sent, character for character."""
    return text.translate(_UNSENDABLE)


def plain(text: str) -> str:
    """The text as it is compared, character for character."""
    text = text.translate(_PLAIN)
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def fold(word: str) -> str:
    """How words of one meaning look alike."""
    return word if word.isascii() else unicodedata.normalize("NFC", word).casefold().replace("ё", "е")


def sealed(view: str, brackets: Mapping[str, str] = BRACKETS) -> list[Span]:
    """What stands in quotes or brackets, outermost, in order. What is opened and never closed seals nothing."""
    spans: list[Span] = []
    opened: list[tuple[str, int]] = []
    waiting: dict[str, int] = {}
    lacking: set[str] = set()
    past = 0
    for found in _MARK.finditer(view):
        mark, start = found.group(), found.start()
        if start < past:
            continue
        if mark in QUOTES and QUOTES[mark] not in lacking:
            past = view.find(QUOTES[mark], start + 1) + 1
            if past:
                spans.append((start, past))
            else:
                lacking.add(QUOTES[mark])
        elif mark in brackets:
            opened.append((mark, start))
            waiting[mark] = waiting.get(mark, 0) + 1
        elif waiting.get(_OPENS.get(mark, "")):
            spans.append((_opening(opened, waiting, _OPENS[mark]), start + 1))
    return merged(spans)


def _opening(opened: list[tuple[str, int]], waiting: dict[str, int], wanted: str) -> int:
    """Where the bracket was opened that is closed now; those opened inside it stay open for ever."""
    while True:
        mark, start = opened.pop()
        waiting[mark] -= 1
        if mark == wanted:
            return start


def merged(spans: Iterable[Span]) -> list[Span]:
    """Without what lies inside of others, in order."""
    kept: list[Span] = []
    for start, end in sorted(spans):
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
        else:
            kept.append((start, end))
    return kept


def covering(spans: list[Span], position: int) -> Span | None:
    """The span that holds a position; `spans` are merged."""
    index = bisect_right(spans, position, key=lambda span: span[0]) - 1
    return spans[index] if index >= 0 and position < spans[index][1] else None


def parts(view: str, closed: list[Span], taken: list[Span], within: Span | None = None) -> Iterator[Part]:
    """The text between separators; what is `taken` separates too."""
    start, end = within or (0, len(view))
    cuts = [(found.start(), found.end()) for found in _SEPARATOR.finditer(view, start, end)]
    for cut in merged([*(cut for cut in cuts if not covering(closed, cut[0])), *taken]):
        yield Part(start, cut[0], cut[1])
        start = cut[1]
    yield Part(start, end, end)


def tokens(view: str, part: Part, closed: list[Span]) -> list[Token]:
    found: list[Token] = []
    position = part.start
    while position < part.end:
        seal = covering(closed, position)
        if seal:
            found.append(Token("sealed", "", position, seal[1]))
            position = seal[1]
            continue
        index = bisect_right(closed, position, key=lambda span: span[0])
        until = min(part.end, closed[index][0]) if index < len(closed) else part.end
        found += _between(view, position, until)
        position = until
    return found


def _between(view: str, start: int, end: int) -> Iterator[Token]:
    for found in _TOKEN.finditer(view, start, end):
        kind: TokenKind = found.lastgroup  # type: ignore[assignment]
        yield Token(kind, fold(found.group()), found.start(), found.end())


def glued(first: Token, second: Token) -> bool:
    """Whether two tokens are one word to the eye."""
    if first.end != second.start:
        return False
    letters = {"size", "ratio", "side", "number", "word"}
    accent = second.kind == "mark" and unicodedata.combining(second.text[0]) > 0
    return accent or (first.kind in letters and second.kind in letters)
