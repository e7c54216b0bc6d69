"""Operations on who one is: link identities, take one off, enter an invite."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane.api import answers, guards
from control_plane.api.guards import Comer, Follower, Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.context import Context
from control_plane.errors import Forbidden, LastIdentity, Merged, Suspended, TooManyTries, Unlinked
from control_plane.people import invites, linking, users
from control_plane.people.twins import twin
from control_plane.wire import Request
from control_plane.wire.linking import InviteRequest, KnownIdentities, KnownRequest, LinkCode, LinkRequest
from control_plane.wire.user import Preferences, UserView


class IdentityQuery(Request, frozen=True, kw_only=True):
    subject: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Which identity, when there are several of the provider."""


@operation(
    "POST",
    "/api/v1/user/link-code",
    guard=guards.LIVE,
    answers={201: LinkCode},
    problems=(Suspended, Merged, TooManyTries),
    tag="User",
)
async def make_link_code(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Make a code that links another identity to this account, or signs in on the website.

    Show it to the person, who enters it by their other identity or on the website within ten minutes. It works once; a
    new code ends the one before. Whoever enters it shares this account from then on: never enter a code that somebody
    else sent, and never tell yours.
    """
    made = await linking.make_code(call.context.database, call.who.user_id)
    return answers.json(LinkCode(code=made.code, expires_at=made.expires_at), status=201)


@operation(
    "POST",
    "/api/v1/user/link",
    guard=guards.COMER,
    answers={200: UserView},
    problems=(Suspended, Merged, TooManyTries),
    tag="User",
)
async def link(call: Call[Comer, LinkRequest, Nothing]) -> ASGIApp:
    """Enter a link code: this identity and the one that made the code become one account.

    An identity without an account is added to the other's. Two accounts are merged: the older one stays, with all jobs,
    keys and tokens of both, what both have taken today, and the better plan.
    """
    context, code = call.context, call.body.code
    if call.who.user_id is not None:
        linked = await linking.link(context.database, code, call.who.user_id)
    else:
        assert call.who.identity is not None, "the guard knows one or the other"
        linked = await linking.attach(context.database, code, call.who.identity.provider, call.who.identity.subject)
    if linked.gone is not None:
        context.dispatcher.bus.announce("user", linked.gone)
    return await _shown(context, linked.user_id)


@operation(
    "DELETE",
    "/api/v1/user/identities/{provider:str}",
    guard=guards.LIVE,
    answers={200: UserView},
    problems=(LastIdentity, Suspended, Merged),
    tag="User",
)
async def unlink_identity(call: Call[Person, Nothing, IdentityQuery]) -> ASGIApp:
    """Take an identity off this account, but never the last one.

    Everything stays with the account. For thirty days the identity opens no account of its own; it can be linked again.
    """
    context, provider = call.context, call.path("provider")
    await linking.unlink(context.database, call.who.user_id, provider, call.query.subject)
    context.dispatcher.bus.announce("user", call.who.user_id)
    return await _shown(context, call.who.user_id)


@operation(
    "POST",
    "/api/v1/user/invite",
    guard=guards.COMER,
    answers={200: UserView},
    problems=(Suspended, Merged, TooManyTries, Unlinked),
    tag="User",
)
async def enter_invite(call: Call[Comer, InviteRequest, Nothing]) -> ASGIApp:
    """Enter the code of an invite: sign up where that needs one, and get the plan or the tokens that it gives.

    A plan is only ever changed for a better one. Each account can use a code once.
    """
    context, code = call.context, call.body.code
    user_id = call.who.user_id
    if user_id is not None:
        await invites.redeem(context.database, code, user_id)
    else:
        assert call.who.identity is not None, "the guard knows one or the other"
        user_id = await invites.sign_up(context.database, code, call.who.identity)
    context.dispatcher.bus.announce("user", user_id)
    return await _shown(context, user_id)


@operation("POST", "/api/v1/identities/known", guard=guards.FOLLOWER, answers={200: KnownIdentities}, tag="User")
async def known_identities(call: Call[Follower, KnownRequest, Nothing]) -> ASGIApp:
    """Which of the people that a service remembers still have an account.

    Of those who are not named in the answer, as they have left or never came, it should forget what it keeps. Names
    nobody to act for.
    """
    found = [users.parse_identity(name) for name in call.body.identities]
    mine = [one for one in found if one is not None and one.provider in call.who.key.providers]
    if len(mine) < len(found):
        raise Forbidden("Only a service can ask after people, as `provider:id` of the providers it may act for.")
    return answers.json(KnownIdentities(known=await users.all_known(call.context.database, mine)))


@operation("GET", "/api/v1/user/preferences", guard=guards.READ, answers={200: Preferences}, tag="User")
async def get_preferences(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """What holds for every order of yours that does not say otherwise."""
    return answers.json(await users.preferences(call.context.database, call.who.user_id))


@operation("PUT", "/api/v1/user/preferences", guard=guards.LIVE, answers={200: Preferences}, tag="User")
async def set_preferences(call: Call[Person, Preferences, Nothing]) -> ASGIApp:
    """Choose what holds for every order that does not say otherwise, those of your test keys too."""
    context, user_id = call.context, call.who.user_id
    chosen = await users.set_preferences(context.database, user_id, call.body)
    context.dispatcher.bus.announce("user", user_id)
    context.dispatcher.bus.announce("user", twin(user_id))
    return answers.json(chosen)


async def _shown(context: Context, user_id: UUID) -> ASGIApp:
    return answers.json(await users.view(context.database, user_id))
