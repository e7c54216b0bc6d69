"""What this agent tells and obeys on its own machine.

The control socket in the state folder (0700) serves everything: whoever may open it owns the agent. The TCP
endpoint on 127.0.0.1 is off unless a port is set, and serves what changes nothing (`/health`, `/capabilities`,
`/metrics`) and `/run_job`, which tries one job on this machine without a control plane. Web pages cannot use it: the
`Host` must be a loopback name, and a job must come as application/json, which no foreign page may send.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp import web

from agent.capabilities import machine
from agent.client import agent_version
from agent.duty import Duty
from agent.engine import EngineError, Inventoried, Inventory
from agent.hours import until
from agent.slot import Slot
from agent.trial import try_job
from control_plane.wire.job import JobSpec
from control_plane.wire.worker import Capability

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
BODY_BYTES_MAX = 64 * 1024
SHUTDOWN_SECONDS = 1.0
HEALTHY_SILENCE_HEARTBEATS = 3.0
"""Without an answer for this many heartbeats /health says 503."""
SOCKET_PATH_BYTES_MAX = 100
"""The system allows 107; a longer path is reached through /proc/self/fd."""

GPU_BUSY = "gpu busy"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortTaken(Exception):
    """The local endpoint cannot listen where it should."""


class LeaseFacts(msgspec.Struct, kw_only=True):
    job_id: str
    attempt: int
    kind: str
    model: str
    stage: str
    progress: float


class SlotFacts(msgspec.Struct, kw_only=True):
    slot: int
    engine: str
    device: str
    ready: bool
    trouble: str | None
    """Why it is not ready, and what to do."""
    capabilities: list[Capability]
    leases: list[LeaseFacts]
    paused: str | None = None
    """Why this slot alone takes no work: `gpu busy`."""
    gpu: dict[str, float] = {}
    """What its GPU says of itself."""
    vram_gib: int = 0
    inventory: Inventory | None = None
    """What its engine has, for those who ask for capabilities."""


class Status(msgspec.Struct, kw_only=True):
    worker_id: str
    name: str
    url: str
    state: str
    """`working`, `waiting`, `paused` or `draining`."""
    paused_why: str | None
    """`owner`, `quiet hours` or `gpu busy`."""
    paused_until: datetime | None
    silent_seconds: float | None
    """Since the control plane last answered a heartbeat."""
    slots: list[SlotFacts]
    jobs: dict[str, int]
    """Since the start, by outcome."""
    idle_gap_count: int
    idle_gap_p50_seconds: float | None
    idle_gap_p95_seconds: float | None
    messages: list[str]
    resident_mib: float
    pid: int
    version: str = ""
    """Of the agent that runs."""


@asynccontextmanager
async def serve(duty: Duty) -> AsyncIterator[None]:
    """Answers on the control socket, and on 127.0.0.1 if a port is set, for as long as the context lasts."""
    runners = [web.AppRunner(_socket_app(duty), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)]
    if duty.settings.local_port:
        runners.append(web.AppRunner(_tcp_app(duty), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS))
    folder = os.open(duty.settings.dir, os.O_RDONLY | os.O_DIRECTORY)
    duty.settings.socket_file.unlink(missing_ok=True)
    try:
        for runner in runners:
            await runner.setup()
        await web.UnixSite(runners[0], socket_path(duty.settings.socket_file, folder)).start()
        duty.settings.socket_file.chmod(0o600)
        for runner in runners[1:]:
            await _listen(runner, duty.settings.local_port)
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
        duty.settings.socket_file.unlink(missing_ok=True)
        os.close(folder)


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        raise PortTaken(f"Port {port} of TESSERA_AGENT_LOCAL_PORT cannot be used: {error.strerror}.") from error


def socket_path(path: Path, folder: int) -> str:
    """A path short enough for a socket address; `folder` is an open descriptor of the socket's directory."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return str(path)
    return f"/proc/self/fd/{folder}/{path.name}"


def status(duty: Duty) -> Status:
    gap = duty.metrics.idle_gap
    enrolled = duty.enrolled
    return Status(
        worker_id=str(enrolled.worker_id) if enrolled else "",
        name=enrolled.name if enrolled else "",
        url=duty.client.url,
        state=_state(duty),
        paused_why=_paused_why(duty),
        paused_until=duty.pauses.current.until if duty.pauses.current else None,
        silent_seconds=duty.silent_seconds(),
        slots=[_slot_facts(slot) for slot in duty.slots],
        jobs=dict(duty.metrics.jobs),
        idle_gap_count=gap.count,
        idle_gap_p50_seconds=gap.quantile(0.5),
        idle_gap_p95_seconds=gap.quantile(0.95),
        messages=duty.messages,
        resident_mib=machine(duty.settings.dir).resident_mib,
        pid=os.getpid(),
        version=agent_version(),
    )


def _state(duty: Duty) -> str:
    if duty.leaving:
        return "draining"
    if not duty.accepting:
        return "paused"
    return "working" if duty.works() else "waiting"


