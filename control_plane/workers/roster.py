"""Workers as the operator and the agent know them: enrolment and the list of who is there.

An agent comes to its credential with a one-time token of the operator's. It makes the secret itself and sends only
the hash, so the secret never travels and what is stored here opens nothing. The answer may get lost, hence the same
token with the same hash is answered again within the token's life; any other second use is refused like a token that
never was. Draining and revoking stand here too; what else a worker does with its leases is the queue's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Invalid, NotFound, Unauthorized
from control_plane.states import State
from control_plane.wire.operator import Condition
from control_plane.wire.worker import EnrollRequest

TOKEN_HOURS_MAX = 24.0
NAME_LENGTH_MAX = 64

Trust = Literal["own", "guest"]

_TOKEN = re.compile(r"tse_([0-9a-z]{12})_[0-9a-f]{64}", re.ASCII)
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

log = structlog.get_logger()


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """Who a credential belongs to."""

    id: UUID
    name: str
    trust: Trust


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    secret_sha256: bytes
    name: str | None
    trust: Trust
    live: bool
    worker_id: UUID | None
    worker_name: str | None
    worker_secret_sha256: bytes | None
    worker_revoked: bool


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the operator sees it."""

    id: UUID
    name: str
    trust: Trust
    agent_version: str
    enrolled_at: datetime
    last_seen_at: datetime | None
    live: bool
    draining: bool
    revoked_at: datetime | None
    leases: int


class SlotRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of its engines: what it serves (`kind/model`), what it has loaded, how it is."""

    worker_id: UUID
    slot: int
    lanes: list[str]
    loaded: str | None
    vram_gib: int
    healthy: bool
    gpu: dict[str, Any]
    quarantined_at: datetime | None
    last_seen_at: datetime
    jobs: list[UUID]
    """In hand: the one that runs, then what is held for it next."""

    @property
    def leases(self) -> int:
        return len(self.jobs)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A worker and its slots."""

    worker: WorkerRow
    slots: list[SlotRow]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose lease ended with its worker's rights."""

    job_id: UUID
    state: State
    lane_id: int
    tag: float | None


ADD_TOKEN: Query[None] = Query("workers.add_token")
LOCK_TOKEN = Query("workers.lock_token", TokenRow)
NAMES_LIKE = Query("workers.names_like", str)
ADD = Query("workers.add", UUID)
USE_TOKEN: Query[None] = Query("workers.use_token")
ALL = Query("workers.all", WorkerRow)
SLOTS = Query("workers.slots", SlotRow)
NAMED = Query("workers.named", Worker)
NOTE_VERSION: Query[None] = Query("workers.note_version")
DRAIN = Query("workers.drain", UUID)
RESUME = Query("workers.resume", UUID)
RESUME_SLOTS: Query[None] = Query("workers.resume_slots")
REVOKE = Query("workers.revoke", UUID)
END_LEASES = Query("workers.end_leases", Ended)


async def create_token(
    database: Database,
    name: str | None = None,
    trust: Trust = "own",
    hours: float = 1.0,
    actor: Actor | None = None,
) -> str:
    """A one-time enrolment token, to be shown once; `name` is what its worker will be called, else the agent says."""
    if not 0 < hours <= TOKEN_HOURS_MAX:
        raise Invalid.at("/hours", f"A token lives at most {TOKEN_HOURS_MAX:g} hours.", "out_of_range")
    if name is not None and not 0 < len(name) <= NAME_LENGTH_MAX:
        raise Invalid.at("/name", f"A worker's name has 1 to {NAME_LENGTH_MAX} characters.", "too_long")
    token_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    token = f"tse_{token_id}_{secrets.token_hex(32)}"
    row = {
        "id": token_id,
        "secret_sha256": _sha256(token),
        "name": name,
        "trust": trust,
        "lifetime_seconds": hours * 3_600,
    }
    async with database.transaction() as connection:
        await ADD_TOKEN.run(connection, row)
        if actor is not None:
            await audit.record(connection, actor, "create", ("enrolment_token", token_id), {"trust": trust})
    return token


async def enroll(database: Database, request: EnrollRequest) -> Worker:
    """Trade a token for a worker. Raises `Unauthorized` when the token is not good (any more) for this secret."""
    shape = _TOKEN.fullmatch(request.token)
    if shape is None:
        raise _refused()
    async with database.transaction() as connection:
        token = await LOCK_TOKEN.one(connection, {"id": shape[1]})
        if token is None or not hmac.compare_digest(token.secret_sha256, _sha256(request.token)) or not token.live:
            raise _refused()
        if token.worker_id is not None:
            return _again(token, bytes.fromhex(request.secret_sha256))
        worker = await _add(connection, token, request)
        await USE_TOKEN.run(connection, {"id": shape[1], "worker_id": worker.id})
        told = {"token": shape[1], "trust": worker.trust}
        await audit.record(connection, audit.worker(worker.id), "enroll", ("worker", worker.id), told)
    log.info("worker.enrolled", worker_id=worker.id, trust=worker.trust)
    return worker


