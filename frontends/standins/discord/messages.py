"""A message in a channel, as a person sees it and as the API tells it; and how a bot's request makes or changes one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frontends.standins import pictures, seeing
from frontends.standins.discord import components
from frontends.standins.discord.limits import (
    CONTENT_MAX,
    EMBED_DESCRIPTION_MAX,
    EMBED_TITLE_MAX,
    EMBEDS_CHARACTERS_MAX,
    EMBEDS_MAX,
    FILES_MAX,
    Refusal,
    malformed,
)
from frontends.standins.discord.texts import runs
from frontends.standins.person import Button, Invoice, Media, Run

if TYPE_CHECKING:
    from frontends.standins.discord.bots import Bot
    from frontends.standins.discord.people import Person
    from frontends.standins.discord.places import Place

HIDDEN = 1 << 6
LOADING = 1 << 7
KEPT_FLAGS = HIDDEN | components.NEW_COMPONENTS | 1 << 2
REPLY, CHAT_INPUT = 19, 20
MIME_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}
MIME_TYPES |= {"mp4": "video/mp4", "webm": "video/webm", "txt": "text/plain"}
SPOILER = "SPOILER_"


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@dataclass(eq=False)
class Attachment:
    id: int
    name: str
    data: bytes = field(repr=False)
    url: str
    description: str = ""

    @property
    def mime_type(self) -> str:
        return MIME_TYPES.get(self.name.rpartition(".")[2].lower(), "application/octet-stream")

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Of a picture."""
        return pictures.size(self.data) if self.mime_type.startswith("image/") else None

    def media(self) -> Media:
        width, height = self.size or (0, 0)
        kind = self.mime_type.partition("/")[0]
        shown = {"image": "photo", "video": "video"}.get(kind, "document")
        spoiler = self.name.startswith(SPOILER)
        return Media(
            shown,  # type: ignore[arg-type]  # of the three that the table holds
            self.name,
            self.mime_type,
            self.data,
            width,
            height,
            spoiler,
            self.description,
            self.url,
        )

    def to_json(self) -> dict[str, Any]:
        sides = {"width": self.size[0], "height": self.size[1]} if self.size else {}
        return {
            "id": str(self.id),
            "filename": self.name,
            "size": len(self.data),
            "url": self.url,
            "proxy_url": self.url,
            "content_type": self.mime_type,
            "description": self.description or None,
            **sides,
        }