def in_a_line(duty: Duty) -> str:
    """What it is at, for whoever looks at the service."""
    why = _paused_why(duty)
    return f"{_state(duty)}{f' ({why})' if why else ''}, {len(duty.works())} leases"


def _paused_why(duty: Duty) -> str | None:
    if duty.pauses.current is not None:
        return duty.pauses.current.reason
    return GPU_BUSY if all(slot.yielded for slot in duty.slots) else None


def _slot_facts(slot: Slot) -> SlotFacts:
    leases = [
        LeaseFacts(
            job_id=str(work.lease.job_id),
            attempt=work.lease.attempt,
            kind=work.lease.spec.kind,
            model=work.lease.spec.model,
            stage=work.stage,
            progress=work.progress.value if work.progress else 0.0,
        )
        for work in slot.works
    ]
    return SlotFacts(
        slot=slot.number,
        engine=slot.engine.name,
        device=slot.offer.device,
        ready=slot.ready,
        trouble=slot.trouble,
        capabilities=slot.offer.capabilities,
        leases=leases,
        paused=GPU_BUSY if slot.yielded else None,
        gpu=slot.gauges,
        vram_gib=slot.offer.vram_gib,
    )


async def _capable(slot: Slot) -> SlotFacts:
    found = await slot.engine.inventory() if isinstance(slot.engine, Inventoried) else None
    return msgspec.structs.replace(_slot_facts(slot), inventory=found)


def _socket_app(duty: Duty) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes([*_reading(duty), web.get("/status", _answers(lambda: status(duty)))])
    app.router.add_post("/pause", _pauses(duty))
    for verb, act in (("drain", lambda: duty.drain("owner")), ("resume", duty.resume)):
        app.router.add_post(f"/{verb}", _obeys(duty, act))
    return app


def _tcp_app(duty: Duty) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_only_this_machine])
    app.add_routes(_reading(duty))
    return app


def _reading(duty: Duty) -> list[web.RouteDef]:
    async def health(request: web.Request) -> web.Response:
        silent = duty.silent_seconds()
        heard = silent is not None and silent < HEALTHY_SILENCE_HEARTBEATS * duty.intervals.heartbeat
        healthy = heard and all(slot.ready for slot in duty.slots)
        return _json({"healthy": healthy, "silent_seconds": silent}, 200 if healthy else 503)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=duty.metrics.text(_gauges(duty)), content_type="text/plain")

    async def run_job(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _json({"code": "unsupported-media-type", "detail": "Send the job as application/json."}, 415)
        try:
            spec = msgspec.json.decode(await request.read(), type=JobSpec)
        except msgspec.DecodeError as error:
            return _json({"code": "invalid", "detail": str(error)}, 422)
        return await _try_job(duty, spec)

    async def capabilities(request: web.Request) -> web.Response:
        return _json([await _capable(slot) for slot in duty.slots])

    return [
        web.get("/health", health),
        web.get("/capabilities", capabilities),
        web.get("/metrics", metrics),
        web.post("/run_job", run_job),
    ]


async def _try_job(duty: Duty, spec: JobSpec) -> web.Response:
    slot = next((slot for slot in duty.slots if not slot.works and not slot.turn.locked()), None)
    if slot is None:
        return _json({"code": "busy", "detail": "Every engine is at work. Pause the agent, or try again later."}, 409)
    try:
        async with slot.turn, asyncio.timeout(duty.settings.run_seconds_max):
            await slot.ready_engine()
            return _json(await try_job(slot.engine, spec, duty.settings.trials_folder))
    except EngineError as error:
        return _json({"code": error.cause, "detail": error.message}, 502)
    except TimeoutError:
        return _json({"code": "timeout", "detail": "The run took too long and was stopped."}, 502)


def _answers(facts: Callable[[], object]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return _json(facts())

    return handler


def _obeys(duty: Duty, act: Callable[[], None]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        act()
        return _json(status(duty))

    return handler


def _pauses(duty: Duty) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        said = request.query.get("until")
        if said is None:
            duty.pause()
            return _json(status(duty))
        try:
            at, lasts = until(said, datetime.now(UTC), duty.settings.time_zone)
        except ValueError as error:
            return _json({"code": "invalid", "detail": f"The pause cannot end then: {error}."}, 422)
        duty.pause(at, lasts)
        return _json(status(duty))

    return handler


def _gauges(duty: Duty) -> dict[str, float]:
    return {
        "leases": len(duty.works()),
        "slots": len(duty.slots),
        "slots_ready": sum(slot.ready for slot in duty.slots),
        "accepting": float(duty.accepting),
        "silent_seconds": duty.silent_seconds() or 0.0,
        "resident_bytes": machine(duty.settings.dir).resident_mib * 1024**2,
    }


@web.middleware
async def _only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A name of somebody else's that leads to 127.0.0.1 (DNS rebinding) is refused."""
    if request.host.rpartition(":")[0] not in LOOPBACK_HOSTS:
        return _json({"code": "forbidden", "detail": "Ask for 127.0.0.1 by that name."}, 403)
    return await handler(request)


def _json(facts: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(facts), status=status, content_type="application/json")
