"""The one-time link of the operator, and the one-time code of a bot: ways to sign in without a provider.

A link leads to a page with a button. Whatever looks at links ahead of people (previews of chats, scanners of mail) uses
nothing up, for it presses no button. The page has no script, so its form sends no header of ours; that it is our page
is seen by its origin, which is why it gives a referrer to us.
"""

from __future__ import annotations

from html import escape

from litestar.types import ASGIApp

from control_plane.api import answers, cookies, entering, guards
from control_plane.api.operation import Call, Nothing, operation
from control_plane.api.pages import POLICY, STYLE
from control_plane.errors import Forbidden, Gone, Suspended, TooManyTries
from control_plane.people import sessions
from control_plane.wire import Request
from control_plane.wire.session import CodeSignIn

GONE = (
    "<h1>This link does not work any more</h1><p>It has been used, or is older than a quarter of an hour. Ask whoever"
    " sent it for a new one: <code>tessera user login-link NAME</code>.</p>"
)
HEADERS = {
    "Content-Security-Policy": POLICY.replace("form-action 'none'", "form-action 'self'"),
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


class LinkQuery(Request, frozen=True, kw_only=True):
    next: entering.Page = "/"
    """The page to go to afterwards: a path of this site."""


@operation(
    "GET",
    "/auth/link/{token:str}",
    guard=guards.PUBLIC,
    answers={200: "text/html", 410: "text/html"},
    problems=(Forbidden, TooManyTries),
    tag="Sign-in",
)
async def get_login_link(call: Call[None, Nothing, LinkQuery]) -> ASGIApp:
    """The page of a one-time link, with a button that signs in. Looking at it does not use the link up."""
    context, scope = call.context, call.request.scope
    cookies.door(scope, context.settings)
    name = await sessions.whose_link(context.database, call.path("token"), entering.sender(context, scope))
    if name is None:
        return _page(GONE, 410)
    button = f'<form method="post"><button>Sign in as {escape(name)}</button></form>'
    return _page(f"<h1>Sign in</h1><p>This works once, in this browser.</p>{button}", 200)


@operation(
    "POST",
    "/auth/link/{token:str}",
    guard=guards.PUBLIC,
    answers={303: None, 410: "text/html"},
    problems=(Forbidden, Suspended, TooManyTries),
    tag="Sign-in",
)
async def follow_login_link(call: Call[None, Nothing, LinkQuery]) -> ASGIApp:
    """Use a one-time link up: this browser is signed in and goes on."""
    context, scope = call.context, call.request.scope
    entered = cookies.door(scope, context.settings)
    cookies.check_origin(scope, entered)
    sender, device = entering.sender(context, scope), entering.device(scope)
    try:
        begun = await sessions.follow_link(context.database, call.path("token"), sender, device)
    except Gone:
        return _page(GONE, 410)
    return await entering.enter(context, scope, entered, begun, answers.see_other(call.query.next))


@operation(
    "POST",
    "/auth/code",
    guard=guards.PUBLIC,
    answers={204: None},
    problems=(Forbidden, Suspended, TooManyTries),
    tag="Sign-in",
)
async def sign_in_by_code(call: Call[None, CodeSignIn, Nothing]) -> ASGIApp:
    """Sign in with the one-time code that a bot gave (`POST /api/v1/user/link-code`). Needs the header
    `Tessera-CSRF: 1`."""
    context, scope = call.context, call.request.scope
    entered = cookies.door(scope, context.settings)
    cookies.check_own(scope, entered)
    sender, device = entering.sender(context, scope), entering.device(scope)
    begun = await sessions.begin_by_code(context.database, call.body.code, sender, device)
    return await entering.enter(context, scope, entered, begun, answers.nothing())


def _page(body: str, status: int) -> answers.Answer:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="same-origin">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sign in · Tessera</title><style>{STYLE}</style></head>"
        f'<body><main class="front">{body}</main></body></html>'
    )
    return answers.Answer(html.encode(), status=status, media_type=answers.HTML, headers=HEADERS)