@dataclass(eq=False)
class Message:
    id: int
    place: Place
    at: float
    bot: Bot | None = None
    person: Person | None = None
    viewer: Person | None = None
    """Who alone sees it."""
    content: str = ""
    embeds: list[Any] = field(default_factory=list)
    components: list[Any] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    thinking: bool = False
    deleted: bool = False
    edits: list[str] = field(default_factory=list)
    edited_at: float | None = None
    reply_to: int | None = None
    caused_by: str = ""
    nonce: str = ""
    interaction: Any = None
    """What it answers, as the API tells it."""

    asks = False
    album: int | None = None
    invoice: Invoice | None = None

    @property
    def author(self) -> str:
        author = self.bot or self.person
        return author.name if author else ""

    @property
    def hidden(self) -> bool:
        return bool(self.flags & HIDDEN)

    @property
    def text(self) -> str:
        """Content, text components and embeds, each on lines of its own."""
        said = [self.content, components.text(self.components)]
        for embed in self.embeds:
            said += [embed.get("title") or "", embed.get("description") or ""]
            said += [f"{one['name']}: {one['value']}" for one in embed.get("fields") or []]
            said.append((embed.get("footer") or {}).get("text") or "")
        return "\n".join(part for part in said if part)

    @property
    def runs(self) -> list[Run]:
        return runs(self.text)

    @property
    def buttons(self) -> list[list[Button]]:
        return components.rows(self, self.components)

    @property
    def media(self) -> list[Media]:
        return [attachment.media() for attachment in self.attachments]

    def button(self, label: str) -> Button:
        return seeing.button(self, label)

    def to_json(self, *, replied: bool = True) -> dict[str, Any]:
        """As the API tells it, with the message that it is a reply to."""
        author = self.bot or self.person
        assert author is not None
        told = {
            "id": str(self.id),
            "channel_id": str(self.place.id),
            "author": author.to_json(),
            "content": self.content,
            "timestamp": stamp(self.at),
            "edited_timestamp": stamp(self.edited_at) if self.edited_at else None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "embeds": self.embeds,
            "attachments": [attachment.to_json() for attachment in self.attachments],
            "pinned": False,
            "type": CHAT_INPUT if self.interaction else REPLY if self.reply_to else 0,
            "flags": self.flags | (LOADING if self.thinking else 0),
            "components": self.components,
        }
        if self.bot:
            told |= {"application_id": str(self.bot.id)} | (
                {"webhook_id": str(self.bot.id)} if self.interaction else {}
            )
        if self.reply_to:
            told["message_reference"] = {"message_id": str(self.reply_to), "channel_id": str(self.place.id)}
            if replied:
                told["referenced_message"] = self._replied()
        if not self.place.private:
            told["guild_id"] = str(self.place.guild_id)
        return told

    def _replied(self) -> dict[str, Any] | None:
        found = next((one for one in self.place.messages if one.id == self.reply_to and not one.deleted), None)
        return found.to_json(replied=False) if found is not None else None

    def change(self, data: dict[str, Any], files: dict[int, Attachment]) -> None:
        """As a request says. Raises the refusal and changes nothing when the platform would not take it."""
        flags = self.flags | ((data.get("flags") or 0) & KEPT_FLAGS)
        said = data["content"] or "" if "content" in data else self.content
        embeds = data["embeds"] or [] if "embeds" in data else self.embeds
        parts = data["components"] or [] if "components" in data else self.components
        kept = self._kept(data, files)
        _check(said, embeds, len(kept))
        components.check(parts, flags)
        if flags & components.NEW_COMPONENTS and (said or embeds):
            raise malformed("content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "Not with these flags")
        if not (said or embeds or kept or parts):
            raise Refusal(400, 50006, "Cannot send an empty message", violation=True)
        before = self.text
        self.flags, self.content, self.embeds, self.attachments = flags, said, embeds, kept
        self.components = components.numbered(parts, itertools.count(1))
        if before and not self.thinking:
            self.edits.append(before)
        self.thinking = False

    def _kept(self, data: dict[str, Any], files: dict[int, Attachment]) -> list[Attachment]:
        """Attachments after the change: those that it lists, of what there was and what came; else all of them."""
        if "attachments" not in data:
            return [*self.attachments, *files.values()]
        there = {attachment.id: attachment for attachment in self.attachments}
        known = there | files
        wanted = [int(one["id"]) for one in data["attachments"] or []]
        if not set(wanted) <= set(known):
            raise malformed("attachments", "ATTACHMENT_NOT_FOUND", "Attachment data not found")
        return [known[id] for id in wanted]


def _check(content: str, embeds: list[Any], files: int) -> None:
    if len(content) > CONTENT_MAX:
        raise malformed("content", "BASE_TYPE_MAX_LENGTH", f"Must be {CONTENT_MAX} or fewer in length.")
    if files > FILES_MAX:
        raise malformed("attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {FILES_MAX} or fewer in length.")
    if len(embeds) > EMBEDS_MAX:
        raise malformed("embeds", "BASE_TYPE_MAX_LENGTH", f"Must be {EMBEDS_MAX} or fewer in length.")
    total = 0
    for embed in embeds:
        title, described = embed.get("title") or "", embed.get("description") or ""
        inner = [text for one in embed.get("fields") or [] for text in (one["name"], one["value"])]
        total += len(title) + len(described) + sum(map(len, inner)) + len((embed.get("footer") or {}).get("text") or "")
        if len(title) > EMBED_TITLE_MAX or len(described) > EMBED_DESCRIPTION_MAX:
            raise malformed("embeds", "BASE_TYPE_MAX_LENGTH", "A title or description is too long.")
    if total > EMBEDS_CHARACTERS_MAX:
        raise malformed("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embeds exceed {EMBEDS_CHARACTERS_MAX} characters.")
