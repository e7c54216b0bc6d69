"""Operations on sessions: who is signed in, in which browsers, and their end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar.types import ASGIApp, Scope

from control_plane import audit
from control_plane.api import answers, cookies, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.context import Context
from control_plane.errors import Forbidden, NotFound
from control_plane.people import sessions, users
from control_plane.people.rights import ApiKey
from control_plane.signin import newcomers, providers
from control_plane.wire.session import ProviderId, ProviderView, SessionEntry, SessionList, SessionUser, SessionView


@operation("GET", "/api/v1/session", guard=guards.PUBLIC, answers={200: SessionView}, tag="Sessions")
async def get_session(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Who is signed in with this browser, and the ways to sign in. A cookie that opens nothing is taken away."""
    context, scope = call.context, call.request.scope
    try:
        entered = cookies.door(scope, context.settings)
    except Forbidden as error:
        return answers.json(await _view(context, None, [], error.detail))
    secret = cookies.value(scope, entered, cookies.SESSION)
    found = await context.credentials.session(secret) if secret is not None else None
    newcomer = await newcomers.find(context.database, cookies.value(scope, entered, cookies.NEWCOMER))
    answer = answers.json(await _view(context, found, _ways(context), None, newcomer))
    if secret is not None and found is None:
        answer.headers.append(cookies.taken(entered, cookies.SESSION))
    return answer


@operation("GET", "/api/v1/sessions", guard=guards.KEYS, answers={200: SessionList}, tag="Sessions")
async def list_sessions(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The browsers in which you are signed in."""
    found = await sessions.listed(call.context.database, call.who.user_id)
    own = call.who.key.id
    data = [
        SessionEntry(
            id=one.id,
            current=str(one.id) == own,
            way=one.way,
            device=one.device,
            created_at=one.created_at,
            expires_at=one.expires_at,
            last_used_at=one.last_used_at,
        )
        for one in found
    ]
    return answers.json(SessionList(data=data))


@operation(
    "DELETE",
    "/api/v1/sessions/{session_id:uuid}",
    guard=guards.KEYS,
    answers={204: None},
    problems=(NotFound,),
    tag="Sessions",
)
async def end_session(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Sign out one browser. Once this is answered its cookie opens nothing; of a process that cannot be reached, within
    five seconds."""
    session_id: UUID = call.path("session_id")
    await sessions.end(call.context.database, call.who.user_id, session_id)
    call.context.dispatcher.bus.announce("credential", session_id)
    return answers.nothing()


@operation("DELETE", "/api/v1/sessions", guard=guards.KEYS, answers={204: None}, tag="Sessions")
async def end_sessions(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Sign out everywhere, this browser too. API keys stay as they are."""
    user_id = call.who.user_id
    for session_id in await sessions.end_all(call.context.database, user_id, audit.user(user_id)):
        call.context.dispatcher.bus.announce("credential", session_id)
    return without_cookie(call.context, call.request.scope)


@operation("POST", "/auth/signout", guard=guards.PUBLIC, answers={204: None}, problems=(Forbidden,), tag="Sessions")
async def sign_out(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Sign this browser out. Nothing is wrong when nobody is signed in. Needs the header `Tessera-CSRF: 1`."""
    context, scope = call.context, call.request.scope
    secret = cookies.session(scope, context.settings)
    found = await context.credentials.session(secret) if secret is not None else None
    if found is not None:
        await end_own(context, found)
    return without_cookie(context, scope)


async def end_own(context: Context, found: ApiKey) -> None:
    """Ends a session by itself; it may have ended meanwhile."""
    assert found.user_id is not None, "a session is somebody's"
    try:
        await sessions.end(context.database, found.user_id, UUID(found.id))
    except NotFound:
        return
    finally:
        context.dispatcher.bus.announce("credential", found.id)


def without_cookie(context: Context, scope: Scope) -> answers.Answer:
    """The answer to a browser that is signed out."""
    answer = answers.nothing()
    try:
        answer.headers.append(cookies.taken(cookies.door(scope, context.settings), cookies.SESSION))
    except Forbidden:
        return answer  # by an address where there are no cookies of ours
    return answer


def _ways(context: Context) -> list[ProviderView]:
    """The ways to sign in that the operator has opened; a code always is one."""
    named: list[tuple[ProviderId, str]] = [(one.id, one.title) for one in providers.of(context.settings).values()]
    if providers.telegram(context.settings) is not None:
        named.append(("telegram", "Telegram"))
    ways = [ProviderView(id=name, title=title, url=f"/auth/{name}/start") for name, title in named]
    return [*ways, ProviderView(id="code", title="Code from a bot", url="/auth/code")]


async def _view(
    context: Context,
    found: ApiKey | None,
    ways: list[ProviderView],
    refusal: str | None,
    newcomer: newcomers.Newcomer | None = None,
) -> SessionView:
    """What a page is told."""
    proved = newcomer.provider if newcomer is not None else None
    here: dict[str, Any] = {"providers": ways, "refusal": refusal, "newcomer": proved}
    if found is None or found.user_id is None:
        return SessionView(signed_in=False, user=None, is_operator=False, session_id=None, expires_at=None, **here)
    user = await users.view(context.database, found.user_id)
    listed = await sessions.listed(context.database, user.id)
    expires_at = next((one.expires_at for one in listed if str(one.id) == found.id), None)
    return SessionView(
        signed_in=True,
        user=SessionUser(id=user.id, name=user.name, plan=user.plan, status=user.status),
        is_operator="admin" in found.scopes,
        session_id=UUID(found.id),
        expires_at=expires_at,
        **here,
    )
