"""Pages for people: the front door, the documentation, and what each problem means.

All are made once, on the server, with their style inside and no script at all; the content security policy allows
just that one style, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
from html import escape
from pathlib import Path
from typing import Any

from litestar.types import ASGIApp

from control_plane import errors
from control_plane.api import answers, examples, guards, openai_errors, reference
from control_plane.api.document import document
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import NotFound

CACHE = "public, max-age=300"
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


@operation("GET", "/", guard=guards.PUBLIC, answers={200: "text/html"}, tag="Pages")
async def get_front_page(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Where to go from here."""
    return _page("Tessera", _front())


@operation("GET", "/docs", guard=guards.PUBLIC, answers={200: "text/html"}, tag="Pages")
async def get_docs(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The documentation of this API, made from the document."""
    return _page("Tessera API", reference.render(_document(call), call.context.settings.base_url))


@operation("GET", "/openapi.json", guard=guards.PUBLIC, answers={200: "application/json"}, tag="Pages")
async def get_openapi(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The description of this API as OpenAPI 3.1."""
    return answers.json(_document(call), cache=CACHE)


@operation(
    "GET",
    "/problems/{slug:str}",
    guard=guards.PUBLIC,
    answers={200: "text/html"},
    problems=(NotFound,),
    tag="Pages",
)
async def get_problem(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """What a problem means and what to do about it."""
    kind = next((kind for kind in errors.leaves() if kind.slug == call.path("slug")), None)
    if kind is None:
        raise NotFound("There is no problem of this name.")
    return _page(f"{kind.title()} · Tessera", _problem(kind))


def _page(title: str, body: str) -> answers.Answer:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
    headers = {"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"}
    return answers.Answer(html.encode(), media_type=answers.HTML, cache=CACHE, headers=headers)


def _front() -> str:
    return (
        '<main class="front"><h1>Tessera</h1><p>This is an image and video generation service. It is up.</p>'
        '<p><a href="/docs">API documentation</a> · <a href="/openapi.json">OpenAPI document</a> · '
        '<a href="/api/v1/models">models</a></p></main>'
    )


def _document(call: Call[None, Nothing, Nothing]) -> dict[str, Any]:
    return document(call.request.scope["litestar_app"].state.operations, call.context.settings.base_url)


def _shown(example: dict[str, Any]) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)


def _problem(kind: type[errors.TesseraError]) -> str:
    rest = "\n".join(inspect.cleandoc(kind.__doc__ or "").splitlines()[1:]).strip()
    paragraphs = "".join(f"<p>{reference.prose(part)}</p>" for part in rest.split("\n\n") if part)
    return (
        f'<main><p class="up"><a href="/docs#problems">Problems</a></p><h1>{escape(kind.title())}</h1>'
        f"<p><code>{kind.slug}</code>, status {kind.status}</p>{paragraphs}"
        f"<h4>It looks like this</h4><pre>{escape(_shown(examples.problem(kind)))}</pre>"
        "<h4>Below /v1/, in OpenAI's shape</h4>"
        f"<pre>{escape(_shown(examples.foreign_problem(kind)))}</pre>"
        f"<p class=soft>There with status {openai_errors.told(kind).status}.</p></main>"
    )
