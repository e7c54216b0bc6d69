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
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from types import FrameType
from uuid import UUID

import psycopg
import structlog
import uvicorn
from litestar import Litestar
from litestar.datastructures import State

from control_plane import api, log, tracing
from control_plane.api import problems
from control_plane.api.cors import Preflights
from control_plane.api.document import document
from control_plane.api.edge import Edge
from control_plane.api.express import Express
from control_plane.api.protocol import Protocol
from control_plane.api.site import Site
from control_plane.care.export import Exports
from control_plane.conduct.judgement import Conduct
from control_plane.context import Context
from control_plane.database import Database
from control_plane.errors import Unavailable
from control_plane.events import tail
from control_plane.files.artifacts import Uploads
from control_plane.files.intake import Intake
from control_plane.files.provenance import Notes
from control_plane.gauges import Gauges
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
from control_plane.settings import ConfigurationError, Settings
from control_plane.signin.oauth import OAuth
from control_plane.signing import SigningKeys
from control_plane.store import open_store
from control_plane.store.disk import Disk
from control_plane.store.pulse import Pulse
from control_plane.sweeper import Sweeper
from control_plane.watch import channels
from control_plane.watch.watcher import Watcher
from control_plane.webhooks.courier import Courier
from control_plane.webhooks.relay import Relay
from control_plane.wire import systemd
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
            watcher = Watcher(database, settings, context.disk)
            sweeper = Sweeper(database, context.store, context.signing_keys, settings)
            courier = Courier(context)
            relay = Relay(database, courier.wake)
            running = [sweeper.run(), context.credentials.run_uses(), conduct.run(), courier.run(), relay.run()]
            running += [context.repetitions.run(), context.shelf.run(), watcher.run()]
            if tracing.is_on():
                running.append(tracing.run(database))
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
                await _tell_traces(database)
    finally:
        await database.close()


async def _tell_traces(database: Database) -> None:
    """What has ended until now, and what has gathered."""
    try:
        await tracing.tell_attempts(database)
    except (Unavailable, psycopg.Error) as error:
        logger.warning("traces.failed", error=type(error.__cause__ or error).__name__)
    await tracing.end()


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
        gauges=Gauges(database, dispatcher, disk),
        signing_keys=signing_keys,
        store=store,
        pulse=Pulse(store),
        thumbnails=Thumbnails(store, settings.data_dir / "spool"),
        uploads=Uploads(database, store, disk, settings.artifact_bytes_max),
        exports=Exports(database, store),
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

    Raises `ConfigurationError` when the policy or the addresses for notices cannot be used."""
    url = database_url or settings.database_url
    assert url is not None, "whoever starts us knows the address of the database"
    conduct = Conduct(settings.policy)
    channels.parse(settings.notify)

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

    def __init__(
        self, settings: Settings, database_url: str | None = None, notify: systemd.Notify = systemd.NOBODY
    ) -> None:
        self._app = create_app(settings, database_url, on_end=self._ended)
        self._notify = notify
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
        self._settings = settings
        self._tls = _tls(settings) if settings.tls_certificate is not None else None

    @property
    def context(self) -> Context:
        context: Context = self._app.state.context
        return context

    @property
    def port(self) -> int:
        """The port that is listened on, also when any free one was asked for."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def tls_port(self) -> int:
        """The same for https."""
        port: int = self.servers[1].sockets[0].getsockname()[1]
        return port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Programs on this machine come by http; with a certificate, others come by https at a port of its own."""
        await super().startup(sockets)
        if self._tls is not None:
            self.started = False
            self.servers.append(await self._listen_by_tls(self._tls))
            self.started = True

    async def _listen_by_tls(self, context: ssl.SSLContext) -> asyncio.Server:
        config, state, settings = self.config, self.lifespan.state, self._settings
        try:
            return await asyncio.get_running_loop().create_server(
                lambda: Protocol(config=config, server_state=self.server_state, app_state=state),
                host=settings.tls_host,
                port=settings.tls_port,
                ssl=context,
                backlog=BACKLOG,
            )
        except OSError as error:
            logger.error("tls.unavailable", host=settings.tls_host, port=settings.tls_port, reason=error.strerror)
            await self.lifespan.shutdown()
            raise SystemExit(EX_SOFTWARE) from error

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

    async def main_loop(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(self._notify.beat(lambda: f"answers at port {self.port}"))
            await super().main_loop()
            beat.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.context.dispatcher.close()
        await super().shutdown(sockets)


def _tls(settings: Settings) -> ssl.SSLContext:
    """Raises `ConfigurationError`."""
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None, "the settings were checked"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        raise ConfigurationError(
            f"TESSERA_TLS_CERTIFICATE ({settings.tls_certificate}) and TESSERA_TLS_KEY ({settings.tls_key}) cannot be"
            f" used: {error.strerror or error}."
        ) from error
    return context


def connections_max() -> int:
    """How many clients this process may serve at once; has the system allow as many as it will."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + FILES_RESERVED
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - FILES_RESERVED, allowed // 2)


def serve(settings: Settings, database_url: str | None = None, notify: systemd.Notify = systemd.NOBODY) -> None:
    """Runs the control plane until it is told to stop (SIGINT, SIGTERM). Raises `SystemExit` after a fault."""
    import uvloop  # not available on every system; the tests run on asyncio's own loop

    log.configure(settings.log_level, settings.log_format)
    server = Server(settings, database_url, notify)
    gc.freeze()  # what is there stays; young objects are looked through less often (an eighth of our time)
    gc.set_threshold(GC_THRESHOLD)
    uvloop.run(server.serve())
    if server.failed:
        raise SystemExit(EX_SOFTWARE)
