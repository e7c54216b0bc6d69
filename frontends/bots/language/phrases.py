"""What can be said, as one trie for the languages that are read together, made of the `[words]` of their files.

    numbers   words for whole numbers
    fillers   may stand between phrases and mean nothing there
    courtesies  `please`: understood as nothing beside something that was understood
    requests  what an order begins with (`draw`); understood only before a count
    of        what joins a count to its subject (`3 pictures of`)
    closing   what does so from behind (`三张猫的图片`)
    without   what makes the rest of a part a negative; `no`: the same, where the part is not the first
    idioms    begin like a negative and are none
    doubtful  shapes that are as often subjects (`portrait`); see `grammar`
    aspects, sides   words for shapes and sizes
    exactly   a word with the only nouns that it makes negatives of
    phrases   patterns by what they tell

A pattern is words with a space between; `a|b` is either, a `?` after a word makes it optional, `#` is a number, `@` a
ratio, `~` a size, `$` a name given by the caller. A last `!` says that nothing else can be meant, so
that the phrase is understood at the end of a longer part, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from frontends.bots.language.scanning import Part, Token, glued, plain, tokens
from frontends.bots.language.tongue import tongue
from frontends.bots.language.wishes import Names

TRIES_MAX = 64
"""Kept: languages times lists of names."""
NUMBER, RATIO, SIZE, SIDE = " number", " ratio", " size", " side"
"""Steps of the trie that no word of a text can be."""
ROLES = {
    "fillers": "filler",
    "courtesies": "courtesy",
    "requests": "request",
    "of": "of",
    "closing": "closing",
    "without": "without",
    "no": "no",
    "idioms": "idiom",
}
"""Lists of patterns that tell nothing by themselves, and the field that they stand for."""
NAMED = {"model": " model", "style": " style"}
"""Steps before a name that stands alone, as after a flag."""
_PLACES = {"#": NUMBER, "@": RATIO, "~": SIZE}
_SKIPPED = frozenset(":=#-_./")
"""Between the words of a phrase: `seed: 42`, `sdxl-turbo`."""
_SKIPPED_MAX = 2


class Ending(NamedTuple):
    """What a phrase tells."""

    field: str
    value: str | None = None
    """When it is not the number or ratio in it."""
    certain: bool = False
    """It is understood at the end of a longer part, too."""


class Node:
    """After some words: which may follow, and what has been told if none does."""

    __slots__ = ("ending", "following")

    def __init__(self) -> None:
        self.following: dict[str, Node] = {}
        self.ending: Ending | None = None

    def add(self, words: Sequence[str], ending: Ending) -> None:
        node = self
        for word in words:
            node = node.following.setdefault(word, Node())
        node.ending = node.ending or ending


class Phrase(NamedTuple):
    ending: Ending
    value: str
    """The number, ratio, size or name as it was said."""
    end: int
    """Index of the token after it."""


class Lexicon(NamedTuple):
    phrases: Node
    numbers: Node


@lru_cache(maxsize=TRIES_MAX)
def lexicon(languages: tuple[str, ...], names: Names) -> Lexicon:
    phrases, numbers = Node(), Node()
    phrases.add([SIZE], Ending("size", certain=True))
    phrases.add([SIDE], Ending("side"))
    phrases.add([RATIO], Ending("aspect"))
    for field in NAMED:
        for alias, name in _aliases(names, field):
            phrases.add([NAMED[field], *_words(alias)], Ending(field, name))
    for language in languages:
        words = tongue(language).words
        for word, value in words["numbers"].items():
            numbers.add(_words(word), Ending("number", str(value)))
        for pattern, ending in _patterns(words):
            for sequence in _sequences(pattern, names, ending.field):
                phrases.add(sequence.words, ending._replace(value=sequence.name or ending.value))
    return Lexicon(phrases, numbers)


def longest(lexicon: Lexicon, said: Sequence[Token], index: int, start: Node | None = None) -> Phrase | None:
    """The longest phrase that begins with a token and neither begins nor ends in the middle of a word."""
    if index and glued(said[index - 1], said[index]):
        return None
    found = [
        phrase
        for phrase in _walk(lexicon, start or lexicon.phrases, said, index, "")
        if phrase.end == len(said) or not glued(said[phrase.end - 1], said[phrase.end])
    ]
    return max(found, key=lambda phrase: phrase.end, default=None)


def named(lexicon: Lexicon, field: str, said: Sequence[Token]) -> Phrase | None:
    """The longest name of a model or style that the tokens begin with."""
    start = lexicon.phrases.following.get(NAMED[field])
    return longest(lexicon, said, 0, start) if start and said else None


def _walk(lexicon: Lexicon, node: Node, said: Sequence[Token], index: int, value: str) -> Iterator[Phrase]:
    if node.ending:
        yield Phrase(node.ending, node.ending.value or value, index)
    if node is not lexicon.phrases:
        index = _past_marks(node, said, index)
    if index == len(said):
        return
    token = said[index]
    if after := node.following.get(token.text):
        yield from _walk(lexicon, after, said, index + 1, value)
    for key in _shapes(token):
        if after := node.following.get(key):
            yield from _walk(lexicon, after, said, index + 1, token.text)
    if after := node.following.get(NUMBER):
        for number, end in _numbers(lexicon.numbers, said, index):
            yield from _walk(lexicon, after, said, end, number)


def _past_marks(node: Node, said: Sequence[Token], index: int) -> int:
    last = index
    while last < len(said) and last - index < _SKIPPED_MAX and said[last].text in _SKIPPED:
        last += 1
    return index if index < len(said) and said[index].text in node.following else last


def _shapes(token: Token) -> tuple[str, ...]:
    keys = {"ratio": (RATIO,), "size": (SIZE,), "side": (SIDE,)}
    return keys.get(token.kind, ())


def _numbers(numbers: Node, said: Sequence[Token], index: int) -> Iterator[tuple[str, int]]:
    """Numbers that begin with a token, in digits or in words."""
    if said[index].kind == "number":
        yield said[index].text, index + 1
    node: Node | None = numbers
    while node and index < len(said):
        node = node.following.get(said[index].text)
        index += 1
        if node and node.ending:
            yield node.ending.value or "", index


def _patterns(words: Mapping[str, Any]) -> Iterator[tuple[str, Ending]]:
    """Every pattern of a language with what it tells."""
    for role, field in ROLES.items():
        for pattern in words[role]:
            yield pattern, Ending(field)
    for name, patterns in words["aspects"].items():
        for pattern in patterns:
            yield pattern, Ending("doubtful" if pattern in words["doubtful"] else "aspect", name)
    for name, patterns in words["sides"].items():
        for pattern in patterns:
            yield pattern, Ending("side", name)
    for word, nouns in words["exactly"].items():
        for noun in nouns:
            yield f"{word} {noun}", Ending("negative", noun)
    for field, patterns in words["phrases"].items():
        for pattern in patterns:
            yield pattern.removesuffix(" !"), Ending(field, certain=pattern.endswith(" !"))


class _Sequence(NamedTuple):
    words: list[str]
    name: str | None


def _sequences(pattern: str, names: Names, field: str) -> Iterator[_Sequence]:
    """A pattern written out."""
    aliases = _aliases(names, field) if "$" in pattern else [("", None)]
    choices = [_choices(element) for element in pattern.split(" ")]
    for alias, name in aliases:
        for chosen in product(*choices):
            yield _Sequence([word for one in chosen for word in (_words(alias) if one == "$" else _words(one))], name)


def _aliases(names: Names, field: str) -> list[tuple[str, str | None]]:
    """What people may write for a model or style, its own name first."""
    given = names.models if field == "model" else names.styles
    pairs: list[tuple[str, str | None]] = [*((name, name) for _, name in given), *given]
    return [(alias, name) for alias, name in pairs if _words(alias)]


def _choices(element: str) -> list[str]:
    if element in _PLACES or element == "$":
        return [element]
    return [*element.removesuffix("?").split("|"), *([""] if element.endswith("?") else [])]


def _words(text: str) -> list[str]:
    """The tokens of a word or name, as those of a text are compared."""
    if text in _PLACES:
        return [_PLACES[text]]
    view = plain(text)
    return [token.text for token in tokens(view, Part(0, len(view), len(view)), []) if token.text not in _SKIPPED]