def _again(token: TokenRow, secret_sha256: bytes) -> Worker:
    """The first answer may have been lost: only who sent that hash learns it again."""
    if (
        token.worker_id is None
        or token.worker_name is None
        or token.worker_secret_sha256 is None
        or token.worker_revoked
        or not hmac.compare_digest(token.worker_secret_sha256, secret_sha256)
    ):
        raise _refused()
    return Worker(id=token.worker_id, name=token.worker_name, trust=token.trust)


async def _add(connection: AsyncConnection[Any], token: TokenRow, request: EnrollRequest) -> Worker:
    wanted = token.name or request.name.strip() or "worker"
    taken = await NAMES_LIKE.many(connection, {"stem": wanted})
    name = distinct(wanted, set(taken))
    worker_id = await ADD.one(
        connection,
        {
            "name": name,
            "secret_sha256": bytes.fromhex(request.secret_sha256),
            "trust": token.trust,
            "agent_version": request.agent_version,
        },
    )
    if worker_id is None:
        raise Invalid.at("/secret_sha256", "A worker has this secret already. Make a new one.", "taken")
    return Worker(id=worker_id, name=name, trust=token.trust)


def distinct(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with the smallest number behind it that makes it the only one of its name."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        ending = f"-{number}"
        name = wanted[: NAME_LENGTH_MAX - len(ending)] + ending
    return name


async def list_all(database: Database, lease_seconds: float, *, with_revoked: bool = False) -> list[Listed]:
    """Every worker with its slots, in the order of enrolment; `live` means heard within a lease."""
    workers = await database.many(ALL, {"lease_seconds": lease_seconds, "with_revoked": with_revoked})
    slots: dict[UUID, list[SlotRow]] = {}
    for slot in await database.many(SLOTS):
        slots.setdefault(slot.worker_id, []).append(slot)
    return [Listed(worker=worker, slots=slots.get(worker.id, [])) for worker in workers]


def condition(listed: Listed) -> Condition:
    """How a worker is, in a word."""
    worker, slots = listed.worker, listed.slots
    if worker.revoked_at is not None:
        return "revoked"
    if slots and all(slot.quarantined_at for slot in slots):
        return "quarantined"
    if worker.draining:
        return "draining" if worker.live else "drained"
    return ("busy" if worker.leases else "idle") if worker.live else "away"


async def find(database: Database, wanted: str) -> Worker:
    """The live worker of this id or name. Raises `NotFound`, also when a name fits several."""
    found = await database.many(NAMED, {"wanted": wanted})
    if len(found) != 1:
        raise NotFound(
            f"Several workers are called {wanted!r}: use an id."
            if found
            else f"There is no live worker {wanted!r}. `tessera worker list` shows them."
        )
    return found[0]


def token_id(token: str) -> str:
    """The part of an enrolment token that is no secret."""
    shape = _TOKEN.fullmatch(token)
    assert shape is not None, "it was made here"
    return shape[1]


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _refused() -> Unauthorized:
    return Unauthorized("This enrolment token is not valid (any more). Ask the operator for a new one.")


async def note_version(database: Database, worker_id: UUID, agent_version: str) -> None:
    """Which agent it runs now; it may have been updated since it enrolled."""
    await database.run(NOTE_VERSION, {"worker_id": worker_id, "agent_version": agent_version})


async def drain(database: Database, worker_id: UUID, actor: Actor | None = None) -> None:
    """Finish what is held, claim no more. Raises `NotFound`."""
    async with database.transaction() as connection:
        await _known(connection, DRAIN, worker_id)
        await _recorded(connection, actor, "drain", worker_id)


async def resume(database: Database, worker_id: UUID, actor: Actor | None = None) -> None:
    """Takes back a drain and gives quarantined slots another chance. Raises `NotFound`."""
    async with database.transaction() as connection:
        await _known(connection, RESUME, worker_id)
        await RESUME_SLOTS.run(connection, {"worker_id": worker_id})
        await _recorded(connection, actor, "resume", worker_id)


async def revoke(database: Database, worker_id: UUID, actor: Actor | None = None) -> list[Ended]:
    """Ends a worker's rights and its leases in one transaction. Raises `NotFound`."""
    async with database.transaction() as connection:
        await _known(connection, REVOKE, worker_id)
        await _recorded(connection, actor, "revoke", worker_id)
        return await END_LEASES.many(connection, {"worker_id": worker_id})


async def _recorded(connection: AsyncConnection[Any], actor: Actor | None, verb: str, worker_id: UUID) -> None:
    """An agent that drains itself is no news for the audit log."""
    if actor is not None:
        await audit.record(connection, actor, verb, ("worker", worker_id))


async def _known(connection: AsyncConnection[Any], query: Query[UUID], worker_id: UUID) -> None:
    if await query.one(connection, {"worker_id": worker_id}) is None:
        raise NotFound("There is no such worker, or it was revoked.")
