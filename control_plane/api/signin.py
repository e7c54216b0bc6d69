"""Signing in through a provider: the way there, the way back, and what Telegram has signed.

A browser that comes back is sent on whatever happened, by a redirect: to the page that it wanted, or to the page for
signing in with the code of the problem. How it works stands in `control_plane.signin`.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import structlog
from litestar.types import ASGIApp, Scope
from msgspec import Meta

from control_plane.api import answers, cookies, entering, guards
from control_plane.api.cookies import Door
from control_plane.api.operation import Call, Nothing, operation
from control_plane.context import Context
from control_plane.errors import (
    Forbidden,
    InviteNeeded,
    Merged,
    NotFound,
    SignInCanceled,
    SignInFailed,
    SignupClosed,
    SignupLimit,
    Suspended,
    TesseraError,
    TooManyTries,
    Unlinked,
)
from control_plane.people.users import Identity
from control_plane.signin import arrivals, attempts, newcomers, providers, telegram
from control_plane.signin.attempts import Attempt
from control_plane.signin.providers import Provider
from control_plane.wire import Message, Request
from control_plane.wire.session import SignedIn, TelegramSignIn

SIGN_IN_PAGE = "/signin"
CANCELED = frozenset({"access_denied", "user_cancelled_login", "consent_required"})
SCRIPT = (Path(__file__).parent / "telegram.js").read_text(encoding="utf-8")
SCRIPT_PATH = "/auth/telegram.js"
RETURN_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
}
RETURN_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · Tessera</title>'
    f'<script src="{SCRIPT_PATH}" defer></script></head><body><p>One moment …</p></body></html>'
)

_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")

Word = Annotated[str, Meta(max_length=2_048)]

log = structlog.get_logger()


class StartQuery(Request, frozen=True, kw_only=True):
    next: entering.Page = "/"
    """The page to go to afterwards: a path of this site."""
    link: bool = False
    """Add the identity to the account that is signed in, instead of signing in."""


class CallbackQuery(Message, frozen=True, kw_only=True):
    """What a provider sends along; more than this is ignored."""

    state: Word = ""
    code: Word | None = None
    error: Word | None = None
    iss: Word | None = None
    """Who answers (RFC 9207)."""


@operation(
    "GET",
    "/auth/{provider:str}/start",
    guard=guards.PUBLIC,
    answers={303: None},
    problems=(Forbidden, NotFound),
    tag="Sign-in",
)
async def start_sign_in(call: Call[None, Nothing, StartQuery]) -> ASGIApp:
    """Send the browser to a provider (`google`, `discord`, `telegram`) to sign in there."""
    context, scope, name = call.context, call.request.scope, call.path("provider")
    entered = cookies.door(scope, context.settings)
    provider = _known(context, name)
    if call.query.link:
        cookies.check_followed(scope)  # or any page could make the accounts one that somebody keeps apart
    kept = cookies.value(scope, entered, cookies.BROWSER) or ""
    browser = kept if _BROWSER.fullmatch(kept) else secrets.token_urlsafe(32)
    try:
        for_user = await _signed_in(context, scope, entered) if call.query.link else None
        sender = entering.sender(context, scope)
        begun = await attempts.begin(context.database, name, browser, sender, call.query.next, for_user)
        back = _callback(entered, name)
        if isinstance(provider, Provider):
            address = await context.oauth.address(provider, back, begun)
        else:
            address = telegram.address(provider, entered.origin, f"{back}?{urlencode({'state': begun.state})}")
    except TesseraError as error:
        return _refused(error, call.query.next)
    answer = answers.see_other(address)
    answer.headers.append(cookies.given(entered, cookies.BROWSER, browser, attempts.ATTEMPT_SECONDS))
    return answer


@operation(
    "GET",
    "/auth/{provider:str}/callback",
    guard=guards.PUBLIC,
    answers={200: "text/html", 303: None},
    problems=(Forbidden, NotFound),
    tag="Sign-in",
)
async def finish_sign_in(call: Call[None, Nothing, CallbackQuery]) -> ASGIApp:
    """Where a provider sends the browser back to; of Telegram, a page that hands its proof on."""
    context, scope, name, query = call.context, call.request.scope, call.path("provider"), call.query
    entered = cookies.door(scope, context.settings)
    provider = _known(context, name)
    if not isinstance(provider, Provider):
        return answers.Answer(RETURN_PAGE.encode(), media_type=answers.HTML, headers=RETURN_HEADERS)
    wanted = "/"
    try:
        attempt = await _taken(context, scope, entered, provider.id, query.state)
        wanted = attempt.next
        if query.error is not None:
            raise SignInCanceled("You have not signed in there.") if query.error in CANCELED else _unproved(name)
        if query.iss is not None and query.iss.rstrip("/") != provider.issuer:
            raise _unproved(name)
        if not query.code:
            raise _unproved(name)
        identity = await context.oauth.identity(provider, _callback(entered, name), query.code, attempt)
        try:
            return await _arrived(context, scope, entered, identity, attempt, answers.see_other(attempt.next))
        except InviteNeeded as error:
            return await _kept(context, entered, identity, attempt, _refused(error, attempt.next))
    except TesseraError as error:
        return _refused(error, wanted)


@operation(
    "POST",
    "/auth/telegram",
    guard=guards.PUBLIC,
    answers={200: SignedIn},
    problems=(
        *(Forbidden, NotFound, SignInFailed, SignupClosed, SignupLimit),
        *(Unlinked, Suspended, Merged, TooManyTries),
    ),
    tag="Sign-in",
)
async def sign_in_by_telegram(call: Call[None, TelegramSignIn, Nothing]) -> ASGIApp:
    """Sign in with what Telegram has signed; who is new where that takes an invite goes to where one is entered. Needs
    the header `Tessera-CSRF: 1`."""
    context, scope, body = call.context, call.request.scope, call.body
    entered = cookies.door(scope, context.settings)
    cookies.check_own(scope, entered)
    provider = providers.telegram(context.settings)
    if provider is None:
        raise _no_such_provider()
    attempt = await _taken(context, scope, entered, "telegram", body.state)
    identity = await telegram.identity(context.database, provider, body.data)
    try:
        answer = answers.json(SignedIn(next=attempt.next))
        return await _arrived(context, scope, entered, identity, attempt, answer)
    except InviteNeeded as error:
        answer = answers.json(SignedIn(next=_sign_in_page(error, attempt.next)))
        return await _kept(context, entered, identity, attempt, answer)


@operation("GET", SCRIPT_PATH, guard=guards.PUBLIC, answers={200: "text/javascript"}, tag="Sign-in")
async def get_telegram_script(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The script of the page to which Telegram sends a browser back."""
    return answers.Answer(SCRIPT.encode(), media_type="text/javascript", cache="public, max-age=300")


