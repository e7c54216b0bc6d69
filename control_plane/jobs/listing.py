"""Lists of jobs, page by page, narrowed to what fits.

A page is found on the index of a user's jobs, from where the last one ended. What the index does not know (status,
model, metadata …) is looked at job by job, but for one page at no more than `REACH` of them; a page that ends there
may be short or empty and still have a next one, which goes on from that point. So no list costs more than its reach,
however many jobs there are, and no filter needs an index that every submit would pay for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from control_plane import cursors
from control_plane.context import Context
from control_plane.database import Query
from control_plane.jobs import views
from control_plane.wire.job import JobKind, JobList, JobStatus, JobView

PAGE_MAX = 100
REACH = 5_000
"""Jobs looked at for one page."""
SLACK_MILLISECONDS = 60_000
"""An id is made a moment after its transaction has begun, which `created_at` is about: more than that moment."""
MILLISECONDS_MAX = 2**48 - 1

Direction = Literal["newest", "oldest"]


class Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a list is narrowed to. Different filters are different lists."""

    status: JobStatus | None = None
    kind: JobKind | None = None
    model: str | None = None
    created_after: datetime | None = None
    """At or after."""
    created_before: datetime | None = None
    metadata: tuple[str, str] | None = None
    """Key and value."""
    order: Direction = "newest"

    @property
    def narrow(self) -> bool:
        """Whether jobs are passed over that the index leads to."""
        return any((self.status, self.kind, self.model, self.created_after, self.created_before, self.metadata))


NEWEST = Query("jobs.newest", UUID)
OLDEST = Query("jobs.oldest", UUID)
REACH_NEWEST = Query("jobs.reach_newest", UUID)
REACH_OLDEST = Query("jobs.reach_oldest", UUID)

_encode = msgspec.json.Encoder().encode


async def page(context: Context, user_id: UUID, filters: Filters, cursor: str | None, limit: int) -> JobList:
    """A page of a user's jobs. Raises `Invalid` for a cursor that is not of this list."""
    scope = ("jobs", user_id, filters)
    after = UUID(bytes=cursors.unseal(context.signing_keys, cursor, *scope)) if cursor is not None else None
    window = _window(context, user_id, filters, after)
    newest = filters.order == "newest"
    found = await context.database.many(NEWEST if newest else OLDEST, {**window, "most": limit + 1})
    last = found[limit - 1] if len(found) > limit else None
    if last is None and filters.narrow:
        last = await context.database.one(REACH_NEWEST if newest else REACH_OLDEST, window)
    data = await shown(context, user_id, found[:limit])
    sealed = cursors.seal(context.signing_keys, last.bytes, *scope) if last is not None else None
    return JobList(data=data, has_more=last is not None, next_cursor=sealed)


async def shown(context: Context, user_id: UUID, job_ids: list[UUID]) -> list[JobView]:
    """These jobs of the user, in this order; what is not there or not theirs is left out."""
    return [await views.viewed(context, row) for row in await context.looks.many(user_id, job_ids)]


def _window(context: Context, user_id: UUID, filters: Filters, after: UUID | None) -> dict[str, object]:
    """The parameters of a page: ids strictly between `low` and `high`, and what must hold besides."""
    low, high = _born(filters.created_after, -1), _born(filters.created_before, SLACK_MILLISECONDS, last=True)
    if after is not None and filters.order == "newest":
        high = min(high, after)
    elif after is not None:
        low = max(low, after)
    return {
        "user_id": user_id,
        "low": low,
        "high": high,
        "status": filters.status,
        "lane_id": _lanes(context, filters),
        "created_after": filters.created_after,
        "created_before": filters.created_before,
        "metadata": _encode(dict([filters.metadata])).decode() if filters.metadata else None,
        "reach": REACH,
    }


def _lanes(context: Context, filters: Filters) -> list[int] | None:
    """The lanes of this kind and model; None: all."""
    if filters.kind is None and filters.model is None:
        return None
    wanted = (filters.kind, filters.model)
    lanes = context.dispatcher.board.lanes.values()
    return [lane.id for lane in lanes if all(w in (None, has) for w, has in zip(wanted, lane.capability, strict=True))]


def _born(instant: datetime | None, shift: int, *, last: bool = False) -> UUID:
    """A border of the ids that were born at an instant, `shift` milliseconds off; without one, the outermost."""
    if instant is None:
        return UUID(int=2**128 - 1 if last else 0)
    born = int(instant.timestamp() * 1_000) + shift
    return UUID(int=min(max(born, 0), MILLISECONDS_MAX) << 80)
