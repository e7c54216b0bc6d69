"""The rules of conduct of a service, as its operator writes them down in a TOML file, and what they say of a text.

    version = 3                                  # raise it with every change: each job remembers the one it was read by

    [categories.violence]                        # the name is what a refused customer is told
    words = ["behead*", "cut to pieces"]         # whole words and phrases; * is any rest of a word
    patterns = ['\\bbomb (plans|recipe)s?\\b']     # RE2, on the folded text in lower case
    together = [[["corpse"], ["real photo*", '/\\bleak(ed)?\\b/']]]   # refused where each list has a hit
    always = ["some word"]                       # words that count in a negative prompt too

    [adult]                                      # is made, but only shown where the platform and the chat allow it
    words = ["nude*"]

    [inputs]
    sha256 = ["9f86…"]                           # pictures that may not be worked on

Texts and words are compared folded (`folding`), so no spelling of a word need be listed twice. RE2 takes time in
proportion to the text whatever the pattern. The section on minors (`policies/minors.toml`) is part of every policy: a
file can add to it and take nothing away.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
import re2
from msgspec import Meta

from control_plane.conduct import folding
from control_plane.settings import ConfigurationError

POLICIES_FOLDER = Path(__file__).with_name("policies")
DEFAULT = POLICIES_FOLDER / "default.toml"
MINORS = POLICIES_FOLDER / "minors.toml"

FILE_BYTES_MAX = 4 * 1024**2
READ_MAX = 8
"""Texts that are held folded: each is looked at for what is forbidden and again for what is adult."""
TERMS_MAX = 10_000
"""Words, patterns and hashes in one list."""
PATTERN_BYTES_MAX = 64 * 1024**2
"""What RE2 may use for one compiled list."""

Category = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
Term = Annotated[str, Meta(min_length=1, max_length=500)]
Terms = Annotated[list[Term], Meta(max_length=TERMS_MAX)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a category refuses; see above."""

    words: Terms = []
    patterns: Terms = []
    together: Annotated[list[Annotated[list[Terms], Meta(min_length=2, max_length=4)]], Meta(max_length=100)] = []
    always: Terms = []


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: Annotated[list[Sha256], Meta(max_length=TERMS_MAX)] = []


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    categories: Annotated[dict[Category, Section], Meta(max_length=50)] = {}
    inputs: Inputs = Inputs()
    adult: Section = Section()
    """What is adult content, without being forbidden."""


class Text:
    """A text in the two forms that rules look at."""

    __slots__ = ("plain", "skeleton")

    def __init__(self, text: str) -> None:
        readings = folding.readings(text)
        self.plain = "\n".join(" ".join(reading.splitlines()) for reading in readings)
        self.skeleton = folding.skeleton_of(readings)


_text = lru_cache(READ_MAX)(Text)


class Terminology:
    """Words and patterns, any of which is a hit."""

    def __init__(self, words: Sequence[str], patterns: Sequence[str] = ()) -> None:
        self.words = words
        self.patterns = patterns
        self._words = _compiled(f" (?:{'|'.join(map(_word, words))}) ") if words else None
        self._patterns = _compiled("|".join(map(_pattern, patterns))) if patterns else None

    def found(self, text: Text) -> bool:
        return bool(self._words and self._words.search(text.skeleton)) or bool(
            self._patterns and self._patterns.search(text.plain)
        )


class Rule(msgspec.Struct, frozen=True):
    """Refuses what each of its parts finds something in."""

    category: str
    parts: tuple[Terminology, ...]

    def forbids(self, text: Text) -> bool:
        return all(part.found(text) for part in self.parts)


class Rules:
    """Rules, any of which may forbid a text. Nearly every text has nothing of them in it, and that is seen at one look:
    what no rule finds its first part in, no rule forbids."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        first = [rule.parts[0] for rule in self._rules]
        self._any = Terminology(
            [word for part in first for word in part.words], [pattern for part in first for pattern in part.patterns]
        )

    def first(self, text: str) -> str | None:
        """The category of the first rule that forbids this; None when none does."""
        read = _text(text)
        if not self._any.found(read):
            return None
        return next((rule.category for rule in self._rules if rule.forbids(read)), None)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules in force. `version` travels with every job that was read by them."""

    version: int
    rules: Rules
    rules_of_negatives: Rules
    blocked_inputs: frozenset[str]
    adult: Rules

    def category(self, prompt: str) -> str | None:
        """The category of a text that asks for what is forbidden; None when there is nothing to say."""
        return self.rules.first(prompt)

    def category_of_negative(self, negative_prompt: str) -> str | None:
        """The same for what a picture shall *not* show. To exclude something is no offence, so only words that have
        no honest use anywhere count here."""
        return self.rules_of_negatives.first(negative_prompt) if negative_prompt else None

    def is_adult(self, prompt: str) -> bool:
        """Whether a text asks for adult content."""
        return self.adult.first(prompt) is not None


def read(path: Path | None = None) -> Policy:
    """The policy of a file, or the one that comes with Tessera. Raises `ConfigurationError` that says what is wrong."""
    path = path or DEFAULT
    document = _document(path)
    try:
        sections = [*document.categories.items(), *_document(MINORS).categories.items()]
        return Policy(
            version=document.version,
            rules=Rules(rule for category, section in sections for rule in _rules(category, section)),
            rules_of_negatives=Rules(
                Rule(category, (Terminology(section.always),)) for category, section in sections if section.always
            ),
            blocked_inputs=frozenset(document.inputs.sha256),
            adult=Rules(_rules("adult", document.adult)),
        )
    except ValueError as error:
        raise ConfigurationError(f"The policy {path} cannot be used: {error}") from error


def _document(path: Path) -> Document:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"it has more than {FILE_BYTES_MAX} bytes.")
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Document)
    except (OSError, ValueError, RecursionError) as error:  # a fault in TOML, UTF-8 or a field is a ValueError
        raise ConfigurationError(f"The policy {path} cannot be read: {error}") from error


def _rules(category: str, section: Section) -> Iterator[Rule]:
    if section.words or section.patterns or section.always:
        yield Rule(category, (Terminology([*section.words, *section.always], section.patterns),))
    for lists in section.together:
        yield Rule(category, tuple(_mixed(terms) for terms in lists))


def _mixed(terms: Sequence[str]) -> Terminology:
    """Words, and patterns between slashes."""
    if not terms:
        raise ValueError("a list of `together` is empty.")
    patterns = [term[1:-1] for term in terms if len(term) > 2 and term[0] == term[-1] == "/"]
    return Terminology([term for term in terms if term[1:-1] not in patterns], patterns)


def _word(term: str) -> str:
    """A word or phrase as a pattern for skeletons; `*` stands for any rest of a word."""
    found = []
    for word in term.split():
        pieces = [" ".join(folding.words(piece)) for piece in word.split("*")]
        if not any(pieces):
            raise ValueError(f"{term!r} contains {word!r}, which would match any word.")
        found.append("[^ ]*".join(map(re2.escape, pieces)))
    if not found:
        raise ValueError("a word is empty.")
    return " ".join(found)


def _pattern(pattern: str) -> str:
    if _compiled(pattern).search(""):
        raise ValueError(f"the pattern {pattern!r} would match everything.")
    return f"(?:{pattern})"


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = PATTERN_BYTES_MAX
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        shown = pattern if len(pattern) <= 80 else f"{pattern[:80]}…"
        raise ValueError(f"RE2 does not take the pattern {shown!r}: {error}") from error
