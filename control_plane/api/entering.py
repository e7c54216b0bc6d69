"""A browser comes in: what it is called in a list, and the cookie of its session in place of the one that it had."""

from __future__ import annotations

from typing import Annotated

from litestar.types import Scope
from msgspec import Meta

from control_plane.api import cookies
from control_plane.api.answers import Answer
from control_plane.api.cookies import Door
from control_plane.api.senders import guesser, header
from control_plane.api.sessions import end_own
from control_plane.context import Context
from control_plane.people.sessions import Begun

USER_AGENT_LENGTH_MAX = 512

Page = Annotated[str, Meta(max_length=500, pattern=r"^/(?:[!-.0-\[\]-~][!-\[\]-~]*)?\Z")]
"""A path of this site, to go to afterwards; nothing that a browser takes for another site."""

BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
"""What stands in a User-Agent → what people call it; the first found counts, since browsers name their forebears."""
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def device(scope: Scope) -> str:
    """What a person would call the browser: `Firefox on Linux`."""
    told = (header(scope, b"user-agent") or b"")[:USER_AGENT_LENGTH_MAX].decode("latin-1")
    browser = next((name for mark, name in BROWSERS.items() if mark in told), "A browser")
    system = next((name for mark, name in SYSTEMS.items() if mark in told), None)
    return browser if system is None else f"{browser} on {system}"


def sender(context: Context, scope: Scope) -> str:
    """By what tries of this browser are counted."""
    return guesser(scope, list(context.settings.trusted_proxies))


async def enter(context: Context, scope: Scope, entered: Door, begun: Begun, answer: Answer) -> Answer:
    """The answer, with the cookie of the new session; the session that the browser had ends."""
    old = cookies.value(scope, entered, cookies.SESSION)
    found = await context.credentials.session(old) if old is not None else None
    if found is not None:
        await end_own(context, found)
    answer.headers.append(cookies.given(entered, cookies.SESSION, begun.secret))
    return answer
