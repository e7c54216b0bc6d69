"""The website: files that were built beforehand (`make web`), served before the router is asked.

What is in the export when the process starts is what there is; nothing else in the folder can be reached. A page lets
run only what came with it: the scripts that Next writes into a page are hashed here, and its Content-Security-Policy
names those hashes and our own origin. Files whose names carry a hash are kept by browsers for a year, pages are asked
for by ETag. A person who follows a link to nowhere gets a page; programs go on getting their problem. Without an export
this steps aside, and `GET /` is the plain page of `pages.py`.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from control_plane.api.guards import header
from control_plane.settings import Settings

PACKED = {"br": ".br", "gzip": ".gz"}
"""Content coding → suffix of the file beside the file, made when the site was built; the best first."""
HASHED = "/_next/static/"
FOREVER = "public, max-age=31536000, immutable"
ASK = "no-cache"
MACHINES = ("/api/", "/v1/", "/install/", "/artifacts/", "/inputs/", "/_next/", "/problems/")
"""Below these nobody looks for pages."""
NOT_FOUND = "404.html"
ICON = "/icon.svg"
HIDDEN = re.compile(r"(^|/)(_not-found|404)(\.|/)")
SEEN_AS = "site"
"""What metrics and log call these files."""

_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class File:
    """One file of the export in all its codings."""

    media_type: str
    cache: str
    policy: str | None
    """Of pages."""
    etag: str
    bodies: dict[str, bytes]
    """By content coding; `identity` is always there."""


class Site:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._files = load(settings.site_folder, elsewhere=_pictures_elsewhere(settings))
        self._missing = self._files.pop("/404", None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        elif (file := self._files.get(scope["path"])) is not None:
            await _answer(file, scope, send)
        elif self._missing is not None and _wants_page(scope):
            await self._app(scope, receive, _Missing(self._missing, scope, send))
        else:
            await self._app(scope, receive, send)


class _Missing:
    """A `send` that shows a page where the application would say 404."""

    def __init__(self, page: File, scope: HTTPScope, send: Send) -> None:
        self._page, self._scope, self._send = page, scope, send
        self._shown = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._shown = True
            await _answer(self._page, self._scope, self._send, status=404)
        elif not self._shown:
            await self._send(message)


def load(folder: Path, *, elsewhere: bool) -> dict[str, File]:
    """Every file of an export by the path of its address; empty when there is none."""
    files: dict[str, File] = {}
    for path in sorted(folder.rglob("*")) if (folder / "index.html").is_file() else ():
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix not in PACKED.values() and (name == NOT_FOUND or not HIDDEN.search(name)):
            files[address(name)] = _file(path, f"/{name}", elsewhere=elsewhere)
    if ICON in files:
        files["/favicon.ico"] = files[ICON]  # asked for by browsers on pages that name none
    return files


def address(name: str) -> str:
    """Where a file of the export is found; pure. Pages have no suffix."""
    return "/" if name == "index.html" else "/" + name.removesuffix(".html")


def policy(page: bytes, *, elsewhere: bool) -> str:
    """What a page may run, load and ask; pure. `elsewhere`: pictures may come from a bucket."""
    inline = sorted({base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page)})
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in inline)])
    pictures = "'self' data: blob:" + (" https: http:" if elsewhere else "")
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src {pictures}; media-src {pictures};"
        " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _file(path: Path, name: str, *, elsewhere: bool) -> File:
    content = path.read_bytes()
    bodies = {"identity": content}
    for coding, suffix in PACKED.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            bodies[coding] = packed.read_bytes()
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = guessed.startswith("text/")
    return File(
        media_type=f"{guessed}; charset=utf-8" if is_text else guessed,
        cache=FOREVER if name.startswith(HASHED) else ASK,
        policy=policy(content, elsewhere=elsewhere) if path.suffix == ".html" else None,
        etag=hashlib.sha256(content).hexdigest()[:20],
        bodies=bodies,
    )


async def _answer(file: File, scope: HTTPScope, send: Send, status: int = 200) -> None:
    scope["state"]["served"] = SEEN_AS
    coding = _coding(file, header(scope, b"accept-encoding") or b"")
    etag = f'"{file.etag}-{coding}"'
    headers = {"etag": etag, "cache-control": file.cache, "vary": "Accept-Encoding"}
    if file.policy is not None:
        headers |= {"content-security-policy": file.policy, "x-frame-options": "DENY"}
    if status == 200 and etag.encode() in _tags(header(scope, b"if-none-match") or b""):
        status, body = 304, b""
    else:
        body = file.bodies[coding]
        headers |= {"content-type": file.media_type, "content-length": str(len(body))}
        if coding != "identity":
            headers["content-encoding"] = coding
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


def _coding(file: File, accepted: bytes) -> str:
    """The best coding that a client takes; pure."""
    named = {
        part.partition(b";")[0].strip().lower()
        for part in accepted.split(b",")
        if b"q=0" not in part.replace(b"q=0.", b"")
    }
    return next((coding for coding in PACKED if coding in file.bodies and coding.encode() in named), "identity")


def _tags(sent: bytes) -> set[bytes]:
    return {tag.strip().removeprefix(b"W/") for tag in sent.split(b",")}


def _wants_page(scope: HTTPScope) -> bool:
    return b"text/html" in (header(scope, b"accept") or b"") and not scope["path"].startswith(MACHINES)


def _pictures_elsewhere(settings: Settings) -> bool:
    return settings.artifacts_url is not None and not settings.artifacts_url.startswith("file:")
