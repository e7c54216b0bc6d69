"""`ops/docs/api.md`: every operation of the HTTP API, from the document that `tessera openapi` prints.

The document is made from the declarations that the router uses, so the page says what is. `python -m ops.api_guide`
writes it, and a test compares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from control_plane import app, errors
from control_plane.settings import Settings

Json = dict[str, Any]

PAGE = Path(__file__).parent / "docs" / "api.md"
SERVER = "https://tessera.example"
HEAD = """# The HTTP API

Written by `python -m ops.api_guide` from what `tessera openapi` prints; not to be edited. A running control plane shows
the same with examples at `/docs`, and `/openapi.json` is it for machines. How to begin:
[My program](../../README.md#my-program).

- Credentials go as `Authorization: Bearer …`: `tsk_…` of a user or a service, the worker's own for `/worker/`. Pages of
  the website use the cookie of a session instead, with the header `Tessera-CSRF` for whatever changes something.
- An order with an `Idempotency-Key` can be repeated without harm; so can everything that says so.
- Lists are `{data, has_more, next_cursor}`; go on with `?cursor=`.
- Errors are `application/problem+json`: [problems](#problems). After 429 and 503 wait as `Retry-After` says.
- Times are RFC 3339 in UTC, prices whole tokens.
"""
CALLERS = {"bearer": "key", "session": "session", "worker": "worker"}
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "maxItems": "at most {}",
    "multipleOf": "a multiple of {}",
}


def page() -> str:
    document: Json = app.openapi(Settings(public_url=SERVER))
    found = [(method, path, op) for path, methods in document["paths"].items() for method, op in methods.items()]
    subjects = list(dict.fromkeys(op["tags"][0] for _, _, op in found))
    parts = [
        HEAD,
        "Subjects: " + " · ".join(f"[{it}](#{_anchor(it)})" for it in [*subjects, "Types", "Problems"]),
    ]
    for subject in subjects:
        parts.append(f"## {subject}")
        parts += [_operation(method, path, op) for method, path, op in found if op["tags"][0] == subject]
    parts.append(
        "## Types\n\nFields without *required* may be left out, or null. What is not listed is refused in requests."
    )
    schemas = document["components"]["schemas"]
    parts += [_type(name, schemas[name]) for name in sorted(schemas)]
    parts.append(_problems())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _operation(method: str, path: str, op: Json) -> str:
    callers = [CALLERS[name] for way in op.get("security", ()) for name in way]
    parts = [
        f"### {method.upper()} {path}",
        f"{op['summary']}. *{'By ' + ' or '.join(callers) if callers else 'Open to everybody'}.*",
        op["description"] if op["description"] != op["summary"] else "",
        "\n".join(_parameter(given) for given in op["parameters"]),
        _asked(op),
        "\n".join(_answers(op)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _parameter(given: Json) -> str:
    where = f"{given['in']}, {_kind(given['schema'])}" + (", required" if given.get("required") else "")
    return f"- `{given['name']}` ({where})" + (f": {given['description']}" if given.get("description") else "")


def _asked(op: Json) -> str:
    kinds = [
        f"`{media}` {_kind(told.get('schema', {}))}".strip() for media, told in _contents(op.get("requestBody", {}))
    ]
    return f"Body: {' or '.join(kinds)}" if kinds else ""


def _answers(op: Json) -> Iterator[str]:
    """Successes with their type, and then the codes of all refusals in one line."""
    refusals = []
    for status, told in op["responses"].items():
        slugs = [slug for _, content in _contents(told) for slug in content.get("examples", {})]
        if slugs:
            refusals += [f"{status} `{slug}`" for slug in slugs]
        else:
            shown = ", ".join(
                f"`{media}` {_kind(content.get('schema', {}))}".strip() for media, content in _contents(told)
            )
            yield f"- **{status}** {shown}".rstrip()
    if refusals:
        yield f"- [refused](#problems): {', '.join(refusals)}"


def _contents(told: Json) -> list[tuple[str, Json]]:
    return list(told.get("content", {}).items())


def _type(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = "\n".join(
        f"| `{field}` | {_kind(told)}{', required' * (field in required)} | {_cell(told.get('description', ''))} |"
        for field, told in schema.get("properties", {}).items()
    )
    said = schema.get("description", "")
    table = f"| field | type | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return "\n\n".join(part for part in (f"### {name}", said, table) if part)


def _kind(schema: Json) -> str:
    """A schema in a few words, with a link to the type that it names."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(kind) for kind in schema["anyOf"] if kind != {"type": "null"}))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {})) or 'anything'}"
    limits = [text.format(schema[name]) for name, text in LIMITS.items() if name in schema]
    return ", ".join(part for part in [str(schema.get("format", schema.get("type", ""))), *limits] if part)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _problems() -> str:
    rows = "\n".join(f"| `{kind.slug}` | {kind.status} | {_cell(kind.title())} |" for kind in errors.leaves())
    return (
        "## Problems\n\n`code` is stable, `detail` says what to do, `errors` points at what is wrong, `request_id`"
        " helps the operator find it.\nEvery control plane explains each at `/problems/CODE`.\n\n"
        f"| code | status | means |\n|---|---|---|\n{rows}"
    )


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
