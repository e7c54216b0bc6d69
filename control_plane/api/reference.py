"""The OpenAPI document as a page for people: operations by subject, each with a line to try in a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from textwrap import dedent
from typing import Any

from control_plane import errors
from control_plane.api import reference_requests as requests

Json = dict[str, Any]


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
    menu += '<h2>More</h2><a href="#problems">Problems</a><a href="/openapi.json">openapi.json</a>'
    return (
        f'<div class="layout"><nav><a href="/">Tessera</a>{menu}</nav>'
        f'<details class="menu"><summary>All operations</summary>{menu}</details>'
        f"<main>{_introduction(document, base_url)}{sections}{_problems()}</main></div>"
    )


def prose(text: str) -> str:
    """Text with `code` in it, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _paragraph(text: str) -> str:
    """What is indented is shown as it is."""
    indented = all(line.startswith("    ") for line in text.splitlines())
    return f"<pre>{escape(dedent(text))}</pre>" if indented else f"<p>{prose(text)}</p>"


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
        "".join(map(_paragraph, op["description"].split("\n\n"))),
        "<h4>Request</h4>",
        f"<pre>{escape(requests.curl(method, path, op, base_url))}</pre>",
        _folded("The same in Python", f"<pre>{escape(requests.python(method, path, op, base_url))}</pre>"),
        _table("Parameters", [(p["name"], _kind(p["schema"]), p.get("description", "")) for p in op["parameters"]]),
        _body(op, document),
        "<h4>Answers</h4>",
        *(_answer(status, told) for status, told in op["responses"].items() if not any(_problems_told(told, document))),
        _refusals(op, document),
    ]
    return "".join(parts) + "</section>"


def _answer(status: str, told: Json) -> str:
    """An answer with an example of each of its contents."""
    shown = [(media_type, content.get("example", "")) for media_type, content in told.get("content", {}).items()]
    blocks = "".join(
        f"<p class=soft>{escape(media_type)}</p>" + (f"<pre>{escape(_text(example))}</pre>" if example else "")
        for media_type, example in shown
    )
    title = f"<code>{status}</code> {prose(told['description'])}"
    return _folded(title, blocks) if blocks else f'<p class="answer">{title}</p>'


def _text(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _problems_told(told: Json, document: Json) -> Iterator[tuple[str, str]]:
    """Slug and title of each problem that an answer may be; none when it is no problem."""
    content: Json = next(iter(told.get("content", {}).values()), {})
    for slug, shown in content.get("examples", {}).items():
        yield slug, document["components"]["examples"][shown["$ref"].rpartition("/")[2]]["summary"]


def _refusals(op: Json, document: Json) -> str:
    """Every problem that may be the answer; each leads to its page, which shows it whole."""
    rows = "".join(
        f'<tr><td><a href="/problems/{slug}"><code>{slug}</code></a></td>'
        f"<td>{status}</td><td>{prose(summary)}</td></tr>"
        for status, told in op["responses"].items()
        for slug, summary in _problems_told(told, document)
    )
    return _folded("Problems", f"<table>{rows}</table>")


def _folded(title: str, content: str) -> str:
    """`title` is HTML already."""
    return f"<details><summary>{title}</summary>{content}</details>"


def _body(op: Json, document: Json) -> str:
    content = op.get("requestBody", {}).get("content", {})
    schema = content.get(requests.JSON, content.get(requests.FORM, {})).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    rows = [
        (name, _kind(field) + (", required" if name in required else ""), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return _table("Body" if requests.JSON in content else "Form", rows)


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