async def _taken(context: Context, scope: Scope, entered: Door, provider: attempts.ProviderId, state: str) -> Attempt:
    """The attempt of this browser; of an identity that is to be added, while the same person is signed in."""
    browser = cookies.value(scope, entered, cookies.BROWSER)
    attempt = await attempts.take(context.database, provider, browser, state)
    if attempt.for_user is not None and attempt.for_user != await _signed_in(context, scope, entered):
        raise SignInFailed("Somebody else has signed in here meanwhile, so nothing was added to any account.")
    return attempt


async def _arrived(
    context: Context, scope: Scope, entered: Door, identity: Identity, attempt: Attempt, answer: answers.Answer
) -> answers.Answer:
    device = entering.device(scope)
    arrival = await arrivals.arrive(context.database, context.settings, identity, device, attempt.for_user)
    for user_id in arrival.joined:
        context.dispatcher.bus.announce("user", user_id)
    return await entering.enter(context, scope, entered, arrival.session, answer)


async def _kept(
    context: Context, entered: Door, identity: Identity, attempt: Attempt, answer: answers.Answer
) -> answers.Answer:
    """The answer to somebody new who needs an invite, with the cookie by which they are known for a while."""
    secret = await newcomers.keep(context.database, identity, attempt.next)
    answer.headers.append(cookies.given(entered, cookies.NEWCOMER, secret, newcomers.KEEP_SECONDS))
    return answer


async def _signed_in(context: Context, scope: Scope, entered: Door) -> UUID:
    """Who is signed in. Raises `SignInFailed`."""
    secret = cookies.value(scope, entered, cookies.SESSION)
    found = await context.credentials.session(secret) if secret is not None else None
    if found is None or found.user_id is None:
        raise SignInFailed("Nobody is signed in here. Sign in first, then add another identity.")
    return found.user_id


def _known(context: Context, name: str) -> Provider | providers.Telegram:
    found = providers.telegram(context.settings) if name == "telegram" else providers.of(context.settings).get(name)
    if found is None:
        raise _no_such_provider()
    return found


def _no_such_provider() -> NotFound:
    return NotFound("Nobody signs in by this provider here. GET /api/v1/session lists the ways.")


def _callback(entered: Door, provider: str) -> str:
    return f"{entered.origin}/auth/{provider}/callback"


def _unproved(provider: str) -> SignInFailed:
    log.warning("signin.refused", provider=provider, reason="callback")
    return SignInFailed("The provider did not say who you are. Begin anew.")


def _refused(error: TesseraError, wanted: str) -> answers.Answer:
    """Back to the page for signing in, which says what has happened."""
    log.info("signin.failed", code=error.slug)
    return answers.see_other(_sign_in_page(error, wanted))


def _sign_in_page(error: TesseraError, wanted: str) -> str:
    return f"{SIGN_IN_PAGE}?{urlencode({'error': error.slug, 'next': wanted})}"
