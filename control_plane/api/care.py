"""Operations on all that somebody has here: take it along, have it erased."""

from __future__ import annotations

from contextlib import aclosing
from uuid import UUID

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from control_plane import audit
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.api.presence import watched
from control_plane.api.sessions import without_cookie
from control_plane.care import departures
from control_plane.care.export import Export
from control_plane.context import Context
from control_plane.errors import Forbidden, Merged, TesseraError, TooManyWaiting
from control_plane.wire.care import Deletion, DeletionRequest

EXPORT_SECONDS = 6 * 3_600.0
"""How long a download of everything may take."""
ZIP = "application/zip"

DONE = "Your account and everything in it are gone."
GOING = (
    "Your account is closed, and nobody can see or use anything of it. What a job that is being stopped still needs"
    " goes within minutes; what must be kept for a legal reason goes when that ends."
)

log = structlog.get_logger()


@operation(
    "GET",
    "/api/v1/user/export",
    guard=guards.OWNER,
    answers={200: ZIP},
    problems=(TooManyWaiting,),
    tag="User",
    wait_seconds=EXPORT_SECONDS,
)
async def export_user(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Everything that is known of you, as a zip archive: account, identities, orders with prompts and parameters, the
    ledger, payments, keys by name, webhooks, sessions, and all your pictures. It holds no secret.

    The archive is written while you download it, so its size is not known before. One at a time for each person.
    """
    return _Download(call.context, await call.context.exports.begin(call.who.user_id))


@operation(
    "POST",
    "/api/v1/user/delete",
    guard=guards.OWNER,
    answers={200: Deletion},
    problems=(Forbidden, Merged),
    tag="User",
)
async def delete_user(call: Call[Person, DeletionRequest, Nothing]) -> ASGIApp:
    """Delete your account: your orders with prompts and files, inputs, links, what you have in the gallery, keys,
    sessions, webhooks and identities. There is no way back, and tokens that are left are lost.

    What waits is canceled, what runs is stopped. What is kept is what the books need, amounts and dates under a number
    that says nothing of you; and for thirty days a digest of your identities, which until then open no new account.
    Backups hold what was deleted until they are replaced by newer ones.
    """
    context, user_id = call.context, call.who.user_id
    await departures.check(context.database, user_id, call.body.name)
    household = await departures.depart(context.database, user_id, audit.user(user_id))
    for each in household:
        context.dispatcher.bus.announce("user", each)
    finished = await _proceeded(context, user_id, household)
    answer = without_cookie(context, call.request.scope)
    told = answers.json(Deletion(finished=finished, detail=DONE if finished else GOING))
    told.headers += [header for header in answer.headers if header[0] == b"set-cookie"]
    return told


async def _proceeded(context: Context, user_id: UUID, household: list[UUID]) -> bool:
    """As far as it goes at once; the sweep goes on with what is left."""
    try:
        await departures.stop(context.database, household, context.dispatcher.nudge)
        return await departures.proceed(context.database, context.store, user_id)
    except (TesseraError, OSError) as error:
        log.warning("departure.delayed", user_id=user_id, error=type(error).__name__)
        return False


class _Download:
    """An archive on its way; it stops when the client hangs up."""

    def __init__(self, context: Context, export: Export) -> None:
        self._tasks = context.tasks
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", ZIP.encode()),
            (b"content-disposition", b'attachment; filename="tessera.zip"'),
            (b"cache-control", b"no-store"),
        ]
        async with aclosing(self._export.chunks()) as chunks:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            with watched(self._tasks, receive) as gone:
                async for data in chunks:
                    if gone.is_set():
                        return
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
