"""How an operation of the API is declared: once, for the router, the decoder, the guard and the document.

    @operation("POST", "/api/v1/jobs", guard=guards.SUBMIT, answers={201: JobView}, problems=(QueueFull,), tag="Jobs")
    async def submit_job(call: Call[Person, SubmitRequest, Nothing]) -> ASGIApp: ...

The annotation of `call` says who may call (as the guard gives it), what the body is and which parameters there are
(`Nothing` for none); body and parameters are decoded strictly before the handler runs. A handler answers with an
ASGI application, `answers.json(…)` most of the time. Errors of `control_plane.errors` may be raised anywhere.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Scope

from control_plane.api import decoding, guards
from control_plane.api.guards import Guard, Person
from control_plane.context import Context
from control_plane.errors import Merged, NotFound, TesseraError
from control_plane.wire import Request as WireRequest

MERGES_MAX = 8
"""How often a caller may have become part of another user while one request of theirs is answered."""

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

Who = TypeVar("Who")
Body = TypeVar("Body")
Query = TypeVar("Query")


class Nothing(WireRequest, frozen=True):
    """No body, or no parameters."""


class Call(Generic[Who, Body, Query]):
    """One request to an operation: who calls, and what was sent, decoded."""

    __slots__ = ("body", "context", "query", "request", "who")

    def __init__(self, request: Request[Any, Any, Any], context: Context, who: Who, body: Body, query: Query) -> None:
        self.request = request
        self.context = context
        self.who = who
        self.body = body
        self.query = query

    def path(self, name: str) -> Any:
        """A parameter of the path, of the type that the path gives it."""
        return self.request.scope["path_params"][name]


@dataclass(frozen=True, kw_only=True)
class Header:
    """A request header that an operation understands."""

    name: str
    description: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What the router, the document and the tests know about an operation."""

    name: str
    method: Method
    path: str
    guard: Guard[Any]
    body: type[msgspec.Struct]
    optional_body: bool
    """It may be left out, which is as if it were empty."""
    query: type[msgspec.Struct]
    answers: Mapping[int, Any]
    """Status → Struct of the JSON, media type of something else, several of these, or None for an empty answer."""
    problems: tuple[type[TesseraError], ...]
    tag: str
    description: str
    headers: tuple[Header, ...]
    uploads: tuple[str, ...]
    """Media types of a file that is the body, or the part `file` of it; the handler reads it itself."""
    form: type[msgspec.Struct] | None
    """What a form says beside the file that it brings, when that is more than the file."""
    wait_seconds: float
    """Added to the deadline of a request: how long this one may be held open on purpose, or take to upload."""
    hot: bool
    """Called all the time by our own agents: logged at level debug only."""
    submits: bool
    """Counted by the rate of submits, in the statement that admits, and not by that of reads."""
    express: bool
    """Called so often that it is worth a way past the router; see `express.py`."""

    @property
    def fixed(self) -> bool:
        """Whether the path has no parameters."""
        return "{" not in self.path


Handler = Callable[[Call[Any, Any, Any]], Awaitable[ASGIApp]]


def operation(
    method: Method,
    path: str,
    *,
    guard: Guard[Any],
    answers: Mapping[int, Any],
    tag: str,
    problems: tuple[type[TesseraError], ...] = (),
    headers: tuple[Header, ...] = (),
    uploads: tuple[str, ...] = (),
    form: type[msgspec.Struct] | None = None,
    wait_seconds: float = 0.0,
    hot: bool = False,
    submits: bool = False,
    express: bool = False,
    optional_body: bool = False,
    notes: str = "",
) -> Callable[[Handler], HTTPRouteHandler]:
    """Declares the decorated coroutine as an operation; see above. Its docstring is its description, then `notes`."""

    def declare(handler: Handler) -> HTTPRouteHandler:
        who, body, query = get_args(get_type_hints(handler)["call"])
        assert who is guard.who, f"{handler.__name__} expects {who}, its guard gives {guard.who}"
        declared = Operation(
            name=handler.__name__,
            method=method,
            path=path,
            guard=guard,
            body=body,
            optional_body=optional_body,
            query=query,
            answers=answers,
            problems=problems,
            tag=tag,
            description=f"{inspect.cleandoc(handler.__doc__ or '')}\n\n{notes}".strip(),
            headers=headers,
            uploads=uploads,
            form=form,
            wait_seconds=wait_seconds,
            hot=hot,
            submits=submits,
            express=express,
        )
        run = _run(declared, handler)
        run.__name__, run.__doc__ = handler.__name__, handler.__doc__
        return HTTPRouteHandler(
            path, http_method=method, status_code=200, name=handler.__name__, opt={"operation": declared}
        )(run)

    return declare


def declared(handler: Any) -> Operation | None:
    """The declaration of a route handler; None when it was not made here."""
    found: Operation | None = handler.opt.get("operation")
    return found


def _run(op: Operation, handler: Handler) -> Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]:
    check, nothing = op.guard.check, Nothing()
    decoder = None if op.body is Nothing else msgspec.json.Decoder(op.body)
    has_query, fixed = op.query is not Nothing, op.fixed
    reads = op.guard.who is Person and not op.submits
    extends = op.wait_seconds > 0 and not fixed  # the edge knows what a fixed path is allowed

    async def run(request: Request) -> ASGIApp:  # type: ignore[type-arg]  # Litestar reads this annotation
        scope = request.scope
        context: Context = scope["litestar_app"].state.context
        if not fixed and "\0" in scope["path"]:  # PostgreSQL has no text for it
            raise NotFound("There is nothing at this address.")
        if extends:
            extend_deadline(scope, op.wait_seconds)
        who = await check(request)
        if reads:
            count_read(scope, context, who)
        query: Any = nothing
        if has_query or scope["query_string"]:
            query = decoding.query(scope["query_string"], op.query)
        body: Any = nothing
        if decoder is not None and op.optional_body and not decoding.has_body(scope):
            body = op.body()
        elif decoder is not None:
            raw = await decoding.read(scope, request.receive, context.settings.body_bytes_max)
            body = decoding.body(raw, decoder)
        for _ in range(MERGES_MAX):
            try:
                return await handler(Call(request, context, who, body, query))
            except (Merged, NotFound):  # nothing was done, perhaps because they are somebody else by now
                who = await guards.anew(request, op.guard, who)
                if who is None:
                    raise
        return await handler(Call(request, context, who, body, query))

    return run


def count_read(scope: Scope, context: Context, who: Person) -> None:
    """One request by the rate of the plan that its user has; told with the answer. Raises `RateLimited`."""
    processes = context.dispatcher.board.processes
    scope["state"]["rate"] = context.reads.take(who.user_id, who.reads_per_minute, processes)


def extend_deadline(scope: Scope, seconds: float | None) -> None:
    """This request may take so much longer than others; None: for as long as it likes."""
    deadline: asyncio.Timeout | None = scope["state"].get("deadline")
    if deadline is not None and (due := deadline.when()) is not None:
        deadline.reschedule(due + seconds if seconds is not None else None)
