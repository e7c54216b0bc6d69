"""The courier: takes deliveries that are due, sends them, and writes down what each receiver answered.

Every attempt builds its message anew (the job as it is now, with addresses of files that are good for an hour), signs
it with the secrets in force, and goes out through `egress`. Many are on their way at once but few to the same receiver
(`deliveries.claim`), so one that is slow makes only itself wait. A process that dies leaves leases that end; one that
stops gives them back. At least once, then, with the same id each time.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import cached_property
from uuid import UUID

import aiohttp
import msgspec
import psycopg
import structlog
from msgspec.structs import replace

from control_plane import metrics, tracing
from control_plane.context import Context
from control_plane.errors import NotFound, TesseraError
from control_plane.jobs import desk
from control_plane.people.twins import is_test
from control_plane.sandbox import simulate
from control_plane.webhooks import deliveries, egress, envelope
from control_plane.webhooks.deliveries import Delivery, Outcome
from control_plane.wire.job import JobView
from control_plane.wire.webhook import WebhookMessage

SENDING_MAX = 200
"""Messages on their way at once from one process."""
CLAIM_MAX = 50
POLL_SECONDS = 1.0
"""How often a process looks by itself; it is woken by what it relays, and by a hint for tests and redeliveries."""
DATABASE_MAX = 2
"""Connections that messages may use at once; the others are for requests."""
GIVE_BACK_SECONDS = 2.0
SIMULATED_FAILURES = 2
TEST_MESSAGE = "This is a test of your webhook. Real messages have a job here."

log = structlog.get_logger()

_encode = msgspec.json.Encoder().encode


class Courier:
    """One per process; messages are sent in tasks of the process's group."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._database = context.database
        self._tasks = context.tasks
        self._allowed = context.settings.webhook_networks
        self._woken = asyncio.Event()
        self._turns = asyncio.Semaphore(DATABASE_MAX)
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        context.dispatcher.bus.on("webhook", lambda _: self.wake())

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """For ever; belongs to the task group of the process."""
        try:
            while True:
                self._woken.clear()
                try:
                    wait_seconds = await self.round()
                except (TesseraError, psycopg.Error) as error:
                    log.warning("courier.failed", error=type(error.__cause__ or error).__name__)
                    wait_seconds = POLL_SECONDS
                await self._rest(wait_seconds)
        finally:
            await self._give_back()

    async def round(self) -> float:
        """Sends out what is due and fits; seconds until the next look."""
        room = SENDING_MAX - len(self._sending)
        due_seconds = await self._database.one(deliveries.NEXT_DUE)
        metrics.webhook_oldest_due_seconds.set(max(0.0, due_seconds or 0.0))
        if due_seconds is None or room <= 0:
            return POLL_SECONDS
        if due_seconds < 0:
            return min(POLL_SECONDS, -due_seconds)
        claimed = await deliveries.claim(self._database, min(room, CLAIM_MAX))
        for delivery in claimed:
            self._sending[delivery.lease] = self._tasks.create_task(self._deliver(delivery))
        metrics.webhooks_sending.set(len(self._sending))
        return 0.0 if claimed else POLL_SECONDS

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _give_back(self) -> None:
        leases = list(self._sending)
        for task in list(self._sending.values()):
            task.cancel()
        if not leases:
            return
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._database.run(deliveries.GIVE_BACK, {"leases": leases})
        except (TimeoutError, TesseraError, psycopg.Error) as error:
            log.warning("courier.not_given_back", deliveries=len(leases), error=type(error).__name__)

    async def _deliver(self, delivery: Delivery) -> None:
        """One attempt and its record; what cannot be recorded is tried again when its lease ends."""
        try:
            outcome = await self._attempt(delivery)
            async with self._turns:
                disabled = await deliveries.record(self._database, delivery, outcome)
            _told(delivery, outcome, disabled)
        except (TesseraError, psycopg.Error) as error:
            log.warning("webhook.not_recorded", delivery_id=delivery.id, error=type(error.__cause__ or error).__name__)
        finally:
            del self._sending[delivery.lease]
            metrics.webhooks_sending.set(len(self._sending))
            self.wake()

    async def _attempt(self, delivery: Delivery) -> Outcome:
        """Raises `TesseraError` and psycopg's when the message itself cannot be made just now."""
        outcome = None
        facts: dict[str, tracing.Attribute] = {
            "delivery_id": str(delivery.id),
            "type": delivery.type,
            "attempt": delivery.attempts + 1,
        }
        span = tracing.begin_span("delivery", "CLIENT", delivery.traceparent, facts)
        try:
            outcome = await self._sent(delivery, tracing.inside(span, delivery.traceparent))
            return outcome
        finally:
            delivered = outcome is not None and outcome.state == "delivered"
            tracing.end_span(span, {"status": (outcome and outcome.status) or 0}, failed=not delivered)

    async def _sent(self, delivery: Delivery, traceparent: str | None) -> Outcome:
        started = time.monotonic()
        try:
            data = await self._data(delivery)
            if _is_to_fail(delivery, data):
                sentence = "A test key wanted this attempt to fail; nothing was sent."
                return failed(delivery, "simulated", sentence, time.monotonic() - started)
            body = _encode(WebhookMessage(type=delivery.type, timestamp=delivery.event_at, data=data))
            headers = envelope.headers(delivery.id, delivery.timestamp, body, delivery.keys)
            if traceparent is not None:
                headers["traceparent"] = traceparent
            route = await egress.route(egress.checked(delivery.url, self._allowed), self._allowed)
            answer = await egress.post(route, body, headers, self._tls)
        except NotFound as error:
            return Outcome(state="dead", error="no_job", excerpt=error.detail, seconds=time.monotonic() - started)
        except (TesseraError, psycopg.Error):
            raise
        except Exception as error:  # whatever a stranger's server makes a library do, it costs this attempt only
            return failed(delivery, *_cause(error), time.monotonic() - started)
        return judged(delivery, answer, time.monotonic() - started)

    async def _data(self, delivery: Delivery) -> JobView | dict[str, object]:
        """What is told: of a job, what its owner sees at this moment."""
        if delivery.job_id is None:
            return {"webhook_id": delivery.endpoint_id, "message": TEST_MESSAGE}
        async with self._turns:
            return await desk.view(self._context, delivery.user_id, delivery.job_id)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _is_to_fail(delivery: Delivery, data: JobView | dict[str, object]) -> bool:
    """Whether a test key wants to see how the retries go (`metadata.simulate`)."""
    wanted = isinstance(data, JobView) and data.metadata.get(simulate.KEY) == "failing_webhook"
    return wanted and is_test(delivery.user_id) and delivery.attempts < SIMULATED_FAILURES


