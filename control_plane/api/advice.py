"""What would have fit, when something did not: the values that a place takes, or the name that was probably meant.

Asked only once a body or a parameter was refused; it walks the type that msgspec decoded to, along the path that its
error names. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec.inspect as shapes

from control_plane.wire.event import EVENT_NAMES, EVENT_NAMES_PATTERN

LISTED_MAX = 30
"""Values that are listed; of more, none is."""

PATTERNS = {
    r"^[^\\x00]*$": "Must not contain the character U+0000.",
    r"^[^\\x00-\\x1f]*$": "Must not contain control characters.",
    r"^[a-z0-9][a-z0-9._-]*\\Z": "Must consist of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit.",
    r"^[0-9a-f]{64}\\Z": "Must be 64 hexadecimal digits in lower case.",
    r"^(auto|[0-9]{2,4}x[0-9]{2,4})\\Z": "Must be a width and a height like `1024x768`, or `auto`.",
    r"^https?://[^\\s\\x00-\\x1f\\\\]+\\Z": "Must be an address that begins with https://.",
    r"^[a-z]{2,3}\\Z": "Must be the code of a language, such as `en`.",
    r"^[A-Z]{3}\\Z": "Must be the code of a currency, three capital letters such as `EUR`.",
    r"^[a-z_]{1,32}\\Z": "Must consist of 1 to 32 of a-z and '_'.",
    r"^[\\x21-\\x7e]*\\Z": "Must consist of visible ASCII characters, without spaces.",
    r"^[\\x20-\\x7e]*\\Z": "Must consist of printable ASCII characters.",
    r"^[^\\x00-\\x1f\\x7f]*\\Z": "Must not contain control characters.",
    r"^[^\\x00=]{1,64}=[^\\x00]*\\Z": "Must be a key and a value, as `key=value`.",
    r"^/(?:[!-.0-\\[\\]-~][!-\\[\\]-~]*)?\\Z": "Must be a path on this site, such as `/create`.",
    r"^[A-Za-z0-9_-]+\\Z": "Must be sent as it came, in `next_cursor`.",
    r"^[A-Za-z0-9_.+-]{1,200}\\Z": "Must consist of letters, digits, '_', '.', '+' and '-'.",
    repr(EVENT_NAMES_PATTERN)[1:-1]: f"Must be names with commas in between. Possible: {', '.join(EVENT_NAMES)}.",
}
"""A pattern as msgspec prints it → what it means to a person; a test knows of every one that a request has."""


def values(kind: Any, path: Sequence[str]) -> str:
    """The values that the place takes; empty when they cannot be listed."""
    found = [value for shape in _at(_shape(kind), path) for value in _literals(shape)]
    return f" Possible: {', '.join(map(str, found))}." if 0 < len(found) <= LISTED_MAX else ""


def name(kind: Any, path: Sequence[str], unknown: str) -> str:
    """The field that was probably meant by one that is not there; empty when none is like it."""
    known = [field.encode_name for shape in _at(_shape(kind), path) for field in getattr(shape, "fields", ())]
    close = get_close_matches(unknown, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


@cache
def _shape(kind: Any) -> shapes.Type:
    return shapes.type_info(kind)


def _at(shape: shapes.Type, path: Sequence[str]) -> Iterator[shapes.Type]:
    """What may stand at a place: of a choice of types all that lead there."""
    if isinstance(shape, shapes.UnionType):
        for one in shape.types:
            yield from _at(one, path)
    elif not path:
        yield shape
    elif isinstance(shape, shapes.StructType):
        for field in shape.fields:
            if field.encode_name == path[0]:
                yield from _at(field.type, path[1:])
    elif isinstance(shape, shapes.CollectionType):
        yield from _at(shape.item_type, path[1:])
    elif isinstance(shape, shapes.DictType):
        yield from _at(shape.value_type, path[1:])


def _literals(shape: shapes.Type) -> tuple[Any, ...]:
    return tuple(shape.values) if isinstance(shape, shapes.LiteralType) else ()
