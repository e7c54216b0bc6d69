"""What is counted, declared in one place and shown at /metrics in the format of Prometheus.

Names are `tessera_<noun>_<verb or unit>`; labels are few and never invented by a client. Series of requests are
looked up once and kept, since finding a child by its labels costs more than counting.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

MEDIA_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

registry = CollectorRegistry(auto_describe=True)

requests = Counter("tessera_requests", "Requests answered.", ("method", "path", "status"), registry=registry)
request_seconds = Histogram(
    "tessera_request_seconds",
    "From the first byte of a request to the last of its answer.",
    ("method", "path"),
    buckets=SECONDS,
    registry=registry,
)
jobs_submitted = Counter("tessera_jobs_submitted", "Orders that became jobs.", registry=registry)
jobs_claimed = Counter("tessera_jobs_claimed", "Leases given, those taken over included.", registry=registry)
jobs_taken_over = Counter("tessera_jobs_taken_over", "Waiting leases that an idle slot took over.", registry=registry)
jobs_completed = Counter("tessera_jobs_completed", "Completions accepted.", ("state",), registry=registry)
jobs_failed = Counter("tessera_jobs_failed", "Failed runs reported.", ("cause",), registry=registry)
jobs_released = Counter("tessera_jobs_released", "Leases given back unharmed.", registry=registry)
jobs_reaped = Counter("tessera_jobs_reaped", "Expired leases taken back.", ("phase",), registry=registry)
jobs_canceled = Counter("tessera_jobs_canceled", "Cancellations accepted.", registry=registry)
jobs_expired = Counter("tessera_jobs_expired", "Jobs that did not start within their max_wait.", registry=registry)
energy_joules = Counter(
    "tessera_energy_joules", "What runs took from GPUs, as far as agents could measure it.", registry=registry
)
sandbox_jobs = Counter("tessera_sandbox_jobs", "Jobs of test keys that ended here.", ("state",), registry=registry)
orders_moderated = Counter(
    "tessera_orders_moderated", "Orders refused by the rules of conduct.", ("category",), registry=registry
)
reports_filed = Counter("tessera_reports_filed", "Complaints taken down.", ("category",), registry=registry)
policy_version = Gauge("tessera_policy_version", "Version of the rules of conduct in force.", registry=registry)
policy_usable = Gauge(
    "tessera_policy_usable", "Whether the policy file could be used when it changed last.", registry=registry
)
requests_held = Gauge(
    "tessera_requests_held", "Streams and long polls of customers that this process holds open.", registry=registry
)
claims_waiting = Gauge("tessera_claims_waiting", "Agents that wait for work in this process.", registry=registry)
database_up = Gauge("tessera_database_up", "Whether the database answered this scrape.", registry=registry)

ledger_violations = Gauge(
    "tessera_ledger_violations", "Disagreements of the books, by the law that they break.", ("law",), registry=registry
)

etas_judged = Counter(
    "tessera_eta_judged", "Promises whose time has come, of jobs that succeeded or still go on.", registry=registry
)
eta_p50_hits = Counter("tessera_eta_p50_hits", "Of these, done within the median that was told.", registry=registry)
eta_p90_hits = Counter("tessera_eta_p90_hits", "Of these, done within the p90: nine of ten.", registry=registry)

webhook_deliveries = Counter(
    "tessera_webhook_deliveries",
    "Attempts to deliver a message: delivered, failed (and tried again later), dead.",
    ("outcome",),
    registry=registry,
)
webhook_oldest_due_seconds = Gauge(
    "tessera_webhook_oldest_due_seconds", "For how long the oldest message has been due.", registry=registry
)
webhooks_sending = Gauge("tessera_webhooks_sending", "Messages on their way from this process.", registry=registry)

_LANE = ("kind", "model", "vram_gib", "task")
lane_jobs_waiting = Gauge(
    "tessera_lane_jobs_waiting", "Jobs in line, counted up to a thousand.", _LANE, registry=registry
)
lane_tokens_running = Gauge("tessera_lane_tokens_running", "Tokens of the jobs that run.", _LANE, registry=registry)
lane_slots = Gauge("tessera_lane_slots", "Live slots that serve the lane.", _LANE, registry=registry)
lane_slots_draining = Gauge(
    "tessera_lane_slots_draining", "Slots that finish what they hold and claim no more.", _LANE, registry=registry
)


_SLOT = ("worker", "slot")
slot_gauges = {
    name: Gauge(f"tessera_slot_{name}", text, _SLOT, registry=registry)
    for name, text in (
        ("power_watts", "What the GPU of a live slot draws."),
        ("temperature_celsius", "How warm it is."),
        ("utilisation_percent", "How much of the time it is at work."),
        ("vram_used_gib", "How much of its memory is taken, by whomever."),
        ("vram_total_gib", "How much memory it has."),
        ("yielded", "Whether the slot takes no work because somebody else uses the GPU."),
    )
}
"""What agents say of their GPUs, by our own names: no gauge is made because some agent sends it."""


@cache
def _answered(method: str, path: str, status: int) -> Counter:
    return requests.labels(method, path, str(status))


@cache
def _took(method: str, path: str) -> Histogram:
    return request_seconds.labels(method, path)


def request_finished(method: str, path: str, status: int, seconds: float) -> None:
    _answered(method, path, status).inc()
    _took(method, path).observe(seconds)


def exposition() -> bytes:
    return generate_latest(registry)