def judged(delivery: Delivery, answer: egress.Answer, seconds: float) -> Outcome:
    """What an answer means: 2xx is delivered, 410 ends it, everything else (a redirect too) is a failure."""
    told = Outcome(state="delivered", status=answer.status, excerpt=answer.excerpt, seconds=seconds)
    if envelope.is_success(answer.status):
        return told
    if answer.status == envelope.GONE:
        return replace(told, state="dead", error="gone", gone=True)
    return replace(told, error="status", **_again(delivery, answer.retry_after))


def failed(delivery: Delivery, error: str, sentence: str, seconds: float) -> Outcome:
    """What no answer means."""
    told = Outcome(state="dead", error=error, excerpt=sentence, seconds=seconds)
    return replace(told, **_again(delivery, None))


def _again(delivery: Delivery, retry_after: str | None) -> dict[str, object]:
    wait_seconds = envelope.retry_seconds(delivery.step, retry_after)
    return {"state": "dead" if wait_seconds is None else "pending", "retry_seconds": wait_seconds}


def _cause(error: Exception) -> tuple[str, str]:
    """In a word and in a sentence; of what a library says, nothing is passed on."""
    match error:
        case egress.Refused():
            return error.code, str(error)
        case TimeoutError():
            return "timeout", f"No answer within {egress.TOTAL_SECONDS:.0f} s."
        case aiohttp.ClientSSLError():
            return "tls", "No trusted TLS connection could be made."
        case aiohttp.ClientResponseError():
            return "bad_answer", "The answer was no HTTP."
        case aiohttp.ClientError() | OSError():
            return "connection", "The connection could not be made, or broke."
        case _:
            log.error("webhook.failed", error=type(error).__name__)  # its text may repeat the address
            return "internal", "Something broke on our side."


def _told(delivery: Delivery, outcome: Outcome, disabled: str | None) -> None:
    verb = {"delivered": "delivered", "pending": "failed", "dead": "dead"}[outcome.state]
    metrics.webhook_deliveries.labels(verb).inc()
    facts = {
        "delivery_id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "attempt": delivery.attempts + 1,
        "status": outcome.status,
        "error": outcome.error,
    }
    if outcome.state == "delivered":
        log.debug("webhook.delivered", **facts)
    else:
        log.info("webhook.given_up" if outcome.state == "dead" else "webhook.postponed", **facts)
    if disabled is not None:
        log.warning("webhook.disabled", webhook_id=delivery.endpoint_id, reason=disabled)
