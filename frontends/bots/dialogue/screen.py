"""What a person sees: cards of sentences, pictures and buttons, before anybody has put them into a language."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec


class Moment(msgspec.Struct, frozen=True, tag="moment"):
    """A point in time, shown relative to now; where the client renders moments it ticks by itself."""

    at: float
    """Seconds since 1970."""
    now: float
    """When the card was made."""


class Link(msgspec.Struct, frozen=True, tag="link"):
    """An address, shown as it is."""

    url: str


class Said(msgspec.Struct, frozen=True, tag="said"):
    """A sentence of the catalogue with what stands in its slots."""

    key: str
    slots: dict[str, str | int | float | list[str] | Moment | Link | Said] = {}


Slot = str | int | float | list[str] | Moment | Link | Said


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """A button; it carries a payload, or leads to an address."""

    label: Said
    payload: str = ""
    url: str = ""
    style: Literal["plain", "primary", "danger"] = "plain"


class Artifact(msgspec.Struct, frozen=True, kw_only=True, tag="artifact"):
    """A file of a job; whoever shows it fetches it anew through the API, since addresses expire."""

    job_id: UUID
    index: int
    identity: str
    """For whom it is fetched: `telegram:123`."""
    mime_type: str
    bytes: int
    width: int
    height: int
    shown_as: Literal["photo", "video", "document"]
    seconds: float = 0.0
    """How long a film runs."""

    @property
    def file_name(self) -> str:
        suffix = {"image/jpeg": "jpg", "video/webm": "webm", "video/mp4": "mp4", "image/webp": "webp"}
        return f"{self.job_id.hex[:12]}-{self.index + 1}.{suffix.get(self.mime_type, 'png')}"


class Glimpse(msgspec.Struct, frozen=True, kw_only=True, tag="glimpse"):
    """The last preview of a running job."""

    job_id: UUID
    identity: str


Media = Artifact | Glimpse


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A message."""

    lines: list[Said] = []
    """Each is a paragraph."""
    quote: str = ""
    """What a person typed, shown above the lines as such."""
    media: list[Media] = []
    buttons: list[list[Button]] = []
    spoiler: bool = False
    """Pictures are covered until they are touched."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a form asks for."""

    name: str
    label: Said
    placeholder: Said | None = None
    value: str = ""
    """What stands in it already."""
    length_max: int = 1_000
    required: bool = True


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """Text that a person is asked for. A platform without windows asks for the first field by a message."""

    id: str
    """A payload, which comes back with the answer."""
    title: Said
    fields: list[Field]
