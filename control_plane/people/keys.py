"""What people do with their API keys: make, list, rotate, end.

A key can never give more than it has: not by making another one, and not by rotating one that may do more, whose new
secret it would learn. What a request leaves out is as of the key that makes it. A key with a cap makes none, since two
caps are more than one. Test keys belong to the user's twin (`twins`), who is made with the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from uuid import UUID

import msgspec

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Forbidden, Invalid, KeysMax, Merged, NotFound
from control_plane.people import credentials, origins
from control_plane.people.credentials import SCOPES, ApiKey, KeyListed, NewKey, Scope, new_secret, sha256
from control_plane.people.twins import is_test
from control_plane.wire.key import KeyRequest

KEYS_MAX = 100
"""Of a user at once; those of the twin are counted apart."""
NOT_OF_TESTS: frozenset[Scope] = frozenset({"admin", "metrics", "payments", "operate"})
"""Of people and things that are real. The table refuses them too (`test_is_no_admin`)."""

Networks = list[IPv4Network | IPv6Network]

_ID = re.compile(r"[0-9a-z]{12}", re.ASCII)


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do, where, and for how long."""

    scopes: list[Scope]
    models: list[str] | None
    networks: Networks | None
    daily_cap: int | None
    expires_seconds: float | None


class Managed(msgspec.Struct, frozen=True, kw_only=True):
    """A live key that somebody may manage."""

    id: str
    user_id: UUID | None
    scopes: list[Scope]
    models: list[str] | None
    networks: Networks | None
    daily_cap: int | None
    expires_in: float | None


LOCK_KEY = Query("credentials.lock_key", Managed)
ROTATE_KEY = Query("credentials.rotate_key", str)
LIVE_KEYS = Query("credentials.live_keys", int)
ENSURE_TWIN = Query("credentials.ensure_twin", UUID)


async def make(database: Database, maker: ApiKey, user_id: UUID, wanted: KeyRequest, actor: Actor) -> NewKey:
    """A key of this user, or of their twin. Raises `Invalid`, `Forbidden`, `KeysMax`."""
    if is_test(user_id) and not wanted.test:
        raise Forbidden("A test key makes test keys only: send `test: true`.")
    rights = within(maker, wanted)
    owner_id = await twin_of(database, user_id) if wanted.test else user_id
    if (await database.one(LIVE_KEYS, {"user_id": owner_id}) or 0) >= KEYS_MAX:
        raise KeysMax(f"You have {KEYS_MAX} keys. End one that is not needed any more.")
    return await credentials.create_key(
        database,
        name=wanted.name,
        user_id=owner_id,
        origins=origins.checked(wanted.origins),
        actor=actor,
        **msgspec.structs.asdict(rights),
    )


async def twin_of(database: Database, user_id: UUID) -> UUID:
    """The twin of a user, made on first sight; a twin is its own. Raises `Merged`."""
    if is_test(user_id):
        return user_id
    made = await database.one(ENSURE_TWIN, {"user_id": user_id})
    if made is None:
        raise Merged("This account has become part of another one. Try again.", retry_after=1)
    return made


async def listed(database: Database, user_id: UUID) -> list[KeyListed]:
    """The keys of a user that have not ended, those for tests too."""
    found = await credentials.list_keys(database, user_id)
    return [key for key in found if key.revoked_at is None]


async def end(database: Database, user_id: UUID, key_id: str, actor: Actor) -> None:
    """Ends one of a user's keys; the caller announces it (`credential <id>`). Raises `NotFound`."""
    async with database.transaction() as connection:
        await _managed(connection, user_id, key_id)
        await credentials.REVOKE_KEY.one(connection, {"id": key_id})
        await audit.record(connection, actor, "revoke", ("key", key_id))


async def rotate(
    database: Database,
    key_id: str,
    overlap_seconds: float,
    actor: Actor,
    *,
    user_id: UUID | None = None,
    by: ApiKey | None = None,
) -> NewKey:
    """Gives a key another secret; the old one opens for `overlap_seconds` more, and the one before it no more.

    The caller announces it (`credential <id>`). `user_id`: only a key of theirs; `by`: only one that may do no more.
    Raises `NotFound`, `Forbidden`.
    """
    async with database.transaction() as connection:
        found = await _managed(connection, user_id, key_id)
        if by is not None and by.id != found.id:
            _check_covers(by, found)
        secret = new_secret(found.id, found.user_id)
        told = {"overlap_seconds": overlap_seconds}
        await ROTATE_KEY.one(connection, {"id": found.id, "secret_sha256": sha256(secret), **told})
        await audit.record(connection, actor, "rotate", ("key", found.id), told)
    return NewKey(id=found.id, key=secret)


