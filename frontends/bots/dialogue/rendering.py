"""Cards as text: in the person's language, within what the platform takes, safe whatever was typed.

Nothing is markup but what is written here: what a person typed is escaped where the platform reads Markdown, and sent
as plain text elsewhere. What is too long loses the end of the quoted prompt first, then that of the whole. Where the
client renders moments, they are markup (Discord), or stand beside the text by their place in it (`Face.moments`).
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
from babel.dates import format_timedelta

from frontends.bots.dialogue.screen import Button, Card, Form, Link, Media, Moment, Said, Slot
from frontends.bots.language.catalogue import Slot as Filling
from frontends.bots.language.catalogue import say
from frontends.bots.language.tongue import tongue
from frontends.bots.limits import Platform, cut, length

MARKS = re.compile(r"([\\*_~`|>#\[\]()<@:-])")
"""What Discord might read as markup, a mention, a moment or a link."""
OPENS, PARTS, CLOSES = "\ue000", "\ue001", "\ue002"
"""Around a moment, while its place in the text is not known yet; nothing that is typed may contain them."""
MOMENT = re.compile(f"{OPENS}([0-9]+){PARTS}([^{CLOSES}]*){CLOSES}")
TORN = re.compile(f"{OPENS}[0-9]*{PARTS}?|[{PARTS}{CLOSES}]")
"""What a cut has left of one."""
SOON_SECONDS = 1.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A button, in words."""

    label: str
    payload: str = ""
    url: str = ""
    style: str = "plain"


class Ticking(msgspec.Struct, frozen=True):
    """A piece of a text that the client keeps true: where it stands, as the platform counts, and the moment."""

    offset: int
    length: int
    at: int
    """Seconds since 1970."""


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """A card, in words."""

    text: str
    moments: list[Ticking] = []
    keys: list[list[Key]]
    media: list[Media]
    spoiler: bool


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a form asks for, in words."""

    name: str
    label: str
    placeholder: str
    value: str
    length_max: int
    required: bool


def face(card: Card, language: str, platform: Platform) -> Face:
    """A card as it is sent."""
    most = platform.caption_length if card.media else platform.message_length
    lines = "\n".join(sentence(line, language, platform) for line in card.lines)
    room = most - length(lines, platform) - 8
    quote = _quoted(card.quote, room, platform) if card.quote and room > 0 else ""
    text, moments = _placed(cut("\n".join(part for part in (quote, lines) if part), most, platform), platform)
    keys = [[_key(button, language, platform) for button in row] for row in card.buttons]
    return Face(text=text, moments=moments, keys=keys, media=list(card.media), spoiler=card.spoiler)


def sentence(said: Said, language: str, platform: Platform) -> str:
    """A sentence as text of a message."""
    return say(said.key, language, **{name: _filling(slot, language, platform) for name, slot in said.slots.items()})


def plainly(said: Said, language: str, platform: Platform) -> str:
    """A sentence where no markup is read: labels, toasts, titles."""
    return sentence(said, language, msgspec.structs.replace(platform, markdown=False, moments=False))


def questions(form: Form, language: str, platform: Platform) -> list[Question]:
    """What a form asks for, as text."""
    return [
        Question(
            name=field.name,
            label=plainly(field.label, language, platform),
            placeholder=plainly(field.placeholder, language, platform) if field.placeholder is not None else "",
            value=field.value,
            length_max=field.length_max,
            required=field.required,
        )
        for field in form.fields
    ]


def escaped(text: str, platform: Platform) -> str:
    """What a person typed, so that it is shown as it was typed."""
    return MARKS.sub(r"\\\1", text) if platform.markdown else TORN.sub("", text)


def _key(button: Button, language: str, platform: Platform) -> Key:
    label = cut(plainly(button.label, language, platform), platform.label_length, platform)
    return Key(label=label, payload=button.payload, url=button.url, style=button.style)


def _quoted(text: str, room: int, platform: Platform) -> str:
    """The prompt as a quotation, as much of it as there is room for."""
    shown = escaped(" ".join(text.split()), platform)
    shown = cut(shown, room, platform)
    if shown.endswith("\\…"):
        shown = shown[:-2] + "…"
    return f"> {shown}" if platform.markdown else f"“{shown}”"


def _filling(slot: Slot, language: str, platform: Platform) -> Filling:
    match slot:
        case Moment():
            return _moment(slot, language, platform)
        case Link(url):
            return url
        case Said():
            return sentence(slot, language, platform)
        case list():
            return [escaped(each, platform) for each in slot]
        case str():
            return escaped(slot, platform)
        case _:
            return slot


def _moment(moment: Moment, language: str, platform: Platform) -> str:
    """A moment, as the platform takes it."""
    if not platform.moments:
        return _relative(moment, language)
    at = int(moment.at)
    return f"<t:{at}:R>" if platform.markdown else f"{OPENS}{at}{PARTS}{_relative(moment, language)}{CLOSES}"


def _placed(text: str, platform: Platform) -> tuple[str, list[Ticking]]:
    """The text without anything around its moments, and where they stand."""
    whole, moments, rest = "", [], 0
    for found in MOMENT.finditer(text):
        whole += text[rest : found.start()]
        moments.append(Ticking(length(whole, platform), length(found[2], platform), int(found[1])))
        whole, rest = whole + found[2], found.end()
    return whole + TORN.sub("", text[rest:]), moments


def _relative(moment: Moment, language: str) -> str:
    """`in 2 minutes`, as the language says it."""
    seconds = moment.at - moment.now
    if abs(seconds) < SOON_SECONDS:
        seconds = SOON_SECONDS
    length_of_time = timedelta(seconds=round(seconds))
    told: str = format_timedelta(length_of_time, locale=tongue(language).locale, add_direction=True)
    return told
