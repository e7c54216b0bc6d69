"""The description of the API as OpenAPI 3.1, made from the declarations that the router itself uses.

Schemas come from the very Structs that decode and encode, descriptions from their docstrings and those of their
fields, so the document cannot drift from the code. Every status that an operation may answer with is listed.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby, pairwise
from typing import Any

import msgspec

from control_plane import errors
from control_plane.api import examples, openai_errors, openai_forms
from control_plane.api.cookies import SECURE_PREFIX, SESSION
from control_plane.api.forms import FIELD, FORM
from control_plane.api.guards import ON_BEHALF_OF_HEADER, PUBLIC, Comer, Follower, Person
from control_plane.api.operation import Nothing, Operation
from control_plane.api.reference_requests import FILE
from control_plane.errors import TesseraError
from control_plane.wire.openai import ErrorBody
from control_plane.wire.problem import PROBLEM_MEDIA_TYPE, Problem

API_VERSION = "1"

JSON = "application/json"
Json = dict[str, Any]

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_PATH_SCHEMAS: dict[str | None, Json] = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer"},
    "str": {"type": "string"},
}
_ANY = (errors.Invalid, errors.DeadlineExceeded, errors.Unavailable)
"""What every operation may answer: an unknown parameter, too slow, no database."""
_WITH_BODY = (errors.Malformed, errors.TooLarge, errors.UnsupportedMediaType)
_GUARDED = (errors.Unauthorized, errors.Forbidden)
_PERSON = (errors.RateLimited, errors.Suspended)
_NAMED = (errors.SignupClosed, errors.InviteNeeded, errors.SignupLimit, errors.Unlinked)
"""Whoever is named for the first time may not be taken in."""
_RATES: Json = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("RateLimit-Policy", 'The rate that this request was counted by, such as `"reads";q=120;w=60`.'),
        ("RateLimit", 'What is left of it, and the seconds until it is whole again: `"reads";r=119;t=1`.'),
    )
}
"""Of draft-ietf-httpapi-ratelimit-headers-10."""
SESSION_COOKIE = f"{SECURE_PREFIX}{SESSION}"
_SESSION = (
    "The cookie of somebody who has signed in on the website, over plain HTTP within a household `tessera`. A request"
    " that changes something then needs the header `Tessera-CSRF: 1` and has to come from a page of this service."
)
_ON_BEHALF_OF: Json = {
    "name": ON_BEHALF_OF_HEADER,
    "in": "header",
    "required": False,
    "description": "For the credential of a service only: the person it acts for, as `provider:id`.",
    "schema": {"type": "string"},
}


def document(operations: Sequence[Operation], base_url: str) -> Json:
    """The whole document; `base_url` is where the service is reached."""
    paths: dict[str, Json] = {}
    for op in operations:
        paths.setdefault(plain_path(op.path), {})[op.method.lower()] = _operation(op)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tessera",
            "version": API_VERSION,
            "description": "Order pictures and videos, look at them while they are made, fetch them.",
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "examples": _examples(operations),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`tsk_…`)."},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": _SESSION},
                "worker": {"type": "http", "scheme": "bearer", "description": "A worker's own credential (`tsw_…`)."},
            },
        },
    }


def plain_path(path: str) -> str:
    """Litestar's `{job_id:uuid}` as OpenAPI's `{job_id}`."""
    return _PARAMETER.sub(r"{\1}", path)


def _who(op: Operation) -> str:
    """Who may call, in a sentence."""
    known = {
        "public": "Anybody may call this; no credential is needed.",
        "worker": "For agents: needs the worker's own credential (`tsw_…`).",
        "metrics": "Needs a key with the scope `metrics`, or a sender on this machine.",
    }
    scope = {"comer": "submit", "follower": "read"}.get(op.guard.name, op.guard.name)
    return known.get(op.guard.name, f"Needs a key with the scope `{scope}`.")


def problems_of(op: Operation) -> list[type[TesseraError]]:
    """Every kind of problem that an operation may answer with, besides our own mistakes."""
    kinds: set[type[TesseraError]] = {*_ANY, *op.problems}
    if op.body is not Nothing or op.uploads:
        kinds.update(_WITH_BODY)
    if op.guard is not PUBLIC:
        kinds.update(_GUARDED)
    if _is_counted(op):
        kinds.update(_PERSON + _NAMED)
    if "{" in op.path:
        kinds.add(errors.NotFound)
    return sorted(kinds, key=lambda kind: (kind.status, kind.slug))


def _operation(op: Operation) -> Json:
    summary, _, rest = op.description.partition("\n")
    described: Json = {
        "operationId": op.name,
        "summary": summary.rstrip("."),
        "tags": [op.tag],
        "parameters": list(_parameters(op)),
        "responses": _with_rates(op, {**_answers(op), **_problems(op)}),
    }
    described["description"] = f"{textwrap.dedent(rest).strip()}\n\n{_who(op)}".strip()
    if op.body is not Nothing:
        described["requestBody"] = _content(op, [op.body], required=not op.optional_body)
    elif op.uploads:
        files = {media_type: _upload(op, media_type) for media_type in op.uploads}
        described["requestBody"] = {"required": True, "content": files}
    if op.guard is not PUBLIC:
        described["security"] = [{scheme: []} for scheme in _schemes(op)]
    return described


def _schemes(op: Operation) -> list[str]:
    """With what a caller may show who they are; a session is that of a person."""
    if op.guard.name == "worker":
        return ["worker"]
    return ["bearer", "session"] if op.guard.who in (Person, Comer, Follower) else ["bearer"]


def _upload(op: Operation, media_type: str) -> Json:
    """A file that is the body, or a part of it."""
    content: Json = {"type": "string", "format": "binary"}
    if media_type != FORM:
        return {"schema": content}
    name, form = (FIELD, Nothing) if op.form is None else (openai_forms.PICTURE, op.form)
    schema = _component(form)
    fields = {field: _without_null(told) for field, told in schema["properties"].items()}
    return {
        "schema": {
            "type": "object",
            "properties": {name: content, **fields},
            "required": [name, *schema.get("required", ())],
            "additionalProperties": False,
        },
        "example": {name: FILE, **examples.example(form)},
    }


def _parameters(op: Operation) -> Iterator[Json]:
    for name, kind in _PARAMETER.findall(op.path):
        shown = {"schema": _PATH_SCHEMAS[kind or None], "example": examples.parameter(name)}
        yield {"name": name, "in": "path", "required": True, **shown}
    schema = _component(op.query)
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        parameter = {"name": name, "in": "query", "required": required, "schema": _without_null(field)}
        yield {**parameter, "description": field["description"]} if "description" in field else parameter
    for header in op.headers:
        yield {
            "name": header.name,
            "in": "header",
            "required": header.required,
            "description": header.description,
            "schema": dict(header.schema),
        }
    if op.guard.who in (Person, Comer, Follower):
        yield _ON_BEHALF_OF


def _answers(op: Operation) -> Json:
    return {str(status): _answer(op, kinds) for status, kinds in op.answers.items()}


def _with_rates(op: Operation, responses: Json) -> Json:
    """What is counted by a rate says where it stands."""
    return {status: {**told, "headers": _RATES} for status, told in responses.items()} if _is_counted(op) else responses


def _is_counted(op: Operation) -> bool:
    return op.guard.who is Person


def _answer(op: Operation, kinds: Any) -> Json:
    if kinds is None:
        return {"description": "Done; there is nothing to say."}
    each = _each(kinds)
    texts = [_title(kind) for kind in each if isinstance(kind, type)] or ["The content."]
    return {"description": texts[0], **_content(op, each)}


def _problems(op: Operation) -> Json:
    found: Json = {}
    told = sorted(((_status(op, kind), kind) for kind in problems_of(op)), key=lambda pair: pair[0])
    for status, pairs in groupby(told, key=lambda pair: pair[0]):
        kinds = [kind for _, kind in pairs]
        text = " ".join(f"`{kind.slug}`: {kind.title()}." for kind in kinds)
        shown = {kind.slug: {"$ref": f"#/components/examples/{_example_name(op, kind)}"} for kind in kinds}
        media_type, body = (JSON, ErrorBody) if openai_errors.speaks(op.path) else (PROBLEM_MEDIA_TYPE, Problem)
        content = {media_type: {"schema": _reference(body), "examples": shown}}
        found[str(status)] = {"description": text, "content": content}
    return found


def _status(op: Operation, kind: type[TesseraError]) -> int:
    return openai_errors.told(kind).status if openai_errors.speaks(op.path) else kind.status


def _example_name(op: Operation, kind: type[TesseraError]) -> str:
    return f"openai-{kind.slug}" if openai_errors.speaks(op.path) else kind.slug


def _examples(operations: Iterable[Operation]) -> Json:
    """Every problem that some operation may answer with, once."""
    found: Json = {}
    for op in operations:
        make = examples.foreign_problem if openai_errors.speaks(op.path) else examples.problem
        for kind in problems_of(op):
            name = _example_name(op, kind)
            found[name] = found.get(name) or {"summary": kind.title(), "value": make(kind)}
    return dict(sorted(found.items()))


def _each(kinds: Any) -> tuple[Any, ...]:
    """What an operation may answer with under one status."""
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _content(op: Operation, kinds: Iterable[Any], **more: Any) -> Json:
    """Each kind with its example: Structs, or media types of something else."""
    content: Json = {}
    for kind in kinds:
        if isinstance(kind, type):
            content[JSON] = {"schema": _reference(kind), "example": examples.example(kind)}
        else:
            shown = examples.text(op.name, kind)
            content[kind] = {"schema": {}} if shown is None else {"schema": {}, "example": shown}
    return {**more, "content": content}


def _reference(kind: type) -> Json:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _without_null(field: Json) -> Json:
    """A parameter is absent rather than null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else {name: value for name, value in field.items() if name != "description"}


