"""What the public sends, read strictly: bodies, query strings and headers.

Bodies are decoded from their bytes by msgspec in strict mode, so `"512"` is no number, and every refusal names
its place as a JSON pointer (RFC 6901). A body is read piece by piece and never beyond its limit. Whatever cannot
be read is a problem for the sender, never an error of ours.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope

from control_plane.api import advice
from control_plane.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType
from control_plane.wire.problem import Fault

T = TypeVar("T")

PARAMETERS_MAX = 16
QUERY_BYTES_MAX = 4_096

_PLACE = re.compile(r" - at (?:`key` in )?`\$(.*)`\Z", re.DOTALL)
_NAMED = re.compile(r"\AObject (contains unknown|missing required) field `(.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_PATTERN = re.compile(r"\AExpected `[^`]+` matching regex '(.*)'\Z", re.DOTALL)

_KINDS = (
    (re.compile(r"unknown field"), "unknown_field"),
    (re.compile(r"missing required"), "missing"),
    (re.compile(r"of length <="), "too_long"),
    (re.compile(r"of length >="), "too_short"),
    (re.compile(r"matching regex|Invalid (UUID|datetime|base64)"), "bad_format"),
    (re.compile(r"Expected `[^`]+` (<|>|that's a multiple)|out of range"), "out_of_range"),
    (re.compile(r"Invalid enum"), "not_allowed"),
    (re.compile(r"Expected `"), "wrong_type"),
)
"""The sentence that msgspec says → our code for it; the first that fits."""


class Disconnected(Exception):
    """The sender went away before the body was whole: nobody is left to be told."""


def has_body(scope: Scope) -> bool:
    """Whether anything is sent along, by the framing of the request."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""


async def read(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """The body, of at most `bytes_max` bytes; one that announces more is refused unread."""
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"0")
    if len(announced) > 15 or int(announced) > bytes_max:  # digits: the server has checked the framing
        raise _too_large(bytes_max)
    media_type = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if media_type != b"application/json":
        raise UnsupportedMediaType("Send the body as `Content-Type: application/json`.")
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message["body"]
        more = message["more_body"]
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
    return body


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """A raw body as it arrives. Raises `Disconnected` when it ends before it is whole."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        yield message["body"]
        more = message["more_body"]


def body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The body as its Struct; raises `Malformed` when it is no JSON and `Invalid` when it does not fit."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid([fault(error, decoder.type)]) from error
    except UnicodeDecodeError as error:
        raise _malformed("not_utf8", f"The body is not UTF-8: byte {error.start} of a text cannot be read.") from error
    except msgspec.DecodeError as error:
        raise _malformed("not_json", f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise _malformed("too_deep", "The body is nested too deeply.") from error


def query(raw: bytes, kind: type[T]) -> T:
    """The query string as its Struct; unknown, repeated and malformed parameters are refused by name."""
    if len(raw) > QUERY_BYTES_MAX:
        raise parameter("query", "too_long", f"The query string is longer than {QUERY_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError as error:
        raise parameter("query", "bad_format", "The query string cannot be read.") from error
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise parameter(repeated, "repeated", f"The parameter {repeated!r} may stand only once.")
    for name, value in pairs:
        if "\0" in value:  # PostgreSQL has no text for it
            raise parameter(name, "bad_format", "Must not contain the character U+0000.")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        found = fault(error, kind)
        raise parameter(found.pointer.removeprefix("/"), found.code, found.detail) from error


def parameter(name: str, code: str, sentence: str) -> Invalid:
    """A fault of a query parameter or header, by its name."""
    return invalid([Fault(pointer=name, code=code, detail=sentence)])


def invalid(faults: list[Fault]) -> Invalid:
    named = "; ".join(f"{found.pointer or 'the body'}: {found.detail}" for found in faults)
    return Invalid(named, errors=faults)


def fault(error: msgspec.ValidationError, kind: Any) -> Fault:
    """What msgspec says of something that was to be of this kind, as pointer, code and sentence."""
    sentence, path = str(error), ""
    if place := _PLACE.search(sentence):
        sentence, path = sentence[: place.start()], place[1]
    steps = [name or number for name, number in _STEP.findall(path)]
    pointer = "".join("/" + _escaped(step) for step in steps)
    code = next((code for sign, code in _KINDS if sign.search(sentence)), "invalid_value")
    told = sentence.rstrip(".")[:300] + "."
    if named := _NAMED.match(sentence):
        pointer += "/" + _escaped(named[2])
        if code == "unknown_field":
            told += advice.name(kind, steps, named[2])
    if code == "not_allowed":
        told += advice.values(kind, steps)
    if pattern := _PATTERN.match(sentence):
        told = advice.PATTERNS.get(pattern[1], told)
    return Fault(pointer=pointer, code=code, detail=told)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")[:100]


def _malformed(code: str, sentence: str) -> Malformed:
    return Malformed(sentence, errors=[Fault(pointer="", code=code, detail=sentence)])


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"The body may have at most {bytes_max} bytes.", bytes_max=bytes_max)
