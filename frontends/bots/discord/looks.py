"""Faces and questions as the platform's components: rows of buttons, windows with fields, names of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import hikari
from hikari.impl import MessageActionRowBuilder, ModalActionRowBuilder

from frontends.bots.dialogue.rendering import Face, Key, Question

STYLES: dict[str, Literal[hikari.ButtonStyle.PRIMARY, hikari.ButtonStyle.SECONDARY, hikari.ButtonStyle.DANGER]] = {
    "plain": hikari.ButtonStyle.SECONDARY,
    "primary": hikari.ButtonStyle.PRIMARY,
    "danger": hikari.ButtonStyle.DANGER,
}
LONG_FIELD_LENGTH = 100
"""A field that takes more than this is a box of several lines."""
PLACEHOLDER_LENGTH_MAX = 100


class Look(NamedTuple):
    """A message as it is sent. Without files those that are there stay."""

    text: str
    rows: Sequence[MessageActionRowBuilder] = ()
    files: Sequence[hikari.File | hikari.Bytes] = ()


def rows(face: Face) -> list[MessageActionRowBuilder]:
    """The buttons under a message."""
    found = []
    for keys in face.keys:
        row = MessageActionRowBuilder()
        for key in keys:
            _add(row, key)
        found.append(row)
    return found


def fields(questions: Sequence[Question]) -> list[ModalActionRowBuilder]:
    """The fields of a window, each in its row."""
    return [_field(question) for question in questions]


def glimpse_name(data: bytes) -> str:
    """A name by which the platform shows a preview as a picture."""
    if data.startswith(b"\x89PNG"):
        return "preview.png"
    return "preview.jpg" if data.startswith(b"\xff\xd8") else "preview.webp"


def _add(row: MessageActionRowBuilder, key: Key) -> None:
    if key.url:
        row.add_link_button(key.url, label=key.label)
    else:
        row.add_interactive_button(STYLES[key.style], key.payload, label=key.label)


def _field(question: Question) -> ModalActionRowBuilder:
    is_long = question.length_max > LONG_FIELD_LENGTH
    return ModalActionRowBuilder().add_text_input(
        question.name,
        question.label,
        style=hikari.TextInputStyle.PARAGRAPH if is_long else hikari.TextInputStyle.SHORT,
        placeholder=question.placeholder[:PLACEHOLDER_LENGTH_MAX] or hikari.UNDEFINED,
        value=question.value or hikari.UNDEFINED,
        required=question.required,
        max_length=question.length_max,
    )
