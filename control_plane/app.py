"""The composition root: settings in, a running control plane out. The only module that knows everyone.

Everything that lives as long as the process is opened here, in one task group: if a loop of it dies, the process
ends, rather than serving on as half of itself. Stopping goes from the outside in: no new connections, held polls
answered, requests finished, loops ended, pool closed.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from types import FrameType
from uuid import UUID

import structlog
import uvicorn
from litestar import Litestar
from litestar.datastructures import State

from control_plane import api, log
from control_plane.api import problems
from control_plane.api.cors import Preflights
from control_plane.api.document import document
from control_plane.api.edge import Edge
from control_plane.api.express import Express
from control_plane.api.protocol import Protocol
from control_plane.api.site import Site
from control_plane.conduct.judgement import Conduct
from control_plane.context import Context
from control_plane.database import Database
from control_plane.events import tail
from control_plane.files.artifacts import Uploads
from control_plane.files.intake import Intake
from control_plane.files.provenance import Notes
from control_plane.media.thumbnails import Thumbnails
from control_plane.money.rates import Reads
from control_plane.notify import RESYNC
from control_plane.orders.idempotency import Repetitions
from control_plane.orders.models import Catalogue
from control_plane.orders.shelf import Shelf
from control_plane.people.credentials import Credentials
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.looks import Looks
from control_plane.queue.waiting import Lines
from control_plane.sandbox.runner import Sandbox
from control_plane.settings import Settings
from control_plane.signin.oauth import OAuth
from control_plane.signing import SigningKeys
from control_plane.store import open_store
from control_plane.store.disk import Disk
from control_plane.sweeper import Sweeper
from control_plane.webhooks.courier import Courier
from control_plane.webhooks.relay import Relay
from control_plane.workers.slots import LIVE_SECONDS

STOP_SECONDS = 10
"""How long requests may still take when the process is asked to stop."""
KEEP_ALIVE_SECONDS = 75
"""Longer than the pauses of an agent and than the idle time of common proxies, so that they close first."""
CONNECTIONS_MAX = 10_000
"""Where the system allows as many open files; many allow 1,024 until they are asked, which 400 agents would use up."""
FILES_RESERVED = 512
"""Open files that are no connections of clients: uploads, downloads, the database, libraries."""
BACKLOG = 2_048
GC_THRESHOLD = 20_000
EX_SOFTWARE = 70
"""sysexits(3): a fault of our own."""

logger = structlog.get_logger()


@asynccontextmanager
async def running(settings: Settings, database_url: str, conduct: Conduct) -> AsyncIterator[Context]:
    """Everything that lives as long as the process; inside, the loops run."""
    database = Database(database_url, size=settings.pool_size)
    await database.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            context = _context(settings, database, conduct, tasks)
            await context.signing_keys.load(database)
            _listen(context)
            await tail.begin(database)
            await context.dispatcher.start()
            await context.shelf.look()
            sweeper = Sweeper(database, context.store, context.signing_keys, settings)
            courier = Courier(context)
            relay = Relay(database, courier.wake)
            running = [sweeper.run(), context.credentials.run_uses(), conduct.run(), courier.run(), relay.run()]
            running += [context.repetitions.run(), context.shelf.run()]
            if settings.sandbox:
                running.append(Sandbox(context.dispatcher, context.store, context.uploads, context.provenance).run())
            loops = [tasks.create_task(loop) for loop in running]
            try:
                yield context
            finally:
                for loop in loops:
                    loop.cancel()
                await context.credentials.write_uses()
                await context.repetitions.write()
                await context.dispatcher.stop()
    finally:
        await database.close()


def _context(settings: Settings, database: Database, conduct: Conduct, tasks: asyncio.TaskGroup) -> Context:
    disk, store, signing_keys = Disk(settings), open_store(settings), SigningKeys()
    dispatcher = Dispatcher(database, settings, tasks)
    shelf = Shelf(database, settings.workflows_folder, dispatcher.board.refresh)
    return Context(
        settings=settings,
        database=database,
        dispatcher=dispatcher,
        looks=Looks(database, tasks),
        credentials=Credentials(database),
        repetitions=Repetitions(database),
        reads=Reads(),
        conduct=conduct,
        shelf=shelf,
        catalogue=Catalogue(database, LIVE_SECONDS, shelf),
        lines=Lines(database, LIVE_SECONDS),
        disk=disk,
        signing_keys=signing_keys,
        store=store,
        thumbnails=Thumbnails(store, settings.data_dir / "spool"),
        uploads=Uploads(database, store, disk, settings.artifact_bytes_max),
        intake=Intake(database, store, disk, conduct, settings.data_dir / "scratch"),
        provenance=Notes(database, tasks),
        oauth=OAuth(signing_keys.now),
        tasks=tasks,
    )


def _listen(context: Context) -> None:
    """What other processes announce about credentials, users and plans is forgotten here."""
    context.dispatcher.bus.on("credential", lambda words: context.credentials.forget(words[0]))
    context.dispatcher.bus.on("user", lambda words: context.credentials.forget_user(UUID(words[0])))
    for everything in ("plans", RESYNC):
        context.dispatcher.bus.on(everything, lambda _: context.credentials.forget_all())


def create_app(
    settings: Settings, database_url: str | None = None, on_end: Callable[[bool], None] = lambda _: None
) -> Litestar:
    """The application. `on_end` is called when its inside has ended: with True as it should, with False by a fault.

    Raises `ConfigurationError` when the policy cannot be used."""
    url = database_url or settings.database_url
    assert url is not None, "whoever starts us knows the address of the database"
    conduct = Conduct(settings.policy)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        well = False
        try:
            async with running(settings, url, conduct) as context:
                app.state.context = context
                yield
            well = True
        except Exception:
            logger.exception("control_plane.failed")
            raise
        finally:
            on_end(well)

    handlers = api.handlers()
    app = Litestar(
        handlers,
        lifespan=[lifespan],
        exception_handlers={Exception: problems.handle},
        state=State({"settings": settings, "operations": api.operations()}, deep_copy=False),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # `decoding.read` and uploads have limits of their own
    )

    async def origins() -> Collection[str]:
        context: Context = app.state.context
        return await context.credentials.origins()

    inner = Preflights(Express(app.asgi_handler, handlers), origins)
    app.asgi_handler = Edge(Site(inner, settings), settings.request_seconds, api.operations())
    return app


def openapi(settings: Settings) -> dict[str, object]:
    """The API document, without a running service."""
    return document(api.operations(), settings.base_url)


class Server(uvicorn.Server):
    """uvicorn, except that held polls are answered before it waits for requests to finish."""

    def __init__(self, settings: Settings, database_url: str | None = None) -> None:
        self._app = create_app(settings, database_url, on_end=self._ended)
        self.failed = False
        super().__init__(
            uvicorn.Config(
                self._app,
                host=settings.host,
                port=settings.port,
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # forwarded headers count from trusted proxies only; see api.guards
                backlog=BACKLOG,
                limit_concurrency=connections_max(),
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    @property
    def context(self) -> Context:
        context: Context = self._app.state.context
        return context

    @property
    def port(self) -> int:
        """The port that is listened on, also when any free one was asked for."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """Ask it to end in order."""
        self.should_exit = True

    def _ended(self, well: bool) -> None:
        self.failed = not well
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT or SIGTERM once ends it in order, twice at once; neither is passed on to the shell as a crash."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.context.dispatcher.close()
        await super().shutdown(sockets)


def connections_max() -> int:
    """How many clients this process may serve at once; has the system allow as many as it will."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + FILES_RESERVED
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - FILES_RESERVED, allowed // 2)


def serve(settings: Settings, database_url: str | None = None) -> None:
    """Runs the control plane until it is told to stop (SIGINT, SIGTERM). Raises `SystemExit` after a fault."""
    import uvloop  # not available on every system; the tests run on asyncio's own loop

    log.configure(settings.log_level, settings.log_format)
    server = Server(settings, database_url)
    gc.freeze()  # what is there stays; young objects are looked through less often (an eighth of our time)
    gc.set_threshold(GC_THRESHOLD)
    uvloop.run(server.serve())
    if server.failed:
        raise SystemExit(EX_SOFTWARE)
