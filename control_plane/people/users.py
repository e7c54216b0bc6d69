"""People, and the ways they are recognised.

A user has a name and any number of identities (`telegram:123`), each of which belongs to one user; `linking.py` moves
them. A service acts for somebody it names by identity; one seen for the first time may become a user on the spot
(`signup.py`), under the name `provider:subject`. Names that people choose contain no colon, so the two cannot meet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg.errors
from msgspec import UNSET

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Invalid, Merged, NotFound
from control_plane.wire.user import Choices, IdentityView, Preferences, UserView

NAME_LENGTH_MAX = 128

_NAME = re.compile(r"[^\x00-\x1f:]{1,128}")
_IDENTITY = re.compile(r"([a-z]{1,32}):([\x21-\x7e]{1,128})")


class Identity(msgspec.Struct, frozen=True):
    """One way of being recognised: `telegram:123`."""

    provider: str
    subject: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.subject}"


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """The user behind an identity."""

    id: UUID
    status: str
    reads_per_minute: int
    """Of the plan that the user has."""
    embed_metadata: bool


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    plan: str
    status: str
    created_at: datetime
    identities: list[str]
    """`provider:subject`, in order."""


class ChoicesRow(msgspec.Struct, frozen=True, kw_only=True):
    embed_metadata: bool
    choices: dict[str, Any]


BY_IDENTITY = Query("users.by_identity", Acting)
ADD_SEEN = Query("users.add_seen", Acting)
CHOICES = Query("users.choices", ChoicesRow)
SET_CHOICES = Query("users.set_choices", bool)
IS_OPERATOR = Query("users.is_operator", bool)
GET = Query("users.get", UserRow)
KNOWN = Query("users.known", str)
BY_NAME = Query("users.by_name", UserRow)
LIST = Query("users.list", UserRow)
ADD = Query("users.add", UUID)
SET_PLAN = Query("users.set_plan", UUID)
IS_MERGED = Query("users.is_merged", bool)


def parse_identity(text: str) -> Identity | None:
    """`provider:subject`, or None when it is no such thing; the whole must fit into a name (see `acting`)."""
    found = _IDENTITY.fullmatch(text) if len(text) <= NAME_LENGTH_MAX else None
    return Identity(found[1], found[2]) if found else None


async def known(database: Database, identity: Identity) -> Acting | None:
    """The user behind an identity; None when it is nobody's."""
    return await database.one(BY_IDENTITY, {"provider": identity.provider, "subject": identity.subject})


async def all_known(database: Database, identities: Sequence[Identity]) -> list[str]:
    """Which of these are somebody's, as `provider:subject`."""
    providers, subjects = [one.provider for one in identities], [one.subject for one in identities]
    names = [f"{one.provider}:{one.subject}" for one in identities]
    return await database.many(KNOWN, {"names": names, "providers": providers, "subjects": subjects})


async def view(database: Database, user_id: UUID) -> UserView:
    """A user as they see themselves. Raises `NotFound`."""
    row = await database.one(GET, {"user_id": user_id})
    if row is None:
        raise NotFound("There is no such user.")
    if row.status == "merged":
        raise Merged("This account has become part of another one. Try again.", retry_after=1)
    return shown(row)


def shown(row: UserRow) -> UserView:
    return UserView(
        id=row.id,
        name=row.name,
        plan=row.plan,
        status=row.status,
        created_at=row.created_at,
        identities=[IdentityView(*identity.split(":", 1)) for identity in row.identities],
    )


async def create(database: Database, name: str, plan: str = "free", actor: Actor | None = None) -> UUID:
    """Makes a user; by an operator or an administrator, if one is named.

    Raises `Invalid` when the name is taken or unfit, or there is no such plan."""
    if not _NAME.fullmatch(name) or name != name.strip():
        raise Invalid.at("/name", f"A name has 1 to {NAME_LENGTH_MAX} characters and no colon or control character.")
    try:
        async with database.transaction() as connection:
            user_id = await ADD.one(connection, {"name": name, "plan": plan})
            if user_id is not None and actor is not None:
                await audit.record(connection, actor, "create", ("user", user_id), {"plan": plan})
    except psycopg.errors.ForeignKeyViolation as error:
        raise Invalid.at("/plan", f"There is no plan {plan!r}. GET /api/v1/plans lists the plans.") from error
    if user_id is None:
        raise Invalid.at("/name", f"There is a user {name!r} already.", code="taken")
    return user_id


async def find(database: Database, name: str) -> UserView:
    """The user of this name or id. Raises `NotFound`."""
    row = await database.one(BY_NAME, {"name": name})
    if row is None:
        raise NotFound(f"There is no user {name!r}.")
    return shown(row)


async def list_all(database: Database) -> list[UserView]:
    return [shown(row) for row in await database.many(LIST)]


async def set_plan(database: Database, user_id: UUID, plan: str, paid_until: datetime | None, actor: Actor) -> None:
    """Puts a user on a plan, for ever or until a moment; the caller announces it (`user <id>`)."""
    detail = {"plan": plan, "paid_until": paid_until}
    try:
        async with database.transaction() as connection:
            if await SET_PLAN.one(connection, {"user_id": user_id, **detail}) is None:
                raise NotFound("There is no such user.")
            await audit.record(connection, actor, "set_plan", ("user", user_id), detail)
    except psycopg.errors.ForeignKeyViolation as error:
        raise Invalid.at("/plan", f"There is no plan {plan!r}. GET /api/v1/plans lists the plans.") from error


async def preferences(database: Database, user_id: UUID) -> Preferences:
    """What a user has chosen. Raises `NotFound`."""
    found = await database.one(CHOICES, {"user_id": user_id})
    if found is None:
        raise NotFound("There is no such user.")
    return Preferences(embed_metadata=found.embed_metadata, choices=msgspec.convert(found.choices, Choices))


async def set_preferences(database: Database, user_id: UUID, wanted: Preferences) -> Preferences:
    """Chooses, and tells what holds then; the caller announces it (`user <id>`). Raises `NotFound`."""
    choices = None if wanted.choices is UNSET else msgspec.json.encode(wanted.choices).decode()
    chosen = {"user_id": user_id, "embed_metadata": wanted.embed_metadata, "choices": choices}
    if await database.one(SET_CHOICES, chosen) is None:
        raise NotFound("There is no such user.")
    return await preferences(database, user_id)


async def is_operator(database: Database, user_id: UUID) -> bool:
    """Whether a user owns a live key with the scope `admin`."""
    return await database.one(IS_OPERATOR, {"user_id": user_id}) or False
