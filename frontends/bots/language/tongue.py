"""The languages there are, each read from its one file in `tongues/`, and the choice of one for a person.

A file has `name` (of the language, in itself), `codes` (by which clients call it), `[units]` (things that are counted,
one form per plural category of CLDR), `[sentences]` (see `catalogue`) and `[words]` (see `grammar`). It is
read once, when it is first needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from babel import Locale

FOLDER = Path(__file__).parent / "tongues"
FALLBACK = "en"
LANGUAGES = (FALLBACK, *sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != FALLBACK))
"""Codes of all languages, English first."""

Forms = dict[str, str]
"""A text for each plural category of CLDR: `one`, `few`, `many`, `other`."""


class Tongue(msgspec.Struct, frozen=True, kw_only=True):
    """One language."""

    code: str
    name: str
    """In itself, as a person looks for it."""
    locale: Any
    """`babel.Locale`: numbers, lists, dates, plural rules."""
    units: dict[str, Forms]
    sentences: dict[str, str | Forms]
    """By dotted key; a text, or one per plural category of the slot `count`."""
    words: dict[str, Any]
    """Of the grammar."""


@cache
def tongue(code: str) -> Tongue:
    """The language of a code out of `LANGUAGES`; `KeyError` for any other."""
    if code not in LANGUAGES:
        raise KeyError(code)
    with (FOLDER / f"{code}.toml").open("rb") as file:
        told = tomllib.load(file)
    return Tongue(
        code=code,
        name=told["name"],
        locale=Locale.parse(code),
        units=told.get("units", {}),
        sentences=dict(_flat(told.get("sentences", {}))),
        words=told.get("words", {}),
    )


def choose(client_code: str | None, wish: str | None = None) -> str:
    """The language to speak: the person's own wish, else the one of their client (`de-AT`, `zh-hans`), else English."""
    for code in (wish, client_code):
        main = (code or "").replace("_", "-").lower().partition("-")[0]
        if main in LANGUAGES:
            return main
    return FALLBACK


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | Forms]]:
    """Nested tables as dotted keys. A table with the form `other` is a plural."""
    for name, value in table.items():
        if isinstance(value, dict) and "other" not in value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
