"""The gallery: a file is seen by everybody while its owner proposes it, the operator has approved it, and the rules of
conduct say nothing against it.

Approval is a state of the publication, and the database makes the file `published` for just as long; so a quarantine,
an erasure or a suspension takes it out in that moment, without a word to the gallery. The rules in force are asked when
something is proposed, when it is approved and whenever it is shown, for they may have changed since; what they call
adult is made, but not shown here. While a file is published it is kept, however short its owner's plan keeps files.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from control_plane import audit
from control_plane.audit import Actor
from control_plane.conduct.judgement import Conduct
from control_plane.database import Database, Query
from control_plane.errors import (
    AlreadyDecided,
    Gone,
    NotFinished,
    NotForGallery,
    NotFound,
    TooManyProposals,
)
from control_plane.orders.specs import Ordered
from control_plane.states import State
from control_plane.wire.gallery import PublicationState, PublicationView
from control_plane.wire.job import JobKind

PROPOSED_MAX = 20
"""Publications of one person that wait for the operator."""
PAGE_MAX = 100

Digest = bytes
"""A SHA-256; a field below is called `bytes`, so the type needs another name."""

log = structlog.get_logger()

_spec = msgspec.json.Decoder(Ordered).decode


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    there: bool
    spec: str


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is shown to everybody."""

    id: UUID
    job_id: UUID
    index: int
    show_prompt: bool
    mime_type: str
    width: int
    height: int
    spec: str

    @property
    def made_from(self) -> Ordered:
        return _spec(self.spec)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a piece."""

    job_id: UUID
    index: int
    key: str
    mime_type: str
    bytes: int
    sha256: Digest
    spec: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A publication as the operator sees it."""

    id: UUID
    job_id: UUID
    index: int
    state: PublicationState
    show_prompt: bool
    reason: str
    proposed_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    user_id: UUID
    user: str
    mime_type: str
    width: int
    height: int
    kind: JobKind
    model: str
    prompt: str | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    index: int
    state: PublicationState
    spec: str
    quarantined: bool


CANDIDATE = Query("gallery.candidate", Candidate)
PROPOSE: Query[None] = Query("gallery.propose")
WITHDRAW = Query("gallery.withdraw", bool)
OWN = Query("gallery.own", PublicationView)
SHOWN = Query("gallery.shown", Piece)
FILE = Query("gallery.file", Shown)
PAGE = Query("gallery.page", Proposal)
FOUND = Query("gallery.found", Found)
DECIDE: Query[None] = Query("gallery.decide")


async def propose(
    database: Database, conduct: Conduct, user_id: UUID, job_id: UUID, index: int, *, show_prompt: bool
) -> PublicationView:
    """Its owner's wish that everybody may see a file; repeating it changes nothing, another `show_prompt` asks the
    operator anew. Raises `NotFound`, `NotFinished`, `Gone`, `NotForGallery`, `AlreadyDecided`, `TooManyProposals`."""
    place = {"user_id": user_id, "job_id": job_id, "index": index}
    candidate = await database.one(CANDIDATE, place)
    if candidate is None or index >= _spec(candidate.spec).count:
        raise NotFound("You have no such file.")
    if candidate.state != "succeeded":
        raise NotFinished("Only the result of a job that has succeeded can be published.")
    if not candidate.there:
        raise Gone("This file is gone, so it cannot be published.")
    _judge(conduct, candidate.spec)
    await database.run(PROPOSE, {**place, "show_prompt": show_prompt, "proposed_max": PROPOSED_MAX})
    found = next((one for one in await own(database, user_id, job_id) if one.index == index), None)
    if found is not None and found.state == "refused":
        raise AlreadyDecided(f"The operator has refused this one: {found.reason}")
    if found is None or found.state == "withdrawn" or found.show_prompt != show_prompt:
        raise TooManyProposals(f"{PROPOSED_MAX} of yours wait for the operator. Propose more when they were looked at.")
    log.info("publication.proposed", job_id=job_id, index=index)
    return found


async def withdraw(database: Database, user_id: UUID, job_id: UUID, index: int) -> None:
    """Nobody else sees the file any more; nothing is wrong when nobody did. Raises `NotFound`."""
    if not await database.one(WITHDRAW, {"user_id": user_id, "job_id": job_id, "index": index}):
        raise NotFound("You have no such job.")
    log.info("publication.withdrawn", job_id=job_id, index=index)


async def own(database: Database, user_id: UUID, job_id: UUID) -> list[PublicationView]:
    """What became of the files of a job that were ever proposed; nothing of somebody else's."""
    return await database.many(OWN, {"user_id": user_id, "job_id": job_id})


async def shown(
    database: Database, conduct: Conduct, *, before: UUID | None, limit: int
) -> tuple[list[Piece], UUID | None]:
    """What everybody sees, the newest first, and where to go on; what the rules mark by now is left out."""
    found = await database.many(SHOWN, {"before": before, "most": limit + 1})
    page, more = found[:limit], len(found) > limit
    return [one for one in page if conduct.marks(one.made_from) is None], page[-1].id if more else None


async def file(database: Database, conduct: Conduct, publication_id: UUID) -> Shown:
    """The file of a piece, for whoever asks. Raises `NotFound`."""
    found = await database.one(FILE, {"id": publication_id})
    if found is None or conduct.marks(_spec(found.spec)) is not None:
        raise NotFound("There is no such picture in the gallery (any more).")
    return found


async def page(
    database: Database, *, state: PublicationState, before: UUID | None, limit: int
) -> tuple[list[Proposal], bool]:
    """Publications in a state, the newest first, and whether there are more."""
    found = await database.many(PAGE, {"state": state, "before": before, "most": limit + 1})
    return found[:limit], len(found) > limit


async def approve(database: Database, conduct: Conduct, publication_id: UUID, actor: Actor) -> None:
    """Everybody may see it. Idempotent. Raises `NotFound`, `AlreadyDecided`, `NotForGallery`."""
    await _decide(database, publication_id, "approved", actor, conduct=conduct)


async def refuse(database: Database, publication_id: UUID, actor: Actor, reason: str) -> None:
    """Nobody sees it (any more); its owner reads why. Idempotent. Raises `NotFound`, `AlreadyDecided`."""
    await _decide(database, publication_id, "refused", actor, reason=reason)


async def _decide(
    database: Database,
    publication_id: UUID,
    state: PublicationState,
    actor: Actor,
    *,
    conduct: Conduct | None = None,
    reason: str = "",
) -> None:
    async with database.transaction() as connection:
        found = await FOUND.one(connection, {"id": publication_id})
        if found is None or (conduct is not None and found.quarantined):
            raise NotFound("There is no such publication. Its owner may have deleted or proposed it anew.")
        if found.state == state:
            return
        if found.state == "withdrawn" or (found.state, state) == ("refused", "approved"):
            raise AlreadyDecided(f"This publication is {found.state}; that stays.")
        if conduct is not None:
            _judge(conduct, found.spec)
        decision = {"id": publication_id, "state": state, "reason": reason, "decided_by": str(actor)}
        await DECIDE.run(connection, decision)
        verb = "approve" if state == "approved" else "refuse"
        detail = {"publication": publication_id, "reason": reason}
        await audit.record(connection, actor, verb, ("artifact", f"{found.job_id}/{found.index}"), detail)
    log.info("publication.decided", job_id=found.job_id, index=found.index, state=state)


def _judge(conduct: Conduct, spec: str) -> None:
    category = conduct.marks(_spec(spec))
    if category is not None:
        detail = f"This falls under {category!r}, which is not shown in the gallery. It stays yours."
        raise NotForGallery(detail, category=category)
