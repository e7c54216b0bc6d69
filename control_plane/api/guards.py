"""Who is calling, and whether they may.

Every operation names its guard, so nothing is open by forgetting; what is public stands in `api.PUBLIC` as well, and
a test compares the two. A key of a user acts for that user. A key of a service acts for the person that
`Tessera-On-Behalf-Of: telegram:123` names, within the providers it is bound to, and may do nothing on anybody's
rows without that header. Unknown, malformed, expired and revoked credentials are refused alike. A request without a
key may show the cookie of a session instead (`cookies.py`), which acts for its person as a key with all their rights.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from litestar import Request
from litestar.types import Scope as Connection

from control_plane.api import cookies, cors
from control_plane.api.senders import client_address as client_address
from control_plane.api.senders import header as header
from control_plane.api.senders import is_forwarded, peer, within
from control_plane.context import Context
from control_plane.errors import Forbidden, Suspended, Unauthorized, Unavailable
from control_plane.people import signup, users
from control_plane.people.credentials import TOKEN_LENGTH_MAX, ApiKey, Scope, SpokenFor, WorkerIdentity, unauthorized
from control_plane.people.users import Acting, Identity
from control_plane.queue import admission

ON_BEHALF_OF_HEADER = "Tessera-On-Behalf-Of"

Who = TypeVar("Who")


class Person:
    """The user for whom a request is made, and the key it is made with."""

    __slots__ = ("embed_metadata", "key", "reads_per_minute", "user_id")

    def __init__(self, user_id: UUID, key: ApiKey, reads_per_minute: int, *, embed_metadata: bool) -> None:
        self.user_id = user_id
        self.key = key
        self.reads_per_minute = reads_per_minute
        self.embed_metadata = embed_metadata
        """What they have chosen for orders that do not say."""

    def may(self, scope: Scope) -> bool:
        return scope in self.key.scopes


@dataclass(frozen=True, slots=True)
class Comer:
    """Somebody who may not be a user yet: one that is, or an identity that a service names."""

    user_id: UUID | None
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class Follower:
    """Who hears of events: a person, or (None) a service by itself, for all users that it may act for."""

    person: Person | None
    key: ApiKey


@dataclass(frozen=True, slots=True)
class Guard(Generic[Who]):
    """A name for the documents, the kind of caller it lets through, and the check itself."""

    name: str
    who: type[Who]
    check: Callable[[Request[Any, Any, Any]], Awaitable[Who]]


async def worker(request: Request[Any, Any, Any]) -> WorkerIdentity:
    """The worker that calls. Raises `Unauthorized`."""
    return await _context(request).credentials.worker(bearer(request.scope))


async def _anybody(request: Request[Any, Any, Any]) -> None:
    """Nobody is asked for a key; a page that shows one is told whether it may read the answer."""
    if header(request.scope, b"origin") is None or header(request.scope, b"authorization") is None:
        return
    with suppress(Unauthorized, Unavailable):
        key = await _context(request).credentials.api_key(bearer(request.scope))
        cors.allow(request.scope, key.origins or [])


def _person_with(
    wanted: Scope, *, also_suspended: bool = False, only_live: bool = False
) -> Callable[[Request[Any, Any, Any]], Awaitable[Person]]:
    async def check(request: Request[Any, Any, Any]) -> Person:
        key = await _key(request, wanted, also_suspended=also_suspended)
        if only_live:
            _refuse_tests(key)
        if key.user_id is not None:
            if header(request.scope, b"tessera-on-behalf-of") is not None:
                raise Forbidden("Only the credential of a service can act on behalf of somebody else.")
            assert key.reads_per_minute is not None, "every user has a plan"
            return Person(key.user_id, key, key.reads_per_minute, embed_metadata=key.embed_metadata)
        spoken_for = await _on_behalf(request, key)
        if spoken_for.suspended and not also_suspended:
            raise admission.suspended()
        embed = spoken_for.embed_metadata
        return Person(spoken_for.user_id, key, spoken_for.reads_per_minute, embed_metadata=embed)

    return check


async def _comer(request: Request[Any, Any, Any]) -> Comer:
    key = await _key(request, "submit")
    _refuse_tests(key)
    if key.user_id is not None:
        return Comer((await _person_with("submit")(request)).user_id, None)
    identity = _named(request, key)
    known = await users.known(_context(request).database, identity)
    if known is not None and _spoken_for(known).suspended:
        raise admission.suspended()
    return Comer(known.id if known is not None else None, identity)


async def _operator(request: Request[Any, Any, Any]) -> Person:
    """Whoever shows a key with the scope `admin`, or a service that acts for somebody who owns one."""
    key = await _key(request, "operate")
    _refuse_tests(key)
    person = await _person_with("operate")(request)
    if key.user_id is not None:
        allowed = person.may("admin")
    else:
        allowed = await users.is_operator(_context(request).database, person.user_id)
    if not allowed:
        raise Forbidden("This is for operators only.")
    return person


async def _teller(request: Request[Any, Any, Any]) -> Person:
    """A service that may credit payments, and the person who has paid: also one who is suspended, for it is their
    money."""
    key = await _key(request, "payments")
    if key.user_id is not None:
        raise Forbidden("Payments are told by a service, on behalf of who has paid.")
    return await _person_with("payments", also_suspended=True)(request)


async def _follower(request: Request[Any, Any, Any]) -> Follower:
    key = await _key(request, "read")
    if key.user_id is None and header(request.scope, b"tessera-on-behalf-of") is None:
        return Follower(None, key)
    return Follower(await _person_with("read")(request), key)


async def _metrics(request: Request[Any, Any, Any]) -> None:
    """A key with the scope, or a neighbour: one of the networks, not speaking for somebody further away."""
    settings = _context(request).settings
    if header(request.scope, b"authorization") is not None:
        await _key(request, "metrics")
        return
    near = peer(request.scope)
    if near is None or is_forwarded(request.scope) or not within(near, list(settings.metrics_networks)):
        raise unauthorized()


async def anew(request: Request[Any, Any, Any], guard: Guard[Who], who: Who) -> Who | None:
    """The caller looked up anew, when the user they were taken for has become part of another one; None otherwise."""
    if not isinstance(who, Person | Comer):
        return None
    if who.user_id is not None:
        context = _context(request)
        if not await context.database.one(users.IS_MERGED, {"user_id": who.user_id}):
            return None
        context.credentials.forget_user(who.user_id)
    return await guard.check(request)


PUBLIC: Guard[None] = Guard("public", type(None), _anybody)
READ = Guard("read", Person, _person_with("read"))
SELF = Guard("read", Person, _person_with("read", also_suspended=True))
"""For what tells somebody how they stand, also that they are suspended; everything else is refused to them."""
SUBMIT = Guard("submit", Person, _person_with("submit"))
REPORTER = Guard("read", Person, _person_with("read", only_live=True))
LIVE = Guard("submit", Person, _person_with("submit", only_live=True))
"""For what a test key must not do, because somebody real would notice."""
KEYS = Guard("keys", Person, _person_with("keys"))
OWNER = Guard("keys", Person, _person_with("keys", only_live=True))
"""For what concerns all that somebody has: a browser that is signed in, or a live key that may manage keys."""
FOLLOWER = Guard("follower", Follower, _follower)
COMER = Guard("comer", Comer, _comer)
ADMIN = Guard("admin", Person, _person_with("admin", only_live=True))
OPERATOR = Guard("operate", Person, _operator)
"""As `ADMIN`, and for operators who act through a bot."""
TELLER = Guard("payments", Person, _teller)
METRICS: Guard[None] = Guard("metrics", type(None), _metrics)
WORKER = Guard("worker", WorkerIdentity, worker)


async def _key(request: Request[Any, Any, Any], wanted: Scope, *, also_suspended: bool = False) -> ApiKey:
    """The live key of the request, with this scope and from a network it is bound to. Raises `Suspended` when that of
    a user who is, unless it may be."""
    credential = header(request.scope, b"authorization")
    if credential is None:
        key = await _session(request)
    else:
        key = await _context(request).credentials.api_key(_token(credential))
    if key.origins is not None:
        cors.allow(request.scope, key.origins)
    if key.networks is not None:
        sender = client_address(request.scope, list(_context(request).settings.trusted_proxies))
        if sender is None or not within(sender, key.networks):
            raise Forbidden("This key may not be used from this network.")
    if wanted not in key.scopes and "admin" not in key.scopes:
        raise Forbidden(f"This key lacks the scope `{wanted}`.")
    if key.user_status == "suspended" and not also_suspended:
        raise admission.suspended()
    return key


async def _session(request: Request[Any, Any, Any]) -> ApiKey:
    """What the session of a request without a key may do."""
    context = _context(request)
    secret = cookies.session(request.scope, context.settings)
    found = await context.credentials.session(secret) if secret is not None else None
    if found is None:
        raise unauthorized()
    return found


def _refuse_tests(key: ApiKey) -> None:
    if key.is_test:
        raise Forbidden("A test key cannot do this. Use a live one.")


async def _on_behalf(request: Request[Any, Any, Any], key: ApiKey) -> SpokenFor:
    """The user for whom a service acts; made on first sight, when sign-up is open."""
    context, identity = _context(request), _named(request, key)
    spoken_for = context.credentials.acting(identity.provider, identity.subject)
    if spoken_for is None:
        changes = context.credentials.changes
        settings = context.settings
        acting = await signup.acting(context.database, identity, settings.signup, settings.signups_per_day)
        spoken_for = _spoken_for(acting)
        if changes == context.credentials.changes:
            context.credentials.remember_acting(identity.provider, identity.subject, spoken_for)
    return spoken_for


def _spoken_for(acting: Acting) -> SpokenFor:
    if acting.status == "deleted":
        raise Suspended("This account has been deleted.")
    return SpokenFor(acting.id, acting.reads_per_minute, acting.status == "suspended", acting.embed_metadata)


def acted_for(request: Request[Any, Any, Any]) -> Identity | None:
    """As whom a service names the person that it acts for; None when nobody is named."""
    named = header(request.scope, b"tessera-on-behalf-of")
    return users.parse_identity(named.decode("latin-1")) if named is not None else None


def _named(request: Request[Any, Any, Any], key: ApiKey) -> Identity:
    """The identity that a service names. Raises `Forbidden`."""
    named = header(request.scope, b"tessera-on-behalf-of")
    if named is None:
        raise Forbidden(f"The credential of a service acts for somebody: send `{ON_BEHALF_OF_HEADER}: provider:id`.")
    identity = users.parse_identity(named.decode("latin-1"))
    if identity is None or identity.provider not in key.providers:
        providers = ", ".join(key.providers)
        raise Forbidden(
            f"{ON_BEHALF_OF_HEADER} must be `provider:id` of at most {users.NAME_LENGTH_MAX} characters,"
            f" with one of this credential's providers: {providers}."
        )
    return identity


def bearer(scope: Connection) -> str:
    """The token of `Authorization: Bearer …`. Raises `Unauthorized`."""
    return _token(header(scope, b"authorization") or b"")


def _token(value: bytes) -> str:
    kind, _, token = value.partition(b" ")
    if kind.lower() != b"bearer" or not token or len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        raise unauthorized()
    return token.decode("ascii")


def _context(request: Request[Any, Any, Any]) -> Context:
    context: Context = request.scope["litestar_app"].state.context
    return context
