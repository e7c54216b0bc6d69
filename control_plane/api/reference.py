"""The OpenAPI document as a page for people: operations by subject, each with a line to try in a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from control_plane import errors

Json = dict[str, Any]

EXAMPLES: dict[str, Json] = {
    "SubmitRequest": {"prompt": "a lighthouse at dusk", "width": 768, "height": 512},
    "EnrollRequest": {"token": "tse_…", "secret_sha256": "…", "name": "my-pc"},
}
"""Bodies for the lines to try; other bodies are made from what their schema requires."""


def render(document: Json, base_url: str) -> str:
    """The body of the page."""
    found = list(_operations(document))
    tags = list(dict.fromkeys(op["tags"][0] for _, _, op in found))
    menu, sections = "", ""
    for tag in tags:
        mine = [(method, path, op) for method, path, op in found if op["tags"][0] == tag]
        menu += f"<h2>{escape(tag)}</h2>" + "".join(
            f'<a href="#{op["operationId"]}"><span class="verb {method}">{method.upper()}</span>'
            f"{escape(path.removeprefix('/api/v1'))}</a>"
            for method, path, op in mine
        )
        sections += f"<h2>{escape(tag)}</h2>" + "".join(_operation(*it, document, base_url) for it in mine)
    return (
        f'<div class="layout"><nav><a href="/">Tessera</a>{menu}<h2>More</h2><a href="#problems">Problems</a>'
        f'<a href="/openapi.json">openapi.json</a></nav><main>{_introduction(document, base_url)}{sections}'
        f"{_problems()}</main></div>"
    )


def prose(text: str) -> str:
    """Text with `code` in it, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, op in methods.items():
            yield method, path, op


def _introduction(document: Json, base_url: str) -> str:
    steps = (
        (
            "Order",
            f'curl {base_url}/api/v1/jobs -H "Authorization: Bearer $TESSERA_API_KEY" \\\n'
            "  -H 'Content-Type: application/json' -d '{\"prompt\": \"a lighthouse at dusk\"}'",
        ),
        (
            "Look, until it has succeeded",
            f'curl {base_url}/api/v1/jobs/$ID -H "Authorization: Bearer $TESSERA_API_KEY"',
        ),
        ("Fetch", 'curl -o lighthouse.png "$URL"   # artifacts[0].url of the job; it needs no key'),
    )
    lines = "".join(f"<h4>{escape(name)}</h4><pre>{escape(line)}</pre>" for name, line in steps)
    return (
        f"<h1>{escape(document['info']['title'])} API</h1><p>{escape(document['info']['description'])} "
        "Send your key as <code>Authorization: Bearer tsk_…</code>. Times are RFC 3339 in UTC, prices are whole "
        'tokens, errors are <a href="#problems">problems</a>.</p>'
        f"<section>{lines}</section>"
    )


def _operation(method: str, path: str, op: Json, document: Json, base_url: str) -> str:
    parts = [
        f'<section id="{op["operationId"]}"><h3><span class="verb {method}">{method.upper()}</span>{escape(path)}</h3>',
        f"<p>{prose(op['summary'])}.</p>",
        "".join(f"<p>{prose(part)}</p>" for part in op.get("description", "").split("\n\n") if part),
        f"<pre>{escape(_curl(method, path, op, document, base_url))}</pre>",
        _table("Parameters", [(p["name"], _kind(p["schema"]), p.get("description", "")) for p in op["parameters"]]),
        _body(op, document),
        _table("Answers", [(status, "", answer["description"]) for status, answer in op["responses"].items()]),
    ]
    return "".join(parts) + "</section>"


def _body(op: Json, document: Json) -> str:
    reference = _body_reference(op)
    if reference is None:
        return ""
    schema = document["components"]["schemas"][reference]
    required = schema.get("required", ())
    rows = [
        (name, _kind(field) + (", required" if name in required else ""), field.get("description", ""))
        for name, field in schema["properties"].items()
    ]
    return _table("Body", rows)


def _body_reference(op: Json) -> str | None:
    content = op.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return schema["$ref"].rpartition("/")[2] if "$ref" in schema else None


def _curl(method: str, path: str, op: Json, document: Json, base_url: str) -> str:
    filled = re.sub(r"\{(\w+)\}", lambda found: "$" + found[1].upper(), path)
    line = {"get": "curl", "head": "curl -I"}.get(method, f"curl -X {method.upper()}")
    line += f" {base_url}{filled}"
    if "security" in op:
        variable = "TESSERA_API_KEY" if "bearer" in op["security"][0] else "WORKER_CREDENTIAL"
        line += f' \\\n  -H "Authorization: Bearer ${variable}"'
    if reference := _body_reference(op):
        schema = document["components"]["schemas"][reference]
        example = EXAMPLES.get(reference) or dict.fromkeys(schema.get("required", ()), "…")
        line += f" \\\n  -H 'Content-Type: application/json' \\\n  -d '{json.dumps(example, ensure_ascii=False)}'"
    elif "requestBody" in op:
        line += " \\\n  --data-binary @file"
    return line


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td><span class=soft>{escape(kind)}</span> {prose(text)}</td></tr>"
        for name, kind, text in rows
    )
    return f"<h4>{title}</h4><table>{cells}</table>"


def _kind(schema: Json) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(kind) for kind in schema["anyOf"] if kind != {"type": "null"})
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    words = {"minimum": "≥ {}", "maximum": "≤ {}", "maxLength": "at most {} long", "multipleOf": "multiple of {}"}
    limits = [text.format(schema[name]) for name, text in words.items() if name in schema]
    return ", ".join([str(schema.get("type", "")), *limits])


def _problems() -> str:
    rows = "".join(
        f'<tr><td><a href="/problems/{kind.slug}"><code>{kind.slug}</code></a></td><td>{kind.status}</td>'
        f"<td>{prose(kind.title())}</td></tr>"
        for kind in errors.leaves()
    )
    return (
        '<h2 id="problems">Problems</h2><section><p>Errors are <code>application/problem+json</code> (RFC 9457): '
        "<code>code</code> is stable, <code>detail</code> says what to do, <code>errors</code> points at what is "
        f"wrong, <code>request_id</code> helps the operator find it.</p><table>{rows}</table></section>"
    )
