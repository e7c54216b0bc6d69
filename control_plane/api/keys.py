"""Operations on one's API keys: make, list, rotate, end."""

from __future__ import annotations

from litestar.types import ASGIApp
from msgspec import convert
from msgspec.structs import asdict

from control_plane import audit
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import Internal, Invalid, KeysMax, Merged, NotFound
from control_plane.people import keys
from control_plane.people.credentials import KeyListed, NewKey
from control_plane.wire.key import KeyList, KeyMade, KeyRequest, KeyView, RotateRequest


@operation(
    "POST",
    "/api/v1/api-keys",
    guard=guards.KEYS,
    answers={201: KeyMade},
    problems=(KeysMax, Merged),
    tag="Keys",
)
async def make_key(call: Call[Person, KeyRequest, Nothing]) -> ASGIApp:
    """Make a key. Its secret is shown only now.

    A key can never give more than the one that makes it: scopes, models, networks and time are at most those. A key
    with a daily cap makes none. With `test: true` it is a test key, see `POST /api/v1/jobs`.
    """
    context, who = call.context, call.who
    await _check_models(call)
    made = await keys.make(context.database, who.key, who.user_id, call.body, _actor(who))
    if call.body.origins:
        context.dispatcher.bus.announce("credential", made.id)
    return answers.json(await _shown(call, made), status=201)


@operation("GET", "/api/v1/api-keys", guard=guards.KEYS, answers={200: KeyList}, tag="Keys")
async def list_keys(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """List your keys, the newest first, those for tests too."""
    found = await keys.listed(call.context.database, call.who.user_id)
    return answers.json(KeyList(data=[_view(key) for key in found]))


@operation(
    "POST",
    "/api/v1/api-keys/{key_id:str}/rotate",
    guard=guards.KEYS,
    answers={201: KeyMade},
    problems=(NotFound,),
    tag="Keys",
)
async def rotate_key(call: Call[Person, RotateRequest, Nothing]) -> ASGIApp:
    """Give a key another secret, which is shown only now.

    The old secret opens for `overlap_seconds` more (a day, unless you say otherwise; 0: not at all), so that programs
    can be moved one by one; `old_used_at` tells whether one still uses it. Only a key that may do at least as much can
    rotate another one. Rotating again ends the old secret at once.
    """
    context, who = call.context, call.who
    rotated = await keys.rotate(
        context.database,
        call.path("key_id"),
        call.body.overlap_seconds,
        _actor(who),
        user_id=who.user_id,
        by=who.key,
    )
    context.dispatcher.bus.announce("credential", rotated.id)
    return answers.json(await _shown(call, rotated), status=201)


@operation(
    "DELETE",
    "/api/v1/api-keys/{key_id:str}",
    guard=guards.KEYS,
    answers={204: None},
    problems=(NotFound,),
    tag="Keys",
)
async def end_key(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """End a key for good, with both its secrets.

    Once this is answered no process lets it in; one that cannot be reached notices within five seconds.
    """
    context, who, key_id = call.context, call.who, call.path("key_id")
    await keys.end(context.database, who.user_id, key_id, _actor(who))
    context.dispatcher.bus.announce("credential", key_id)
    return answers.nothing()


def _actor(who: Person) -> audit.Actor:
    return audit.user(who.user_id) if who.key.user_id is not None else audit.service(who.key.id)


async def _check_models(call: Call[Person, KeyRequest, Nothing]) -> None:
    offered = sorted({model.name for model in await call.context.catalogue.models()})
    for n, name in enumerate(call.body.models or ()):
        if name not in offered:
            raise Invalid.at(f"/models/{n}", f"There is no model {name!r}, only {', '.join(offered)}.", "unknown")


async def _shown(
    call: Call[Person, KeyRequest, Nothing] | Call[Person, RotateRequest, Nothing], made: NewKey
) -> KeyMade:
    for found in await keys.listed(call.context.database, call.who.user_id):
        if found.id == made.id:
            return KeyMade(key=made.key, **asdict(_view(found)))
    raise Internal("A key that was just made is not there.")


def _view(key: KeyListed) -> KeyView:
    return convert(key, KeyView, from_attributes=True)
