"""The page's server: its files, its stream, acts and media, on loopback.

Other sites cannot use it from the same browser: only loopback names are answered (so a foreign name that points here
is of no use), acts must come from the page itself, and the page may load nothing from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from frontends.standins.page.acts import PHOTO_BYTES_MAX, Act, Acts, Said, Who
from frontends.standins.page.stream import follow
from frontends.standins.page.views import Platforms

HOST = "127.0.0.1"
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
CLOSE_SECONDS = 0.5
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SHOWN_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm")
"""Files of other types are only ever downloaded."""
RANGE = re.compile(r"bytes=(\d*)-(\d*)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(platforms: Platforms, port: int = 0) -> AsyncIterator[str]:
    """The page's address. Port 0 takes any that is free."""
    runner = web.AppRunner(application(platforms), shutdown_timeout=CLOSE_SECONDS, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def application(platforms: Platforms) -> web.Application:
    acts = Acts(platforms)
    app = web.Application(middlewares=[guard], client_max_size=PHOTO_BYTES_MAX)
    for path in FILES:
        app.router.add_get(path, file)
    app.router.add_get("/events", stream_of(platforms))
    app.router.add_get("/media/{platform}/{message}/{index}", media_of(platforms))
    for name, act in (
        ("says", acts.says),
        ("presses", acts.presses),
        ("fills", acts.fills),
        ("uses", acts.uses),
        ("pays", acts.pays),
    ):
        app.router.add_post(f"/{name}", done_by(acts, act))
    app.router.add_post("/sends_photo", photo_by(acts))
    return app


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    if urlsplit(f"//{request.host}").hostname not in LOOPBACK_NAMES:
        raise web.HTTPForbidden(text="This page answers to loopback names alone.")
    if request.method == "POST" and request.headers.get("Origin") != f"http://{request.host}":
        raise web.HTTPForbidden(text="This must come from the page itself.")
    response = await handler(request)
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


async def file(request: web.Request) -> web.StreamResponse:
    name, kind = FILES[request.path]
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=kind, headers={"Cache-Control": "no-cache"})


def stream_of(platforms: Platforms) -> Handler:
    async def stream(request: web.Request) -> web.StreamResponse:
        try:
            who = msgspec.convert(dict(request.query), Who, strict=False)
        except msgspec.ValidationError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        return await follow(request, platforms, who)

    return stream


def done_by(acts: Acts, act: Callable[[Act], Awaitable[Any]]) -> Handler:
    async def done(request: web.Request) -> web.StreamResponse:
        wanted = read(await request.read())
        return await said(acts, lambda: act(wanted))

    return done


def photo_by(acts: Acts) -> Handler:
    """The act is in the query, the picture is the body."""

    async def done(request: web.Request) -> web.StreamResponse:
        wanted = read(request.query.get("act", "").encode())
        name = Path(request.query.get("name", "photo.png")).name
        data = await request.read()
        return await said(acts, lambda: acts.sends_photo(wanted, data, name))

    return done


def read(raw: bytes) -> Act:
    try:
        return msgspec.json.decode(raw, type=Act, strict=False)
    except msgspec.DecodeError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from None


async def said(acts: Acts, act: Callable[[], Awaitable[Any]]) -> web.Response:
    """What came of an act. What a person could not do, or got no answer for, is a sentence."""
    try:
        return web.json_response(acts.told(await act()))
    except (AssertionError, Said, ValueError) as error:
        return web.json_response({"error": str(error) or "That did not work."}, status=409)


def media_of(platforms: Platforms) -> Handler:
    async def media(request: web.Request) -> web.StreamResponse:
        platform = platforms.get(request.match_info["platform"])
        message = platform.message(_number(request, "message")) if platform else None
        index = _number(request, "index")
        if message is None or index >= len(message.media):
            raise web.HTTPNotFound
        one = message.media[index]
        shown = one.mime_type in SHOWN_TYPES
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
        headers["Content-Disposition"] = "inline" if shown else "attachment"
        return _part(request, one.data, one.mime_type if shown else "application/octet-stream", headers)

    return media


def _number(request: web.Request, name: str) -> int:
    value = request.match_info[name]
    if not value.isdecimal():
        raise web.HTTPNotFound
    return int(value)


def _part(request: web.Request, data: bytes, kind: str, headers: dict[str, str]) -> web.Response:
    """All of it, or the range that is asked for: players jump in films by ranges."""
    wanted = RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or wanted.groups() == ("", ""):
        return web.Response(body=data, content_type=kind, headers=headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return web.Response(status=206, body=data[start : end + 1], content_type=kind, headers=headers)
