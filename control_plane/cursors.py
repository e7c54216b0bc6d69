"""Where the next page of a list begins, as an opaque word that only we can have written.

A cursor is a position and a digest over it, its list, whoever reads it and what the list was narrowed to. So one that
was changed, belongs to somebody else or comes with another filter is refused by name, instead of leading somewhere. It
is signed with the keys of signed addresses, which all processes know, and lives as long as they do.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import Meta

from control_plane.errors import Invalid
from control_plane.signing import SigningKeys

DIGEST_BYTES = 16
CURSOR_LENGTH_MAX = 200

Cursor = Annotated[str, Meta(min_length=1, max_length=CURSOR_LENGTH_MAX, pattern=r"^[A-Za-z0-9_-]+\Z")]
"""As it is sent back to us."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def seal(keys: SigningKeys, position: bytes, *scope: object) -> str:
    """The cursor of this position in the list that `scope` describes: its name, its reader, its filters."""
    digest = keys.digest(_message(position, scope))[:DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest + position).rstrip(b"=").decode()


def unseal(keys: SigningKeys, cursor: str, *scope: object) -> bytes:
    """The position of a cursor. Raises `Invalid` unless it was sealed by us, as it stands, for this very list."""
    padded = cursor.encode("ascii", "replace") + b"=" * (-len(cursor) % 4)
    try:
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        raw = b""
    digest, position = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
    if len(digest) < DIGEST_BYTES or not keys.proves(_message(position, scope), digest):
        raise Invalid.at(
            "cursor",
            "This cursor was not made for this list. Send `next_cursor` as it came, with the same filters, or none.",
        )
    return position


def _message(position: bytes, scope: tuple[object, ...]) -> bytes:
    return b"cursor/" + _encode(scope) + b"/" + position
