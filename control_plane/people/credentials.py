"""Who a credential speaks for: API keys of users and of services, sessions of browsers, credentials of workers.

A secret is shown once and stored as SHA-256 of the whole string. What was found is remembered under that hash, a
worker for `WORKER_SECONDS` and whoever speaks for a user for `CACHE_SECONDS`, and dropped at once when a process
announces a change (`credential <id>`, `user <id>`), so a request usually costs no query; statements that write check
again. Unknown, expired and revoked look the same. The time of last use is written at most once a minute for each key,
by a loop of its own. A key that was rotated has two secrets for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import NotFound, Unauthorized, Unavailable
from control_plane.people.rights import SCOPES as SCOPES
from control_plane.people.rights import ApiKey as ApiKey
from control_plane.people.rights import FoundSession, as_key
from control_plane.people.rights import Scope as Scope
from control_plane.people.rights import SpokenFor as SpokenFor
from control_plane.people.rights import WorkerIdentity as WorkerIdentity
from control_plane.people.twins import is_test, twin

CACHE_SECONDS = 4.0
"""Of API keys and of whom a service acts for: a suspension counts within five seconds also where no word of it came."""
WORKER_SECONDS = 30.0
CACHED_MAX = 10_000
"""Credentials remembered at once; the oldest go first."""
USE_SECONDS = 60.0
"""How often uses are written down."""
TOKEN_LENGTH_MAX = 200
IDLE_SECONDS = 14 * 86_400.0
"""A session that nobody has used for so long has ended."""
ORIGINS_MAX = 10_000
"""Web sites remembered at once."""

LIVE, TEST = "tsk", "tsr_test"
"""What a key begins with; the hash is of the whole, so neither can pass for the other."""

_KEY = re.compile(r"(?:tsk|tsr_test)_([0-9a-z]{12})_[0-9a-f]{64}")
_SESSION = re.compile(r"tss_[0-9a-f]{64}")
_WORKER = re.compile(r"tsw_[0-9a-f]{64}")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

log = structlog.get_logger()


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made. `key` is the secret itself: shown once, stored nowhere."""

    id: str
    key: str


