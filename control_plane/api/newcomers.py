"""Entering by an invite: somebody new has shown who they are, and the code that they enter opens the door."""

from __future__ import annotations

from litestar.types import ASGIApp

from control_plane.api import answers, cookies, entering, guards
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import Forbidden, Merged, SignInFailed, Suspended, TooManyTries, Unlinked
from control_plane.signin import newcomers
from control_plane.wire.session import InviteSignIn, SignedIn


@operation(
    "POST",
    "/auth/invite",
    guard=guards.PUBLIC,
    answers={200: SignedIn},
    problems=(Forbidden, SignInFailed, Suspended, Merged, TooManyTries, Unlinked),
    tag="Sign-in",
)
async def enter_by_invite(call: Call[None, InviteSignIn, Nothing]) -> ASGIApp:
    """Enter the invite of somebody new, within ten minutes after they have shown who they are to a provider. Needs the
    header `Tessera-CSRF: 1`."""
    context, scope = call.context, call.request.scope
    entered = cookies.door(scope, context.settings)
    cookies.check_own(scope, entered)
    secret = cookies.value(scope, entered, cookies.NEWCOMER)
    newcomer, begun = await newcomers.admit(context.database, secret, call.body.code, entering.device(scope))
    answer = answers.json(SignedIn(next=newcomer.next))
    answer.headers.append(cookies.taken(entered, cookies.NEWCOMER))
    return await entering.enter(context, scope, entered, begun, answer)