async def _managed(connection: Any, user_id: UUID | None, key_id: str) -> Managed:
    found = None
    if _ID.fullmatch(key_id):
        found = await LOCK_KEY.one(connection, {"id": key_id, "user_id": user_id})
    if found is None:
        raise NotFound("You have no such key." if user_id else f"There is no live key {key_id}.")
    return found


# ------------------------------------------------------------------------------------------ never more than it has


def within(maker: ApiKey, wanted: KeyRequest) -> Rights:
    """What the new key may do; pure. Raises `Forbidden` for more than its maker may, `Invalid` for nonsense."""
    if maker.daily_cap is not None:
        raise Forbidden("A key with a daily cap makes no keys.")
    rights = Rights(
        scopes=_scopes(maker, wanted),
        models=sorted(set(wanted.models)) if wanted.models is not None else maker.models,
        networks=_networks(wanted.networks) if wanted.networks is not None else maker.networks,
        daily_cap=wanted.daily_cap,
        expires_seconds=maker.expires_in if wanted.expires_seconds is None else wanted.expires_seconds,
    )
    if beyond := list(_beyond(maker, rights)):
        raise Forbidden(f"A key can never give more than it has; this one lacks: {', '.join(beyond)}.")
    return rights


def _check_covers(maker: ApiKey, other: Managed) -> None:
    """Whoever rotates a key learns its secret."""
    rights = Rights(
        scopes=other.scopes,
        models=other.models,
        networks=other.networks,
        daily_cap=other.daily_cap,
        expires_seconds=other.expires_in,
    )
    beyond = list(_beyond(maker, rights))
    if maker.daily_cap is not None or beyond:
        raise Forbidden("That key may do more than this one, so this one cannot rotate it.")


def _beyond(maker: ApiKey, rights: Rights) -> Iterator[str]:
    """What of these rights the maker does not have, in words."""
    if "admin" not in maker.scopes:
        yield from (f"the scope `{scope}`" for scope in rights.scopes if scope not in maker.scopes)
    if maker.models is not None:
        yield from (f"the model `{name}`" for name in rights.models or ["*"] if name not in maker.models)
    if maker.networks is not None:
        for network in rights.networks or ():
            if not any(_contains(own, network) for own in maker.networks):
                yield f"the network {network}"
        if rights.networks is None:
            yield "other networks"
    if maker.expires_in is not None and (rights.expires_seconds is None or rights.expires_seconds > maker.expires_in):
        yield "so much time"


def _scopes(maker: ApiKey, wanted: KeyRequest) -> list[Scope]:
    if wanted.scopes is None:
        usual: tuple[Scope, ...] = ("read", "submit")
        found = [scope for scope in usual if scope in maker.scopes or "admin" in maker.scopes]
    else:
        found = [scope for scope in SCOPES if scope in wanted.scopes]
    if not found:
        raise Invalid.at("/scopes", "A key needs a scope: read, submit, keys, admin or metrics.", "too_short")
    if wanted.test and (unfit := NOT_OF_TESTS.intersection(found)):
        raise Invalid.at("/scopes", f"A test key cannot have {' and '.join(sorted(unfit))}.", "not_allowed")
    return found


def _networks(wanted: list[str]) -> Networks:
    found: Networks = []
    for n, text in enumerate(wanted):
        try:
            found.append(ip_network(text))
        except ValueError:
            sentence = f"{text!r} is no network; write it like 203.0.113.0/24 or 2001:db8::/32, without host bits."
            raise Invalid.at(f"/networks/{n}", sentence, "bad_format") from None
    return found


def _contains(own: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(own, IPv4Network):
        return isinstance(other, IPv4Network) and other.subnet_of(own)
    return isinstance(other, IPv6Network) and other.subnet_of(own)
