"""A file as it is uploaded: the raw body, or the part `file` of a form, which is what browsers and `curl -F` send.

Either is passed on as it arrives. What a sender says about the content (type, name) is not listened to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import multipart
from litestar.types import Receive, Scope

from control_plane.api import decoding, guards
from control_plane.errors import Invalid, Malformed, TooLarge

FIELD = "file"
FORM = "multipart/form-data"
FORM_BYTES_MAX = 64 * 1024
"""Of a form beside its file."""
PARTS_MAX = 8
HEADER_BYTES_MAX = 4_096
LENGTH_DIGITS_MAX = 15


def file(scope: Scope, receive: Receive, bytes_max: int) -> AsyncIterator[bytes]:
    """The file that a request brings. Raises `TooLarge` before it is read, `Malformed` and `Invalid` while it is."""
    length = guards.header(scope, b"content-length") or b"0"
    if len(length) > LENGTH_DIGITS_MAX or int(length) > bytes_max + FORM_BYTES_MAX:  # digits: the server has checked
        raise TooLarge(f"A file may have at most {bytes_max} bytes.", bytes_max=bytes_max)
    told = (guards.header(scope, b"content-type") or b"").decode("latin-1")
    media_type, options = multipart.parse_options_header(told)
    body = decoding.chunks(receive)
    return _part(body, options.get("boundary", ""), bytes_max) if media_type.lower() == FORM else body


async def _part(body: AsyncIterator[bytes], boundary: str, bytes_max: int) -> AsyncIterator[bytes]:
    found, total = False, 0
    try:
        with multipart.PushMultipartParser(
            boundary, max_header_size=HEADER_BYTES_MAX, max_segment_count=PARTS_MAX, max_segment_size=bytes_max + 1
        ) as parser:
            async for data in body:
                total += len(data)
                if total > bytes_max + FORM_BYTES_MAX:
                    raise TooLarge(f"A file may have at most {bytes_max} bytes.", bytes_max=bytes_max)
                for event in parser.parse(data) if data else ():
                    if isinstance(event, multipart.MultipartSegment):
                        found = _expected(event, again=found)
                    elif event:
                        yield bytes(event)
    except multipart.ParserLimitReached as error:
        raise TooLarge(f"The form is larger than allowed: {error}.", bytes_max=bytes_max) from error
    except (multipart.MultipartError, UnicodeError) as error:
        raise Malformed("The form cannot be read; is it multipart/form-data, whole, with its boundary?") from error
    if not found:
        raise Invalid.at(f"/{FIELD}", f"The form has no part {FIELD!r} with the file.", "missing")


def _expected(part: multipart.MultipartSegment, *, again: bool) -> bool:
    if part.name != FIELD or again:
        repeated = again and part.name == FIELD
        sentence = "Send one file at a time." if repeated else f"Only {FIELD!r} belongs into this form."
        raise Invalid.at(f"/{FIELD}", sentence, "repeated" if repeated else "unknown_field")
    return True
