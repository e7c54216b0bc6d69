"""How the bots fare, for whoever looks after them: on 127.0.0.1, to programs on this machine.

`/healthz` says that the process lives, `/readyz` whether every bot has had an answer of its platform within the last
minute and the service one of ours (503 when not, with who and why; `?bot=NAME` asks about one), `/metrics` is for
Prometheus. Web pages cannot use it: the `Host` must be a loopback name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from frontends.bots import metrics
from frontends.bots.member import Member
from frontends.bots.metrics import Lag

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
SHUTDOWN_SECONDS = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortTaken(Exception):
    """Nobody can listen there."""


class BotHealth(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    ready: bool
    heard_seconds: float | None
    """Since its platform last answered."""
    why: str = ""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    service: bool
    """Whether the service has told lately what can be ordered."""
    bots: dict[str, BotHealth]


@asynccontextmanager
async def serve(
    port: int, members: Mapping[str, Member], lag: Lag, service_answers: Callable[[], bool]
) -> AsyncIterator[str]:
    """The address, for as long as the block runs."""
    app = web.Application(middlewares=[_only_this_machine])

    async def healthz(request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(request: web.Request) -> web.Response:
        asked = request.query.get("bot")
        if asked is not None and asked not in members:
            return _json({"detail": f"There is no bot {asked!r} here."}, 404)
        found = readiness({n: m for n, m in members.items() if asked in (None, n)}, service_answers())
        return _json(found, 200 if found.ready else 503)

    async def told(request: web.Request) -> web.Response:
        return web.Response(text=metrics.text(list(members.values()), lag), content_type="text/plain")

    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", told)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await _listen(site, port)
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def readiness(members: Mapping[str, Member], service: bool) -> Readiness:
    bots = {
        name: BotHealth(state=member.state, ready=member.is_ready, heard_seconds=member.heard_seconds, why=member.why)
        for name, member in members.items()
    }
    return Readiness(ready=service and all(bot.ready for bot in bots.values()), service=service, bots=bots)


async def _listen(site: web.TCPSite, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        raise PortTaken(
            f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}). Choose another with --port (0 = any)."
        ) from error


@web.middleware
async def _only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A name of somebody else's that leads to 127.0.0.1 (DNS rebinding) is refused."""
    if request.host.rpartition(":")[0] not in LOOPBACK_HOSTS:
        return _json({"detail": "Ask for 127.0.0.1 by that name."}, 403)
    return await handler(request)


def _json(facts: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(facts), status=status, content_type="application/json")
