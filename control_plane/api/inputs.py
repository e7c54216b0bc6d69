"""Inputs: upload a picture to start from, look at it, take it away; and how an agent fetches it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import structlog
from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import cursors
from control_plane.api import answers, forms, guards
from control_plane.api.artifacts import IF_NONE_MATCH, IF_RANGE, RANGE, SignedQuery
from control_plane.api.files import Sent
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.api.worker import ATTEMPT, LEASE_TOKEN, fence
from control_plane.context import Context
from control_plane.cursors import Cursor
from control_plane.errors import (
    DiskLow,
    Forbidden,
    Gone,
    InputNeeded,
    InputsFull,
    LeaseLost,
    ModeratedInput,
    NotFound,
    RangeNotSatisfiable,
    Suspended,
    TooManyWaiting,
)
from control_plane.files import inputs
from control_plane.files.inputs import Input
from control_plane.files.intake import UPLOAD_SECONDS
from control_plane.people.credentials import WorkerIdentity
from control_plane.wire import Request
from control_plane.wire.input import INPUT_BYTES_MAX, InputList, InputView

LIMIT_DEFAULT = 20
DOWNLOAD_SECONDS = 3_600.0

log = structlog.get_logger()


class InputsQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=inputs.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before; absent for the newest inputs."""


@operation(
    "POST",
    "/api/v1/inputs",
    guard=guards.SUBMIT,
    answers={201: InputView},
    problems=(ModeratedInput, InputsFull, TooManyWaiting, DiskLow),
    uploads=("application/octet-stream", forms.FORM),
    tag="Inputs",
    wait_seconds=UPLOAD_SECONDS,
)
async def upload_input(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Upload a picture to start from: PNG, JPEG or WebP, told apart by content.

    Send the file as it is, or as the part `file` of a form:

        curl -H "Authorization: Bearer $TESSERA_API_KEY" --data-binary @photo.jpg $TESSERA_URL/api/v1/inputs
        curl -H "Authorization: Bearer $TESSERA_API_KEY" -F file=@photo.jpg $TESSERA_URL/api/v1/inputs

    What is kept is written anew from its pixels: upright, at most 4,096 pixels along a side, without EXIF, without the
    place where it was taken. Order with its id as `input_image`. The same file again gets the same answer. It is kept
    for a day, and longer for as long as a job of yours needs it.
    """
    scope, receive = call.request.scope, call.request.receive
    stored = await call.context.intake.receive(call.who.user_id, forms.file(scope, receive, INPUT_BYTES_MAX))
    shown = _view(call.context, stored)
    location = f"{call.context.settings.base_url}/api/v1/inputs/{stored.id}"
    return answers.json(shown, status=201, headers={"Location": location})


@operation("GET", "/api/v1/inputs", guard=guards.READ, answers={200: InputList}, tag="Inputs")
async def list_inputs(call: Call[Person, Nothing, InputsQuery]) -> ASGIApp:
    """List your inputs, the newest first."""
    keys, scope, cursor = call.context.signing_keys, ("inputs", call.who.user_id), call.query.cursor
    before = UUID(bytes=cursors.unseal(keys, cursor, *scope)) if cursor is not None else None
    found, more = await inputs.page(call.context.database, call.who.user_id, before, call.query.limit)
    data = [_view(call.context, each) for each in found]
    sealed = cursors.seal(keys, found[-1].id.bytes, *scope) if more else None
    return answers.json(InputList(data=data, has_more=more, next_cursor=sealed))


@operation(
    "GET",
    "/api/v1/inputs/{input_id:uuid}",
    guard=guards.READ,
    answers={200: InputView},
    problems=(NotFound,),
    tag="Inputs",
)
async def get_input(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Look at an input."""
    found = await inputs.get(call.context.database, call.who.user_id, call.path("input_id"))
    return answers.json(_view(call.context, found))


@operation(
    "GET",
    "/api/v1/inputs/{input_id:uuid}/content",
    guard=guards.READ,
    answers={302: None},
    problems=(NotFound,),
    tag="Inputs",
)
async def get_input_content(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Go to the picture as it is kept: a redirect to a signed address that expires."""
    found = await inputs.get(call.context.database, call.who.user_id, call.path("input_id"))
    answer = answers.nothing(302)
    answer.headers = [
        (b"location", _url(call.context, found.id).encode()),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
    ]
    return answer


@operation(
    "DELETE",
    "/api/v1/inputs/{input_id:uuid}",
    guard=guards.SUBMIT,
    answers={204: None},
    problems=(NotFound, InputNeeded),
    tag="Inputs",
)
async def delete_input(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Delete an input that no job needs which is not over. What was made of it stays."""
    await inputs.delete(call.context.database, call.context.store, call.who.user_id, call.path("input_id"))
    return answers.nothing()


@operation(
    "GET",
    "/inputs/{input_id:uuid}",
    guard=guards.PUBLIC,
    answers={200: "image/*", 206: "image/*", 304: None},
    problems=(Forbidden, Suspended, Gone, RangeNotSatisfiable),
    headers=(RANGE, IF_RANGE, IF_NONE_MATCH),
    tag="Inputs",
    wait_seconds=DOWNLOAD_SECONDS,
)
async def get_input_file(call: Call[None, Nothing, SignedQuery]) -> ASGIApp:
    """The picture as it is kept, by a signed address and without any other credential."""
    context, input_id, query = call.context, call.path("input_id"), call.query
    inputs.check_url(context.signing_keys, input_id, query.expires, query.signature)
    found = await inputs.content(context.database, input_id)
    opened = await context.store.open(found.key)
    if opened is None:
        log.error("input.missing", input_id=input_id)
        raise inputs.gone()
    return Sent(opened, call.request.scope, mime_type=found.mime_type, sha256=found.sha256, cache="private, max-age=5")


@operation(
    "GET",
    ATTEMPT + "/inputs/{index:int}",
    guard=guards.WORKER,
    answers={200: "image/*", 206: "image/*", 304: None},
    problems=(LeaseLost, NotFound, ModeratedInput, RangeNotSatisfiable),
    headers=(LEASE_TOKEN, RANGE, IF_RANGE, IF_NONE_MATCH),
    tag="Worker",
    wait_seconds=DOWNLOAD_SECONDS,
)
async def fetch_input(call: Call[WorkerIdentity, Nothing, Nothing]) -> ASGIApp:
    """The picture that a job starts from, for as long as its lease is live. Supports single ranges."""
    found = await inputs.fetch(call.context.database, fence(call), call.path("index"))
    call.context.conduct.check_input("", *found.hashes)
    opened = await call.context.store.open(found.key) if found.key is not None else None
    if opened is None or found.mime_type is None or found.sha256 is None:
        raise NotFound("This job has no such input any more.")
    return Sent(opened, call.request.scope, mime_type=found.mime_type, sha256=found.sha256)


def _view(context: Context, found: Input) -> InputView:
    return InputView(
        id=found.id,
        mime_type=found.mime_type,
        width=found.width,
        height=found.height,
        bytes=found.bytes,
        sha256=found.sha256.hex(),
        received_sha256=found.received_sha256.hex(),
        created_at=found.created_at,
        expires_at=found.expires_at,
        url=_url(context, found.id),
    )


def _url(context: Context, input_id: UUID) -> str:
    settings = context.settings
    return inputs.url(context.signing_keys, settings.base_url, input_id, settings.artifact_url_seconds)
