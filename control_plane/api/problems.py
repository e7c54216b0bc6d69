"""Everything that goes wrong, as RFC 9457 `application/problem+json`.

Our own errors carry what they mean; Litestar's become the nearest of ours; anything else is our mistake: the sender
learns only the request id, the log keeps the rest. `type` leads to a page made from the docstring of the error.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from control_plane.api import answers, openai_errors
from control_plane.api.answers import Answer
from control_plane.api.decoding import Disconnected
from control_plane.database import STATEMENT_FAILURES
from control_plane.errors import Internal, Malformed, MethodNotAllowed, NotFound, TesseraError, TooLarge, Unavailable
from control_plane.wire.problem import PROBLEM_MEDIA_TYPE

CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a sender that went away; never sent, only logged."""

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode

_HTTP: dict[int, tuple[type[TesseraError], str]] = {
    400: (Malformed, "The request cannot be read."),
    404: (NotFound, "There is nothing at this address."),
    405: (MethodNotAllowed, "This address does not know that method."),
    413: (TooLarge, "The body is larger than allowed."),
}
"""What Litestar refuses by itself."""


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the application."""
    answer = render(request.scope, error)
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, media_type=headers.pop("content-type"), headers=headers)


def render(scope: Scope, error: BaseException) -> Answer:
    """A problem as an answer to the request of this scope."""
    if isinstance(error, Disconnected):
        return Answer(b"", status=CLIENT_CLOSED_REQUEST, media_type=PROBLEM_MEDIA_TYPE)
    found = _known(error)
    if found is not None and found.rate is not None:
        scope["state"]["rate"] = found.rate
    if found is None:
        log.error("request.broken", request_id=_request_id(scope), exc_info=error)
        found = Internal("Something broke on our side. The operator finds it under the request id; try again.")
    if openai_errors.speaks(scope["path"]):
        return answers.json(
            openai_errors.body(found),
            status=openai_errors.told(type(found)).status,
            headers={**_headers(scope, found, error), **openai_errors.headers(found)},
        )
    return Answer(
        _encode(document(scope, found)),
        status=found.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=_headers(scope, found, error),
    )


def document(scope: Scope, error: TesseraError) -> dict[str, Any]:
    """The members of the problem: those of RFC 9457, ours, and what this kind of problem adds."""
    base_url = scope["litestar_app"].state.settings.base_url
    return {
        "type": f"{base_url}/problems/{error.slug}",
        "title": error.title(),
        "status": error.status,
        "detail": error.detail,
        "instance": scope["path"],
        "code": error.slug,
        "request_id": _request_id(scope),
        **error.fields,
    }


def _known(error: BaseException) -> TesseraError | None:
    if isinstance(error, TesseraError):
        return error
    if isinstance(error, HTTPException) and error.status_code in _HTTP:
        kind, sentence = _HTTP[error.status_code]
        return kind(sentence)
    if isinstance(error, psycopg.Error) and error.sqlstate in STATEMENT_FAILURES:
        log.warning("database.busy", sqlstate=error.sqlstate)
        return Unavailable("The database is too busy just now; nothing was changed. Try again.", retry_after=2)
    return None


def _headers(scope: Scope, found: TesseraError, error: BaseException) -> dict[str, str]:
    headers = {}
    if found.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(found.retry_after)))
    if found.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if found.status == 416:
        headers["Content-Range"] = f"bytes */{found.fields['bytes']}"
    if found.status == 405 and isinstance(error, HTTPException):
        headers["Allow"] = (error.headers or {}).get("allow", (error.headers or {}).get("Allow", ""))
    return headers


def _request_id(scope: Scope) -> str:
    state: dict[str, Any] = scope["state"]
    return str(state.get("request_id", ""))
