"""An identity that was just proved becomes a session: of its user, of somebody new, or of whom it is added to.

Who wants to add an identity says so when they leave for the provider, and has to be signed in as the same person when
they come back. An identity that is nobody's is attached; that of somebody else makes the two one user, by the rules of
`people.linking`. Nobody is joined to an account for having the same name or e-mail address.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from control_plane.database import Database
from control_plane.errors import Suspended
from control_plane.people import joining, sessions, signup
from control_plane.people.sessions import Begun, Way
from control_plane.people.users import Identity
from control_plane.settings import Settings


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """`joined`: the users whose identities have changed, to be announced (`user <id>`)."""

    session: Begun
    joined: tuple[UUID, ...] = ()


async def arrive(
    database: Database, settings: Settings, identity: Identity, device: str, for_user: UUID | None
) -> Arrival:
    """A session. Raises what `signup.acting`, `joining.join` and `sessions.begin` raise."""
    way: Way = identity.provider  # type: ignore[assignment]  # the providers are among the ways
    joined: tuple[UUID, ...] = ()
    if for_user is None:
        acting = await signup.acting(database, identity, settings.signup, settings.signups_per_day)
        if acting.status == "deleted":
            raise Suspended("This account has been deleted.")
        user_id = acting.id
    else:
        linked = await joining.join(database, for_user, identity)
        user_id = linked.user_id
        joined = (user_id,) if linked.gone is None else (user_id, linked.gone)
    async with database.transaction() as connection:
        return Arrival(session=await sessions.begin(connection, user_id, way, device), joined=joined)