class KeyListed(msgspec.Struct, frozen=True, kw_only=True):
    """A key as its owner may see it: everything but the secret."""

    id: str
    name: str
    test: bool
    scopes: list[str]
    providers: list[str]
    models: list[str] | None
    networks: list[str] | None
    origins: list[str] | None
    daily_cap: int | None
    ordered_today: int | None
    """Tokens, of a key with a daily cap."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    old_expires_at: datetime | None
    """Until when the secret from before the rotation opens."""
    old_used_at: datetime | None
    """When that one was used last since."""
    revoked_at: datetime | None


FIND_KEY = Query("credentials.find_key", ApiKey)
FIND_WORKER = Query("credentials.find_worker", WorkerIdentity)
ORIGINS = Query("credentials.origins", str)
ADD_KEY = Query("credentials.add_key", str)
LIST_KEYS = Query("credentials.list_keys", KeyListed)
REVOKE_KEY = Query("credentials.revoke_key", str)
USED: Query[None] = Query("credentials.used")
FIND_SESSION = Query("sessions.find", FoundSession)
SESSIONS_USED: Query[None] = Query("sessions.used")


class Credentials:
    """What this process remembers about credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, str, ApiKey | WorkerIdentity]] = {}
        self._acting: dict[tuple[str, str], tuple[float, SpokenFor]] = {}
        self._used: set[str] = set()
        self._used_old: set[str] = set()
        self._used_sessions: set[str] = set()
        self._origins: tuple[float, frozenset[str]] = (float("-inf"), frozenset())
        self.changes = 0
        """Rises with everything that is to be forgotten: what was looked up meanwhile is not remembered."""

    async def api_key(self, token: str) -> ApiKey:
        """The key behind a bearer token. Raises `Unauthorized`."""
        digest = sha256(token)
        known = self._remembered(digest)
        if known is None:
            changes = self.changes
            found, live_seconds = await self._find_key(token, digest)
            known = found
            if changes == self.changes:
                self._remember(digest, found.id, found, min(CACHE_SECONDS, live_seconds or CACHE_SECONDS))
        if not isinstance(known, ApiKey):
            raise unauthorized()
        self._used.add(known.id)
        if known.old_secret_sha256 == digest:
            self._used_old.add(known.id)
        return known

    async def session(self, secret: str) -> ApiKey | None:
        """What the person whose cookie this is may do, as a key that may do all they may; None when it opens nothing.

        An operator's opens what is an operator's: they own a key that does so too."""
        if not _SESSION.fullmatch(secret):
            return None
        digest = sha256(secret)
        place = b"session " + digest  # apart from keys: neither passes for the other
        known = self._remembered(place)
        if known is None:
            changes = self.changes
            found = await self._database.one(FIND_SESSION, {"secret_sha256": digest, "idle_seconds": IDLE_SECONDS})
            if found is None:
                return None
            known = as_key(found, digest)
            if changes == self.changes:
                self._remember(place, found.id, known, min(CACHE_SECONDS, found.expires_in))
        assert isinstance(known, ApiKey), "nothing else is remembered there"
        self._used_sessions.add(known.id)
        return known

    async def origins(self) -> frozenset[str]:
        """Every web site whose pages may use some live key."""
        read_at, origins = self._origins
        if time.monotonic() - read_at > CACHE_SECONDS:
            changes = self.changes
            origins = frozenset(await self._database.many(ORIGINS, {"most": ORIGINS_MAX}))
            if changes == self.changes:
                self._origins = (time.monotonic(), origins)
        return origins

    async def worker(self, token: str) -> WorkerIdentity:
        """The worker behind a bearer token. Raises `Unauthorized`."""
        digest = sha256(token)
        known = self._remembered(digest)
        if known is None:
            if not _WORKER.fullmatch(token):
                raise unauthorized()
            known = await self._database.one(FIND_WORKER, {"secret_sha256": digest})
            if known is None:
                raise unauthorized()
            self._remember(digest, str(known.id), known, WORKER_SECONDS)
        if not isinstance(known, WorkerIdentity):
            raise unauthorized()
        return known

    def acting(self, provider: str, subject: str) -> SpokenFor | None:
        """The user behind an identity, if remembered."""
        found = self._acting.get((provider, subject))
        return found[1] if found is not None and time.monotonic() < found[0] else None

    def remember_acting(self, provider: str, subject: str, user: SpokenFor) -> None:
        self._acting.pop((provider, subject), None)
        _make_room(self._acting)
        self._acting[provider, subject] = (time.monotonic() + CACHE_SECONDS, user)

    def forget(self, credential_id: str) -> None:
        """A key or worker has changed: look again."""
        self.changes += 1
        self._origins = (float("-inf"), frozenset())
        for digest in [digest for digest, known in self._known.items() if known[1] == credential_id]:
            del self._known[digest]

    def forget_user(self, user_id: UUID) -> None:
        """A user, or what their plan says, has changed: look again at every credential that speaks for them."""
        self.changes += 1
        for digest in [digest for digest, known in self._known.items() if _speaks_for(known[2], user_id)]:
            del self._known[digest]
        for identity in [identity for identity, known in self._acting.items() if known[1].user_id == user_id]:
            del self._acting[identity]

    def forget_all(self) -> None:
        self.changes += 1
        self._origins = (float("-inf"), frozenset())
        self._known.clear()
        self._acting.clear()

    async def run_uses(self) -> None:
        """Writes down, now and then, which keys were used."""
        while True:
            await asyncio.sleep(USE_SECONDS)
            await self.write_uses()

    async def write_uses(self) -> None:
        used, self._used = self._used, set()
        old, self._used_old = self._used_old, set()
        sessions, self._used_sessions = self._used_sessions, set()
        try:
            if used:
                await self._database.run(USED, {"id": sorted(used), "old": sorted(old)})
            if sessions:
                await self._database.run(SESSIONS_USED, {"id": sorted(sessions)})
        except (Unavailable, psycopg.Error) as error:
            log.warning("credentials.uses_lost", keys=len(used), sessions=len(sessions), error=type(error).__name__)

    def _remembered(self, digest: bytes) -> ApiKey | WorkerIdentity | None:
        found = self._known.get(digest)
        return found[2] if found is not None and time.monotonic() < found[0] else None

    def _remember(self, digest: bytes, name: str, found: ApiKey | WorkerIdentity, seconds: float) -> None:
        self._known.pop(digest, None)
        _make_room(self._known)
        self._known[digest] = (time.monotonic() + seconds, name, found)

    async def _find_key(self, token: str, digest: bytes) -> tuple[ApiKey, float | None]:
        """The key, and for how many seconds this secret opens (None: for ever)."""
        key_id = key_id_of(token)
        if key_id is None:
            raise unauthorized()
        found = await self._database.one(FIND_KEY, {"id": key_id})
        if found is None:
            raise unauthorized()
        if hmac.compare_digest(found.secret_sha256, digest):
            return found, found.expires_in
        if found.old_secret_sha256 is None or not hmac.compare_digest(found.old_secret_sha256, digest):
            raise unauthorized()
        left = found.old_expires_in or 0.0
        if left <= 0:
            raise unauthorized()
        return found, min(left, found.expires_in or left)


