"""An error as told to a client: RFC 9457 `application/problem+json`."""

from __future__ import annotations

from control_plane.wire import Message

PROBLEM_MEDIA_TYPE = "application/problem+json"


class Fault(Message, frozen=True, kw_only=True):
    """One thing that is wrong with a request."""

    pointer: str
    """A JSON pointer (RFC 6901) into the body, or the name of a parameter or header."""
    code: str
    detail: str


class Problem(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What happened and what to do. `code` is stable and names the page that `type` leads to; some kinds of
    problem carry further members."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    """The path that was asked for."""
    code: str
    request_id: str
    """Names the entry in the operator's log."""
    errors: list[Fault] = []
    """What is wrong with the request, when `code` is `invalid` or `malformed`."""
