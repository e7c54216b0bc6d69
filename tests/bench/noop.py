"""A bare Litestar that decodes a body and gives a small answer: what the framework costs, on the same server."""

from __future__ import annotations

import sys

import msgspec
import uvicorn
from litestar import Litestar, get, post

from control_plane.wire.worker import ClaimRequest


class Small(msgspec.Struct):
    ok: bool
    slots: int


@post("/noop", status_code=200)
async def noop(data: ClaimRequest) -> Small:
    return Small(ok=True, slots=len(data.slots))


@get("/healthz")
async def healthz() -> None:
    return None


def main() -> None:
    import uvloop

    app = Litestar([noop, healthz], openapi_config=None, logging_config=None)
    config = uvicorn.Config(
        app,
        port=int(sys.argv[1]),
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