def _make_room(cache: dict[Any, Any]) -> None:
    while len(cache) >= CACHED_MAX:
        del cache[next(iter(cache))]


def _speaks_for(known: ApiKey | WorkerIdentity, user_id: UUID) -> bool:
    return isinstance(known, ApiKey) and known.user_id in (user_id, twin(user_id))


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def unauthorized() -> Unauthorized:
    return Unauthorized("Send `Authorization: Bearer …` with a live credential.")


def key_id_of(key: str) -> str | None:
    """The part of a key that is no secret; None when it is no key."""
    shape = _KEY.fullmatch(key)
    return shape[1] if shape else None


def new_secret(key_id: str, user_id: UUID | None) -> str:
    """A whole key for this id: shown once, stored nowhere."""
    kind = TEST if user_id is not None and is_test(user_id) else LIVE
    return f"{kind}_{key_id}_{secrets.token_hex(32)}"


async def create_key(
    database: Database,
    *,
    name: str,
    user_id: UUID | None,
    scopes: Collection[Scope],
    providers: Collection[str] = (),
    models: Collection[str] | None = None,
    networks: Collection[IPv4Network | IPv6Network] | None = None,
    origins: Collection[str] | None = None,
    daily_cap: int | None = None,
    expires_seconds: float | None = None,
    actor: Actor | None = None,
) -> NewKey:
    """Makes a key of a user (of a twin: a test key), or without a user of a service that acts for the identities of its
    providers; by an operator or a person, if one is named. `models`, `networks`: what it is bound to; None: nothing."""
    identifier = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    key = new_secret(identifier, user_id)
    told = {
        "scopes": sorted(scopes),
        "providers": sorted(providers),
        "models": None if models is None else sorted(set(models)),
        "networks": None if networks is None else sorted(map(str, networks)),
        "origins": sorted(set(origins)) if origins else None,
        "daily_cap": daily_cap,
    }
    row = {
        "id": identifier,
        "secret_sha256": sha256(key),
        "user_id": user_id,
        "name": name,
        "expires_seconds": expires_seconds,
    }
    async with database.transaction() as connection:
        await ADD_KEY.one(connection, {**row, **told})
        if actor is not None:
            await audit.record(connection, actor, "create", ("key", identifier), {"user": user_id, **told})
    return NewKey(id=identifier, key=key)


async def list_keys(database: Database, user_id: UUID | None) -> list[KeyListed]:
    """The keys of a user, with those for tests, or of the services, the newest first."""
    return await database.many(LIST_KEYS, {"user_id": user_id})


async def revoke_key(database: Database, key_id: str, actor: Actor | None = None) -> None:
    """Ends a key for good; the caller announces it (`credential <id>`). Raises `NotFound`."""
    async with database.transaction() as connection:
        if await REVOKE_KEY.one(connection, {"id": key_id}) is None:
            raise NotFound(f"There is no live key {key_id}.")
        if actor is not None:
            await audit.record(connection, actor, "revoke", ("key", key_id))
