"""The trace that a request belongs to: what its `traceparent` says, or the span that was begun for it.

Every call of the public API is a span. What agents ask for by the second, and what a browser loads, is one only as part
of a trace that goes on already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.types import HTTPScope, Scope

from control_plane import tracing
from control_plane.api import guards
from control_plane.api.operation import Header

if TYPE_CHECKING:
    from opentelemetry.trace import Span

TRACEPARENT = Header(
    name="traceparent",
    description="The W3C trace context that the order belongs to; it comes back with webhooks.",
    schema={"type": "string", "maxLength": 128},
)
ALWAYS, ONLY_WITHIN = ("/api/", "/v1/"), "/api/v1/worker/"


def traceparent(scope: Scope) -> str | None:
    """What an order is to be remembered with."""
    within: str | None = scope["state"].get("traceparent")
    return within or tracing.accepted(guards.header(scope, b"traceparent"))


def begin(scope: HTTPScope) -> Span | None:
    """A span for this request, if it gets one; to be called when traces are collected."""
    came = tracing.accepted(guards.header(scope, b"traceparent"))
    path = scope["path"]
    if came is None and (not path.startswith(ALWAYS) or path.startswith(ONLY_WITHIN)):
        return None
    span = tracing.begin_span(scope["method"], "SERVER", came, {"request_id": scope["state"]["request_id"]})
    scope["state"]["traceparent"] = tracing.inside(span, came)
    return span


def end(span: Span, method: str, path: str, status: int) -> None:
    """It was answered; `path` as the operation declares it. No status: the client was gone before."""
    facts: dict[str, tracing.Attribute] = {
        "http_request_method": method,
        "http_route": path,
        "http_response_status_code": status,
    }
    tracing.end_span(span, facts, name=f"{method} {path}", failed=status >= 500 or status == 0)
