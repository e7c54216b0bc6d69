"""A form with a picture and an order, as OpenAI's clients send it to have a picture edited.

The picture is passed on as it arrives, whatever comes before or after it; the other parts are small, are kept as
text and read as the same order that other operations get as JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
import multipart
from litestar.types import Receive, Scope

from control_plane.api import decoding, guards
from control_plane.api.forms import FORM, FORM_BYTES_MAX, HEADER_BYTES_MAX, LENGTH_DIGITS_MAX
from control_plane.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType

PICTURE = "image"
PICTURE_NAMES = frozenset({PICTURE, "image[]"})
"""Their clients write the second when they were given a list."""
PARTS_MAX = 32

Order = TypeVar("Order", bound=msgspec.Struct)


class Form:
    """One form, read once: first `picture` to its end, then `order`."""

    def __init__(self, scope: Scope, receive: Receive, picture_bytes_max: int) -> None:
        """Raises `UnsupportedMediaType` and `TooLarge` before anything is read."""
        self._picture_bytes_max = picture_bytes_max
        self._bytes_max = picture_bytes_max + FORM_BYTES_MAX
        length = guards.header(scope, b"content-length") or b"0"
        if len(length) > LENGTH_DIGITS_MAX or int(length) > self._bytes_max:  # digits: the server has checked
            raise self._too_large()
        told = (guards.header(scope, b"content-type") or b"").decode("latin-1")
        media_type, options = multipart.parse_options_header(told)
        if media_type.lower() != FORM:
            raise UnsupportedMediaType(f"Send the picture and the order as `{FORM}`.")
        self._boundary = options.get("boundary", "")
        self._body = decoding.chunks(receive)
        self._texts: dict[str, bytes] = {}
        self._name = ""
        self._found = False

    async def picture(self) -> AsyncIterator[bytes]:
        """The bytes of the picture. Raises `TooLarge`, `Malformed` and `Invalid`."""
        try:
            with multipart.PushMultipartParser(
                self._boundary,
                max_header_size=HEADER_BYTES_MAX,
                max_segment_count=PARTS_MAX,
                max_segment_size=self._picture_bytes_max + 1,
            ) as parser:
                total = 0
                async for data in self._body:
                    total += len(data)
                    if total > self._bytes_max:
                        raise self._too_large()
                    for event in parser.parse(data) if data else ():
                        if chunk := self._take(event):
                            yield chunk
        except multipart.ParserLimitReached as error:
            raise self._too_large() from error
        except (multipart.MultipartError, UnicodeError) as error:
            raise Malformed("The form cannot be read; is it multipart/form-data, whole, with its boundary?") from error
        if not self._found:
            raise Invalid.at(f"/{PICTURE}", f"The form has no part {PICTURE!r} with the picture.", "missing")

    def order(self, kind: type[Order]) -> Order:
        """The other parts as an order. Raises `Invalid`."""
        try:
            given = {name: value.decode() for name, value in self._texts.items()}
            return msgspec.convert(given, kind, strict=False)
        except UnicodeDecodeError as error:
            raise Malformed("A part of the form is not UTF-8.") from error
        except msgspec.ValidationError as error:
            raise decoding.invalid([decoding.fault(error, kind)]) from error

    def _take(self, event: multipart.MultipartSegment | bytearray | None) -> bytes:
        """What is of the picture; anything else is put aside."""
        if isinstance(event, multipart.MultipartSegment):
            self._begin(event)
        elif event and self._name == PICTURE:
            return bytes(event)
        elif event:
            self._texts[self._name] += event
            if sum(map(len, self._texts.values())) > FORM_BYTES_MAX:
                raise self._too_large()
        return b""

    def _begin(self, part: multipart.MultipartSegment) -> None:
        self._name = PICTURE if part.name in PICTURE_NAMES else part.name
        if self._name == "mask":
            raise Invalid.at("/mask", "Masks are not known here: the whole picture is made anew.", "unsupported_value")
        if self._name in self._texts or (self._name == PICTURE and self._found):
            sentence = "One picture at a time." if self._name == PICTURE else "This part may stand only once."
            raise Invalid.at(f"/{self._name}", sentence, "repeated")
        if self._name == PICTURE:
            self._found = True
        else:
            self._texts[self._name] = b""

    def _too_large(self) -> TooLarge:
        sentence = f"A picture may have at most {self._picture_bytes_max} bytes, everything else {FORM_BYTES_MAX}."
        return TooLarge(sentence, bytes_max=self._picture_bytes_max)
