"""Examples for the documentation, made from the types themselves, so that there is one for every operation.

Each field shows the value that `example_values` has for its name, if that fits its type, else the plainest value that
does. A request shows what it requires and what `STRUCTS` adds, an answer everything. A test decodes every request and
validates every answer.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect as types

from control_plane.api import openai_errors
from control_plane.api.example_values import FIELDS, JOB, NOON, PARAMETERS, PROBLEMS, STREAMS, STRUCTS, TEXTS, URL, Json
from control_plane.errors import TesseraError
from control_plane.wire import Request

DEPTH_MAX = 6


@cache
def example(kind: type[msgspec.Struct]) -> Json:
    """An example of a Struct, as JSON."""
    shown = STRUCTS.get(kind.__name__, {})
    hints = get_type_hints(kind, include_extras=True)
    made: Json = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name in shown:
            made[name] = shown[name]
        elif field.required or not issubclass(kind, Request):
            made[name] = _value(name, hints[field.name])
    return made


def parameter(name: str) -> str:
    """What stands for a parameter of a path."""
    return PARAMETERS.get(name, JOB)


def text(operation: str, media_type: str) -> str | None:
    """The beginning of an answer that is no JSON; None for what no text can show."""
    return STREAMS.get(operation) or TEXTS.get(media_type)


def problem(kind: type[TesseraError]) -> Json:
    """A problem as our own operations tell it."""
    detail, fields = PROBLEMS.get(kind) or (_says(kind), {})
    return {
        "type": f"{URL}/problems/{kind.slug}",
        "title": kind.title(),
        "status": kind.status,
        "detail": detail,
        "instance": "/api/v1/jobs",
        "code": kind.slug,
        "request_id": "5f2c9a1b7d3e4f60",
        **fields,
    }


def foreign_problem(kind: type[TesseraError]) -> Json:
    """A problem in OpenAI's shape."""
    detail, fields = PROBLEMS.get(kind) or (_says(kind), {})
    found: Json = msgspec.to_builtins(openai_errors.body(kind(detail, **fields)))
    return found


def _says(kind: type[TesseraError]) -> str:
    """The docstring as one paragraph."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    return re.sub(r"\s+", " ", " ".join(paragraphs)).replace("`", "")


def _value(name: str, hint: Any) -> Any:
    """For a field: what its name suggests, if it fits its type."""
    for candidate in FIELDS.get(name, ()):
        if _fits(candidate, hint):
            return candidate
    return _made(types.type_info(hint), DEPTH_MAX)


def _fits(value: Any, hint: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=hint)
    except msgspec.ValidationError:
        return False
    return True


def _made(kind: types.Type, depth: int) -> Any:
    """The plainest value of a type."""
    match kind:
        case types.Metadata(type=inner):
            return _made(inner, depth)
        case types.StructType(cls=cls):
            return example(cls)
        case types.LiteralType(values=values):
            return values[0]
        case types.UnionType(types=members):
            return _made(next(member for member in members if not isinstance(member, types.NoneType)), depth)
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item) | types.SetType(item_type=item):
            return [_made(item, depth - 1)] if depth else []
        case types.IntType(ge=least) | types.FloatType(ge=least):
            return least or 1
        case types.BoolType():
            return False
        case types.StrType(min_length=least, pattern=pattern):
            return _string(least or 0, pattern or "")
        case types.DateTimeType():
            return NOON
        case types.DateType():
            return NOON[:10]
        case types.UUIDType():
            return JOB
        case types.DictType():
            return {}
        case types.NoneType():
            return None
    return ""


def _string(least: int, pattern: str) -> str:
    if "[0-9a-f]{" in pattern:
        return "0" * int(pattern.partition("[0-9a-f]{")[2].partition("}")[0])
    return "text".ljust(least, "x")
