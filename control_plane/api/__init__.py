"""The HTTP interface: every operation, and the table of those that need no credential.

`operation.py` says how one is declared, `guards.py` who may call it, `decoding.py` how strictly it is read,
`problems.py` how it fails, `edge.py` what surrounds it, `document.py` how it is described.
"""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from control_plane.api import (
    artifacts,
    batches,
    catalogue,
    chats,
    conduct,
    events,
    health,
    inputs,
    jobs,
    keys,
    links,
    openai,
    operator,
    pages,
    payments,
    people,
    sessions,
    shares,
    signin,
    webhooks,
    worker,
)
from control_plane.api.operation import Operation, declared

PUBLIC: frozenset[tuple[str, str]] = frozenset(
    {
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/problems/{slug:str}"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/plans"),
        ("GET", "/api/v1/packs"),
        ("GET", "/artifacts/{job_id:uuid}/{index:int}"),
        ("HEAD", "/artifacts/{job_id:uuid}/{index:int}"),
        ("GET", "/artifacts/{job_id:uuid}/{index:int}/thumbnail"),
        ("GET", "/inputs/{input_id:uuid}"),
        ("GET", "/api/v1/shared/{token:str}"),
        ("POST", "/api/v1/worker/enroll"),
        ("GET", "/api/v1/session"),
        ("POST", "/auth/signout"),
        ("GET", "/auth/link/{token:str}"),
        ("POST", "/auth/link/{token:str}"),
        ("POST", "/auth/code"),
        ("GET", "/auth/{provider:str}/start"),
        ("GET", "/auth/{provider:str}/callback"),
        ("POST", "/auth/telegram"),
        ("GET", "/auth/telegram.js"),
    }
)
"""Everything that anybody may call. A test compares it with the router, both ways."""


def handlers() -> list[HTTPRouteHandler]:
    """Every operation of every module; one that is not declared, and so has no guard, is refused at start."""
    modules = (
        jobs,
        events,
        batches,
        artifacts,
        shares,
        inputs,
        conduct,
        catalogue,
        people,
        sessions,
        links,
        signin,
        payments,
        chats,
        operator,
        webhooks,
        keys,
        openai,
        worker,
        health,
        pages,
    )
    found = [value for module in modules for value in vars(module).values() if isinstance(value, HTTPRouteHandler)]
    for handler in found:
        assert declared(handler) is not None, f"{handler} has no declaration, hence no guard"
    return found


def operations() -> list[Operation]:
    """The declarations of all operations, in the order of the documentation."""
    return [found for handler in handlers() if (found := declared(handler)) is not None]
