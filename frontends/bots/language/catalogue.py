"""Everything a bot says: `say(key, language, **slots)`.

A sentence has named slots, filled by what they are given: `{place}` takes text as it is, whole and broken numbers as
the language writes them, a list as an enumeration, a `timedelta` as a length of time, a `datetime` as a moment in UTC.
After a colon stands how: `{cost:tokens}` is a unit (`[units]`), the number with the right form of its noun;
`{seed:plain}` is a number without separators; `{wait:duration}` seconds; `{moment:when}` a moment, also as ISO 8601
text; `{reads:languages}` codes of languages, by their names. A sentence whose grammar depends on a number is a table
of plural forms, chosen by the slot `count`:

    [sentences.ready]
    one = "{count} picture is ready."
    other = "{count} pictures are ready."

Slots are filled in once: braces in what a person typed stay what they are. The first part of a key says where the
sentence stands, hence how long it may be (`LENGTH_MAX`). A key that is not in the catalogue, or a slot that is not
given, is our own mistake, `KeyError`; tests look at every call. What the platform's client renders itself, as a
moment that ticks, is no text and not made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from string import Formatter
from typing import NamedTuple

from babel.dates import format_date, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal

from frontends.bots.language.tongue import Tongue, tongue

Slot = str | int | float | list[str] | tuple[str, ...] | datetime | timedelta
"""What a slot may be filled with."""

LENGTH_MAX = {
    "button": 40,  # Discord's 80 would be cut off on a phone
    "command": 100,  # descriptions: Discord 100, Telegram 256
    "option": 100,  # of a slash command
    "menu": 32,  # commands in the context menu of a message
    "field": 45,  # titles and labels of a modal
    "placeholder": 64,  # input field: Telegram 64, Discord 100
    "toast": 200,  # answer to a press
    "invoice": 255,  # description of an invoice
    "invoice_title": 32,
    "about": 120,  # short description of a bot
    "profile": 400,  # description of a bot: Discord 400, Telegram 512
    "page": 1_900,  # a message of its own: Discord 2000, Telegram 4096
}
"""Characters with every slot filled, by the first part of a key; `TEXT_MAX` for every other."""
TEXT_MAX = 600
"""Several of them make one message, or the caption of a picture (Telegram 1024)."""


class Piece(NamedTuple):
    """Text, then perhaps a slot."""

    text: str
    slot: str | None
    how: str


def say(key: str, language: str, /, **slots: Slot) -> str:
    """The sentence of a key in a language out of `LANGUAGES`."""
    speaker = tongue(language)
    sentence = speaker.sentences[key]
    if isinstance(sentence, dict):
        sentence = _form(speaker, sentence, slots["count"])
    return "".join(_said(speaker, piece, slots) for piece in pieces(sentence))


@cache
def pieces(sentence: str) -> tuple[Piece, ...]:
    """A sentence taken apart."""
    return tuple(Piece(text, slot, how or "") for text, slot, how, _ in Formatter().parse(sentence))


def slots_of(sentence: str | Mapping[str, str]) -> frozenset[str]:
    """The names of the slots of a sentence, of all its forms together."""
    if isinstance(sentence, str):
        return frozenset(piece.slot for piece in pieces(sentence) if piece.slot is not None)
    return frozenset({"count"}).union(*(slots_of(form) for form in sentence.values()))


def _said(speaker: Tongue, piece: Piece, slots: Mapping[str, Slot]) -> str:
    return piece.text if piece.slot is None else piece.text + _filled(speaker, piece.how, slots[piece.slot])


def _filled(speaker: Tongue, how: str, value: Slot) -> str:
    if how == "plain":
        return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
    if how == "when" or isinstance(value, datetime):
        return _moment(speaker, value)
    if how == "duration" or isinstance(value, timedelta):
        return _duration(speaker, value)
    if how == "languages":
        assert isinstance(value, list | tuple)
        value = [speaker.locale.languages.get(code, code) for code in value]
    elif how:
        return _counted(speaker, how, value)
    if isinstance(value, list | tuple):
        return format_list(list(value), locale=speaker.locale)
    return value if isinstance(value, str) else format_decimal(value, locale=speaker.locale)


def _counted(speaker: Tongue, unit: str, value: Slot) -> str:
    """`3 tokens`: a number with the form of the noun that goes with it."""
    assert isinstance(value, int | float), f"{unit} is counted by a number"
    return _form(speaker, speaker.units[unit], value).replace("{n}", format_decimal(value, locale=speaker.locale))


def _form(speaker: Tongue, forms: Mapping[str, str], count: Slot) -> str:
    assert isinstance(count, int | float), "a plural depends on a number"
    category = speaker.locale.plural_form(abs(count))
    return forms.get(category) or forms["other"]


def _duration(speaker: Tongue, value: Slot) -> str:
    """A length of time, rounded to its largest unit."""
    length = value if isinstance(value, timedelta) else timedelta(seconds=float(value))  # type: ignore[arg-type]
    return format_timedelta(length, locale=speaker.locale)


def _moment(speaker: Tongue, value: Slot) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    moment = moment.astimezone(UTC)
    date = format_date(moment, "medium", locale=speaker.locale)
    return f"{date}, {format_time(moment, 'short', locale=speaker.locale)} UTC"
