"""The HTTP interface: every operation, and the table of those that need no credential.

`operation.py` says how one is declared, `guards.py` who may call it, `decoding.py` how strictly it is read,
`problems.py` how it fails, `edge.py` what surrounds it, `document.py` how it is described.
"""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from control_plane.api import (
    artifacts,
    batches,
    care,
    catalogue,
    chats,
    conduct,
    events,
    gallery,
    health,
    inputs,
    install,
    jobs,
    keys,
    links,
    newcomers,
    openai,
    operator,
    pages,
    payments,
    people,
    sessions,
    setup,
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
        ("GET", "/install/agent.sh"),
        ("GET", "/install/agent.json"),
        ("GET", "/install/requirements.txt"),
        ("GET", "/install/ca.pem"),
        ("GET", "/install/{wheel:str}"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/plans"),
        ("GET", "/api/v1/packs"),
        ("GET", "/artifacts/{job_id:uuid}/{index:int}"),
        ("HEAD", "/artifacts/{job_id:uuid}/{index:int}"),
        ("GET", "/artifacts/{job_id:uuid}/{index:int}/thumbnail"),
        ("GET", "/inputs/{input_id:uuid}"),
        ("GET", "/api/v1/gallery"),
        ("GET", "/gallery/{publication_id:uuid}"),
        ("GET", "/gallery/{publication_id:uuid}/thumbnail"),
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
        ("POST", "/auth/invite"),
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
        gallery,
        inputs,
        conduct,
        catalogue,
        people,
        care,
        sessions,
        links,
        signin,
        newcomers,
        payments,
        chats,
        operator,
        setup,
        webhooks,
        keys,
        openai,
        worker,
        install,
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
