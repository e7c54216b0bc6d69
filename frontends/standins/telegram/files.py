"""Files as Telegram keeps them: uploaded in parts, put together when they are sent, served by location.

A photo must be a picture of at most 10 MB and comes out as the platform's own JPEG when it was large; a document is
kept as it is. Parts are counted and small files compared with their MD5, as the platform does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from pyrogram.raw import types as tl

from frontends.standins import pictures
from frontends.standins.person import Media
from frontends.standins.shelf import FILE_BYTES_KEPT, UPLOADS_KEPT, Shelf
from frontends.standins.telegram.limits import (
    PART_BYTES_MAX,
    PARTS_MAX,
    PHOTO_BYTES_MAX,
    PHOTO_RATIO_MAX,
    PHOTO_SIDES_MAX,
    Refusal,
)

DATA_CENTRE = 2


@dataclass(eq=False)
class File:
    id: int
    name: str
    mime_type: str
    data: bytes = field(repr=False)
    kind: Literal["photo", "document"]
    at: int
    attributes: list[Any] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    @property
    def access_hash(self) -> int:
        return self.id * 7

    @property
    def shown_as(self) -> Literal["photo", "video", "animation", "document"]:
        if self.kind == "photo":
            return "photo"
        names = {type(attribute).__name__ for attribute in self.attributes}
        if "DocumentAttributeAnimated" in names:
            return "animation"
        return "video" if "DocumentAttributeVideo" in names else "document"

    def media(self, spoiler: bool) -> Media:
        """As a person gets it."""
        width, height = self.size
        return Media(self.shown_as, self.name, self.mime_type, self.data, width, height, spoiler)

    def to_tl(self, spoiler: bool = False) -> Any:
        if self.kind == "document":
            return tl.MessageMediaDocument(spoiler=spoiler or None, document=self._document())
        return tl.MessageMediaPhoto(spoiler=spoiler or None, photo=self._photo())

    def _document(self) -> Any:
        return tl.Document(
            **self._identity(), mime_type=self.mime_type, size=len(self.data), attributes=self.attributes or []
        )

    def _photo(self) -> Any:
        width, height = self.size
        small = tl.PhotoSize(type="m", w=min(width, 320), h=min(height, 320), size=max(1, len(self.data) // 8))
        return tl.Photo(
            **self._identity(), sizes=[small, tl.PhotoSize(type="y", w=width, h=height, size=len(self.data))]
        )

    def _identity(self) -> dict[str, Any]:
        reference = b"ref%d" % self.id
        return {
            "id": self.id,
            "access_hash": self.access_hash,
            "file_reference": reference,
            "date": self.at,
            "dc_id": DATA_CENTRE,
        }


class Files:
    def __init__(self) -> None:
        self._files: Shelf[int, File] = Shelf(FILE_BYTES_KEPT)
        self._parts: Shelf[int, dict[int, bytes]] = Shelf(UPLOADS_KEPT)
        self._last_id = 1000

    def save_part(self, upload: int, number: int, data: bytes) -> None:
        if len(data) > PART_BYTES_MAX:
            raise Refusal(400, "FILE_PART_TOO_BIG", violation=True)
        if number >= PARTS_MAX:
            raise Refusal(400, "FILE_PARTS_INVALID", violation=True)
        if upload not in self._parts:
            self._parts.keep(upload, {})
        self._parts[upload][number] = data

    def photo(self, name: str, data: bytes, at: int) -> File:
        """A picture, checked and made a photo as the platform does."""
        size = pictures.size(data)
        if len(data) > PHOTO_BYTES_MAX:
            raise Refusal(400, "PHOTO_FILE_TOO_BIG", violation=True)
        if size is None:
            raise Refusal(400, "IMAGE_PROCESS_FAILED", violation=True)
        if sum(size) > PHOTO_SIDES_MAX or max(size) > PHOTO_RATIO_MAX * min(size):
            raise Refusal(400, "PHOTO_INVALID_DIMENSIONS", violation=True)
        shrunk = pictures.shrunk(data)
        size = pictures.size(shrunk) or size
        mime_type = "image/jpeg" if shrunk is not data or data[:2] == b"\xff\xd8" else "image/png"
        return self._keep(File(0, name, mime_type, shrunk, "photo", at, size=size))

    def document(self, name: str, mime_type: str, data: bytes, attributes: list[Any], at: int) -> File:
        video = next((found for found in attributes if isinstance(found, tl.DocumentAttributeVideo)), None)
        size = (video.w, video.h) if video else pictures.size(data) or (0, 0)
        return self._keep(File(0, name, mime_type, data, "document", at, list(attributes), size))

    def sent(self, media: Any, at: int) -> File:
        """The file of an InputMedia: one that is here already, or one that was just uploaded."""
        if isinstance(media, tl.InputMediaPhoto | tl.InputMediaDocument):
            known = self._files.get(media.id.id)
            if known is None or media.id.access_hash != known.access_hash:
                raise Refusal(400, "MEDIA_INVALID")
            return known
        if isinstance(media, tl.InputMediaUploadedPhoto):
            return self.photo(media.file.name, self._joined(media.file), at)
        if isinstance(media, tl.InputMediaUploadedDocument):
            if media.thumb:
                self._joined(media.thumb)
            data = self._joined(media.file)
            attributes = [] if media.force_file else list(media.attributes)
            return self.document(_name(media), media.mime_type, data, attributes, at)
        raise LookupError(f"the stand-in does not know {type(media).__name__}")

    def at(self, location: Any) -> File:
        """The file at an InputFileLocation."""
        found = self._files.get(getattr(location, "id", 0))
        if found is None or location.access_hash != found.access_hash:
            raise Refusal(400, "LOCATION_INVALID")
        return found

    def _joined(self, uploaded: Any) -> bytes:
        parts = self._parts.take(uploaded.id) or {}
        missing = set(range(uploaded.parts)) - set(parts)
        if missing:
            raise Refusal(400, f"FILE_PART_{min(missing)}_MISSING")
        data = b"".join(parts[number] for number in range(uploaded.parts))
        wanted = getattr(uploaded, "md5_checksum", "")
        if wanted and hashlib.md5(data, usedforsecurity=False).hexdigest() != wanted:
            raise Refusal(400, "MD5_CHECKSUM_INVALID", violation=True)
        return data

    def _keep(self, file: File) -> File:
        self._last_id += 1
        file.id = self._last_id
        for forgotten in self._files.keep(file.id, file, len(file.data)):
            forgotten.data = b""
        return file


def _name(media: Any) -> str:
    names = [found.file_name for found in media.attributes if isinstance(found, tl.DocumentAttributeFilename)]
    return str(names[0] if names else media.file.name)
