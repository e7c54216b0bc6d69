"""Traces: which order a request, an attempt and a delivery belong to, and telling a collector of them.

An order may come with a W3C `traceparent`. It is stored in the spec of the job, goes to the agent with the lease, comes
back with all that the agent reports, and goes out with webhooks, whether or not anybody collects traces. Spans are made
when the environment names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`): one for a request, an attempt and a delivery. An
attempt's is made afterwards from its row, by the database's clock, since several processes see parts of it and agents'
clocks are wrong. Without a collector every function here is one branch; the library is imported only with one.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

import msgspec
import psycopg
import structlog

from control_plane.database import Database, Query
from control_plane.errors import Unavailable

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of the environment, any of which says where a collector takes spans (OTLP by HTTP)."""
ENDED_MAX = 10_000
"""Attempts that are still to be told; more are forgotten, the oldest first."""
BATCH = 500
LOOK_SECONDS = 1.0
FLUSH_SECONDS = 5.0
"""For what is still to be sent when the process ends."""

Attribute: TypeAlias = str | int | float
Kind = Literal["SERVER", "CLIENT", "INTERNAL"]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LENGTH_MAX = 128

log = structlog.get_logger()


class EndedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    number: int
    offered_at: datetime
    started_at: datetime | None
    ended_at: datetime
    outcome: str
    cause: str | None
    slot: int
    worker: str
    kind: str
    model: str
    waited_seconds: float
    traceparent: str | None


ATTEMPTS = Query("tracing.attempts", EndedAttempt)


class NoLibrary(Exception):
    """A collector is named, but nothing here can talk to it."""


class _Collector:
    """Spans on their way: they are gathered and sent by a thread of the library."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource({"service.name": "tessera"}).merge(OTELResourceDetector().detect())
        self.provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer: Tracer = self.provider.get_tracer("tessera")
        self.ended: deque[tuple[UUID, int]] = deque(maxlen=ENDED_MAX)


_collector: _Collector | None = None


def begin(environ: Mapping[str, str]) -> None:
    """Collect from now on, if the environment says where to. Raises `NoLibrary`."""
    global _collector  # noqa: PLW0603  # one per process, like the registry of metrics
    if _collector is not None or not any(environ.get(name) for name in COLLECTORS):
        return
    try:
        _collector = _Collector()
    except ImportError as error:
        raise NoLibrary(
            "OTEL_EXPORTER_OTLP_ENDPOINT names a collector, but the libraries that talk to it are missing. Install"
            " opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http (the extra `traces`), or unset the variable."
        ) from error
    log.info("traces.begun")


async def end() -> None:
    """Send what is still here, for a short while, and collect no more."""
    global _collector  # noqa: PLW0603
    if (collector := _collector) is None:
        return
    _collector = None
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await asyncio.to_thread(collector.provider.shutdown)
    except TimeoutError:
        log.warning("traces.not_sent")


def is_on() -> bool:
    return _collector is not None


def accepted(header: bytes | None) -> str | None:
    """A `traceparent` as it came, in the version that we speak; None when there is none or it is malformed, which
    the standard wants ignored."""
    if header is None or len(header) > _LENGTH_MAX:
        return None
    found = _TRACEPARENT.fullmatch(header.decode("latin-1").strip())
    if found is None or (header[:2] == b"00" and found[4]):
        return None
    return f"00-{found[1]}-{found[2]}-{found[3]}"


def begin_span(name: str, kind: Kind, traceparent: str | None, attributes: Mapping[str, Attribute]) -> Span | None:
    """A span below that of `traceparent`, from now on; None when nobody collects."""
    if _collector is None:
        return None
    from opentelemetry.trace import SpanKind

    return _collector.tracer.start_span(name, _context(traceparent), SpanKind[kind], _named(attributes))


def end_span(span: Span | None, attributes: Mapping[str, Attribute], *, failed: bool, name: str | None = None) -> None:
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    if name is not None:
        span.update_name(name)
    span.set_attributes(_named(attributes))
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end()


def inside(span: Span | None, traceparent: str | None) -> str | None:
    """The `traceparent` for whatever belongs into the span; without one, what came in."""
    if span is None:
        return traceparent
    found = span.get_span_context()
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}" if found.is_valid else traceparent


def attempt_ended(job_id: UUID, number: int) -> None:
    """Remember to tell of this attempt."""
    if _collector is not None:
        _collector.ended.append((job_id, number))


async def run(database: Database) -> None:
    """Tells of attempts that have ended, a moment later; for ever."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await tell_attempts(database)
        except (Unavailable, psycopg.Error) as error:
            log.warning("traces.failed", error=type(error.__cause__ or error).__name__)


async def tell_attempts(database: Database) -> None:
    """Raises `Unavailable`; what could not be looked up is forgotten."""
    while (collector := _collector) is not None and collector.ended:
        pairs = [collector.ended.popleft() for _ in range(min(BATCH, len(collector.ended)))]
        numbered = {"job_id": [job_id for job_id, _ in pairs], "number": [number for _, number in pairs]}
        for attempt in await database.many(ATTEMPTS, numbered):
            _tell(collector.tracer, attempt)


def _tell(tracer: Tracer, attempt: EndedAttempt) -> None:
    from opentelemetry.trace import SpanKind, StatusCode

    facts: dict[str, Attribute] = {
        "job_id": str(attempt.job_id),
        "attempt": attempt.number,
        "worker": attempt.worker,
        "slot": attempt.slot,
        "kind": attempt.kind,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "waited_seconds": attempt.waited_seconds,
    }
    if attempt.cause is not None:
        facts["cause"] = attempt.cause
    span = tracer.start_span(
        "attempt",
        _context(attempt.traceparent),
        SpanKind.INTERNAL,
        _named(facts),
        start_time=_nanoseconds(attempt.offered_at),
    )
    if attempt.started_at is not None:
        span.add_event("started", timestamp=_nanoseconds(attempt.started_at))
    if attempt.outcome in ("failed", "lost"):
        span.set_status(StatusCode.ERROR)
    span.end(_nanoseconds(attempt.ended_at))


def _context(traceparent: str | None) -> Context:
    """Explicitly empty without a parent: whatever the task at hand is in has nothing to do with it."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent} if traceparent is not None else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """By our own names under `tessera.`, by the standard's (`http_…`) as it writes them."""
    return {
        name.replace("_", ".", 2) if name.startswith("http_") else f"tessera.{name}": value
        for name, value in attributes.items()
    }


def _nanoseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000) * 1_000
