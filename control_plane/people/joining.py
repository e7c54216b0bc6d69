"""Joining: somebody who is signed in has just proved another identity of theirs.

Here no code is needed, for both were proved in one browser. An identity that is nobody's is attached; one of another
user makes the two one, as entering a link code would.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from control_plane.database import Database
from control_plane.people import linking
from control_plane.people.linking import Linked
from control_plane.people.users import BY_IDENTITY, Identity


async def join(database: Database, user_id: UUID, identity: Identity) -> Linked:
    """This identity is the user's from now on. Raises `Suspended`, `Merged`, `Unavailable`."""

    async def work(connection: AsyncConnection[Any]) -> Linked:
        await linking.ONE_AT_A_TIME.run(connection)
        named = {"provider": identity.provider, "subject": identity.subject}
        known = await BY_IDENTITY.one(connection, named)
        if known is None:
            return await linking.attached(connection, user_id, identity.provider, identity.subject)
        if known.id == user_id:
            return Linked(user_id=user_id, gone=None)
        return await linking.merged(connection, user_id, known.id, actor=user_id)

    return await linking.patiently(database, work)