def _schemas(operations: Iterable[Operation]) -> Json:
    kinds: set[Any] = {Problem}
    for op in operations:
        answers = [kind for told in op.answers.values() for kind in _each(told)]
        kinds |= {op.body} - {Nothing} | {kind for kind in answers if isinstance(kind, type)}
    return components(tuple(sorted(kinds, key=lambda kind: kind.__name__)))


def _component(kind: type[msgspec.Struct]) -> Json:
    found: Json = components((kind,))[kind.__name__]
    return found


@cache
def components(kinds: tuple[type, ...]) -> Json:
    """The JSON Schemas of Structs and all that they contain, with the docstrings of their fields."""
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    structs = {struct.__name__: struct for struct in _descendants(msgspec.Struct)}
    for name, schema in found.items():
        for field, note in _notes(structs[name]).items():
            if field in schema.get("properties", {}):
                schema["properties"][field]["description"] = note
    portable: Json = _portable(found)
    return portable


def _portable(schema: Any) -> Any:
    """Python's `\\Z` is unknown to ECMAScript, whose `$` means just that."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$") if name == "pattern" and isinstance(value, str) else _portable(value)
            for name, value in schema.items()
        }
    return [_portable(item) for item in schema] if isinstance(schema, list) else schema


def _descendants(kind: type) -> Iterator[type]:
    child: type
    for child in kind.__subclasses__():
        if child.__module__.startswith("control_plane"):
            yield child
        yield from _descendants(child)


@cache
def _notes(struct: type) -> dict[str, str]:
    """Field → the string literal that follows it in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, after in pairwise(body.body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(note))):
                notes[name] = inspect.cleandoc(note)
    return notes


def _title(kind: type) -> str:
    return (inspect.getdoc(kind) or kind.__name__).splitlines()[0]
