"""The spots where Telegram's schema moves from layer to layer, so that a new client needs changes here alone.

Objects are the client library's own (`pyrogram.raw`), hence both sides speak one layer. Its reader has a quirk that a
server must know: a vector of objects of 4 or 8 bytes at the end of a request is read as numbers (`unbare`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Literal

from pyrogram.raw import types as tl
from pyrogram.raw.core import TLObject, Vector

BOOL_TRUE = struct.pack("<I", 0x997275B5)

ButtonKind = Literal["press", "link", "pay", "copy", "choice", "other"]
KINDS: dict[str, ButtonKind] = {
    "InlineButtonTypeCallback": "press",
    "InlineButtonTypeUrl": "link",
    "InlineButtonTypeBuy": "pay",
    "InlineButtonTypeCopy": "copy",
}


def only_known(kind: Any, **fields: Any) -> Any:
    """A TL object without the fields that this layer does not have."""
    return kind(**{name: value for name, value in fields.items() if name in kind.__slots__})


def vector(items: list[Any]) -> bytes:
    """An answer that is a bare list."""
    return bytes(Vector(items))


def unbare(item: Any) -> Any:
    """The object that was taken for a number."""
    if not isinstance(item, int):
        return item
    raw = struct.pack("<q", item)
    return TLObject.read(BytesIO(raw if not -(2**31) <= item <= 0xFFFFFFFF else raw[:4]))


def inline_rows(markup: Any) -> Iterator[list[Any]]:
    """The buttons under a message; a keyboard in place of the person's own has none."""
    if isinstance(markup, tl.ReplyInlineMarkup):
        for row in markup.rows:
            yield list(row.buttons)


def button_kind(button: Any) -> ButtonKind:
    return KINDS.get(type(button.type).__name__, "other")


def button_data(button: Any) -> bytes:
    return getattr(button.type, "data", None) or b""


def button_url(button: Any) -> str:
    return getattr(button.type, "url", None) or getattr(button.type, "copy_text", None) or ""


def button_style(button: Any) -> str:
    """`primary`, `danger`, `success` or nothing."""
    style = getattr(button, "style", None)
    return next((name for name in ("primary", "danger", "success") if getattr(style, f"bg_{name}", None)), "")


def asks_for_reply(markup: Any) -> bool:
    return isinstance(markup, tl.ReplyKeyboardForceReply) or bool(getattr(markup, "force_reply", None))


def same(one: Any, other: Any) -> bool:
    return (one.write() if one else b"") == (other.write() if other else b"")


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def slice_units(text: str, offset: int, length: int) -> str:
    raw = text.encode("utf-16-le")[2 * offset : 2 * (offset + length)]
    return raw.decode("utf-16-le", "replace")
