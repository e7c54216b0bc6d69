"""Operations on conduct: report something; as an administrator see reports, quarantine files, suspend accounts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import audit, cursors
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.conduct import quarantine, reports, suspension
from control_plane.cursors import Cursor
from control_plane.errors import AlreadyHandled, Invalid, NotFound, TooManyReports
from control_plane.wire import Request
from control_plane.wire.conduct import (
    Decided,
    Reason,
    ReportList,
    ReportReceipt,
    ReportRequest,
    ReportState,
    Suspension,
)

LIMIT_DEFAULT = 20


class ReportsQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=reports.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before, with the same filter; absent for the newest reports."""
    state: ReportState | None = None


@operation(
    "POST",
    "/api/v1/reports",
    guard=guards.REPORTER,
    answers={201: ReportReceipt},
    problems=(NotFound, TooManyReports),
    tag="Conduct",
)
async def file_report(call: Call[Person, ReportRequest, Nothing]) -> ASGIApp:
    """Report a job or one of its files to the operator.

    You can report what you can see: what is yours, what is published, and, through a service such as a bot, what it
    has shown you of the people it acts for. The first report of a thing counts; repeating it changes nothing.
    """
    body = call.body
    filed = await reports.file(
        call.context.database,
        call.who.user_id,
        body.job_id,
        body.index,
        body.category,
        body.text,
        call.who.key.providers,
    )
    return answers.json(filed, status=201)


@operation("GET", "/api/v1/reports", guard=guards.ADMIN, answers={200: ReportList}, tag="Conduct")
async def list_reports(call: Call[Person, Nothing, ReportsQuery]) -> ASGIApp:
    """List what people have reported, the newest first."""
    query = call.query
    keys, scope = call.context.signing_keys, ("reports", query.state)
    before = UUID(bytes=cursors.unseal(keys, query.cursor, *scope)) if query.cursor is not None else None
    found, more = await reports.page(call.context.database, state=query.state, before=before, limit=query.limit)
    sealed = cursors.seal(keys, found[-1].id.bytes, *scope) if more else None
    return answers.json(ReportList(data=found, has_more=more, next_cursor=sealed))


@operation(
    "POST",
    "/api/v1/admin/reports/{report_id:uuid}/uphold",
    guard=guards.ADMIN,
    answers={200: Decided},
    problems=(NotFound, AlreadyHandled),
    tag="Conduct",
)
async def uphold_report(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Find a report right: the files that it is about are quarantined."""
    return answers.json(await reports.uphold(call.context.database, call.path("report_id"), _actor(call)))


@operation(
    "POST",
    "/api/v1/admin/reports/{report_id:uuid}/dismiss",
    guard=guards.ADMIN,
    answers={200: Decided},
    problems=(NotFound, AlreadyHandled),
    tag="Conduct",
)
async def dismiss_report(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Find nothing wrong with what was reported."""
    return answers.json(await reports.dismiss(call.context.database, call.path("report_id"), _actor(call)))


@operation(
    "POST",
    "/api/v1/admin/artifacts/{job_id:uuid}/{index:int}/quarantine",
    guard=guards.ADMIN,
    answers={204: None},
    problems=(NotFound,),
    tag="Conduct",
)
async def quarantine_artifact(call: Call[Person, Reason, Nothing]) -> ASGIApp:
    """Withdraw a file: no address leads to it any more, signed ones that were handed out included.

    Repeating this changes nothing.
    """
    place = call.path("job_id"), _index(call.path("index"))
    await quarantine.quarantine(call.context.database, *place, _actor(call), call.body.reason)
    return answers.nothing()


@operation(
    "POST",
    "/api/v1/admin/artifacts/{job_id:uuid}/{index:int}/restore",
    guard=guards.ADMIN,
    answers={204: None},
    problems=(NotFound,),
    tag="Conduct",
)
async def restore_artifact(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Make a quarantined file what it was before. Repeating this changes nothing."""
    await quarantine.restore(call.context.database, call.path("job_id"), _index(call.path("index")), _actor(call))
    return answers.nothing()


@operation(
    "POST",
    "/api/v1/admin/users/{user_id:uuid}/suspend",
    guard=guards.OPERATOR,
    answers={200: Suspension},
    problems=(NotFound,),
    tag="Conduct",
)
async def suspend_user(call: Call[Person, Reason, Nothing]) -> ASGIApp:
    """Suspend an account with all its identities and keys.

    Everything but `GET /api/v1/user/me` is refused to it with 403 `account-suspended`. What it has waiting is canceled
    and returned, what runs is stopped. Repeating this changes nothing.
    """
    context, user_id = call.context, call.path("user_id")
    if user_id == call.who.user_id:
        raise Invalid.at(
            "user_id", "You cannot suspend yourself: nobody could take it back by this way.", "own_account"
        )
    await suspension.suspend(context.database, user_id, _actor(call), call.body.reason)
    context.dispatcher.bus.announce("user", user_id)
    canceled = canceling = 0
    async for stopped in suspension.stop(context.database, user_id):
        canceled += stopped.state == "canceled"
        canceling += stopped.state != "canceled"
        if stopped.worker_id is not None:
            context.dispatcher.nudge(stopped.worker_id)
    return answers.json(Suspension(id=user_id, status="suspended", canceled=canceled, canceling=canceling))


@operation(
    "POST",
    "/api/v1/admin/users/{user_id:uuid}/restore",
    guard=guards.OPERATOR,
    answers={200: Suspension},
    problems=(NotFound,),
    tag="Conduct",
)
async def restore_user(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Take a suspension back. What was canceled stays canceled. Repeating this changes nothing."""
    await suspension.restore(call.context.database, call.path("user_id"), _actor(call))
    call.context.dispatcher.bus.announce("user", call.path("user_id"))
    return answers.json(Suspension(id=call.path("user_id"), status="active"))


def _actor(call: Call[Person, Reason, Nothing] | Call[Person, Nothing, Nothing]) -> audit.Actor:
    return audit.user(call.who.user_id)


def _index(index: int) -> int:
    if not 0 <= index <= 63:
        raise NotFound("There is no such file.")
    return index
