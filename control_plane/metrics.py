"""What is counted, declared in one place and shown at /metrics in the format of Prometheus.

Names are `tessera_<noun>_<verb or unit>`; labels are few and never invented by a client. Series of requests and runs
are looked up once and kept, since finding a child by its labels costs more than counting. Counters and histograms are
this process's own and add up over control planes; gauges read from the database are the same in all of them.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

MEDIA_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LONG_SECONDS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400)
"""Of waits and runs: from a hand-over on an idle system to a film."""

registry = CollectorRegistry(auto_describe=True)

build = Gauge("tessera_build", "Always 1; the label says which version answers.", ("version",), registry=registry)
try:
    build.labels(version("tessera")).set(1)
except PackageNotFoundError:
    build.labels("unknown").set(1)

requests = Counter("tessera_requests", "Requests answered.", ("method", "path", "status"), registry=registry)
request_seconds = Histogram(
    "tessera_request_seconds",
    "From the first byte of a request to the last of its answer.",
    ("method", "path"),
    buckets=SECONDS,
    registry=registry,
)
jobs_submitted = Counter("tessera_jobs_submitted", "Orders that became jobs.", registry=registry)
job_wait_seconds = Histogram(
    "tessera_job_wait_seconds",
    "From an order to its first lease.",
    ("kind", "model"),
    buckets=LONG_SECONDS,
    registry=registry,
)
job_run_seconds = Histogram(
    "tessera_job_run_seconds",
    "From the start of a run to its accepted completion.",
    ("kind", "model"),
    buckets=LONG_SECONDS,
    registry=registry,
)
claim_seconds = Histogram(
    "tessera_claim_seconds", "What a look for work takes, successful or not.", buckets=SECONDS, registry=registry
)
wake_seconds = Histogram(
    "tessera_wake_seconds",
    "From the moment an agent that waits is woken to what its look has found.",
    buckets=SECONDS,
    registry=registry,
)
jobs_claimed = Counter("tessera_jobs_claimed", "Leases given, those taken over included.", registry=registry)
jobs_taken_over = Counter("tessera_jobs_taken_over", "Waiting leases that an idle slot took over.", registry=registry)
jobs_completed = Counter("tessera_jobs_completed", "Completions accepted.", ("state",), registry=registry)
jobs_failed = Counter("tessera_jobs_failed", "Failed runs reported.", ("cause",), registry=registry)
jobs_retried = Counter(
    "tessera_jobs_retried",
    "Jobs that go on after a failed run, by its cause, or after a loss.",
    ("cause",),
    registry=registry,
)
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

pool_connections = Gauge(
    "tessera_pool_connections", "Database connections of this process: lent or idle.", ("state",), registry=registry
)
pool_connections_max = Gauge(
    "tessera_pool_connections_max", "How many this process may have (TESSERA_POOL_SIZE).", registry=registry
)
pool_requests_waiting = Gauge(
    "tessera_pool_requests_waiting", "Statements that wait for a connection now.", registry=registry
)
pool_waits = Counter("tessera_pool_waits", "Statements that had to wait for a connection.", registry=registry)
pool_failures = Counter("tessera_pool_failures", "Statements that got no connection in time.", registry=registry)
listener_probe_seconds = Gauge(
    "tessera_listener_probe_seconds",
    "How long ago the listening connection last heard its own probe; 0 where nobody listens.",
    registry=registry,
)
disk_free_bytes = Gauge(
    "tessera_disk_free_bytes", "Room where data and artifacts lie, in the fuller of the two.", registry=registry
)
disk_low = Gauge(
    "tessera_disk_low", "Whether less than the reserve is free, so that nothing new is accepted.", registry=registry
)
disk_bytes = Gauge("tessera_disk_bytes", "How large that place is.", registry=registry)

backup_age_seconds = Gauge(
    "tessera_backup_age_seconds",
    "Age of the last good backup; while there has been none, of the service.",
    registry=registry,
)
certificate_ends = Gauge(
    "tessera_certificate_ends_timestamp_seconds",
    "When the certificate of the public address ends, as browsers meet it; 0 where they would not trust it.",
    ("host",),
    registry=registry,
)

workers = Gauge(
    "tessera_workers",
    "Enrolled workers: live, or gone (not heard of for a minute, but within a day).",
    ("state",),
    registry=registry,
)
jobs_backing_off = Gauge("tessera_jobs_backing_off", "Failed jobs that wait for their next try.", registry=registry)
oldest_expired_lease_seconds = Gauge(
    "tessera_oldest_expired_lease_seconds",
    "For how long the lease has been over that should have been taken back first; 0 when none is.",
    registry=registry,
)
oldest_transaction_seconds = Gauge(
    "tessera_oldest_transaction_seconds",
    "Age of the oldest transaction in the database, as far as it shows them to us.",
    registry=registry,
)
webhooks_due = Gauge(
    "tessera_webhooks_due", "Messages that are due and not delivered, counted up to ten thousand.", registry=registry
)
reports_open = Gauge("tessera_reports_open", "Complaints that nobody has decided yet.", registry=registry)
tokens_held = Gauge("tessera_tokens_held", "Tokens held for jobs that are not over.", registry=registry)
tokens_settled = Gauge(
    "tessera_tokens_settled",
    "What became of the tokens of jobs ordered in the last 24 hours that are over: charge or return.",
    ("kind",),
    registry=registry,
)
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
lane_gauges = {
    name: Gauge(f"tessera_lane_{name}", text, _LANE, registry=registry)
    for name, text in (
        ("jobs_waiting", "Jobs in line, counted up to ten thousand."),
        ("users_waiting", "How many users' jobs these are."),
        ("oldest_seconds", "For how long the oldest of them has been waiting."),
        ("turn_spread", "How far apart the next turns of these users are, in tokens by weight: small when it is fair."),
        ("jobs_running", "Leases of the lane, offered and held ones included."),
        ("tokens_running", "Tokens of these jobs."),
        ("slots", "Live slots that take jobs of the lane."),
        ("slots_draining", "Slots that finish what they hold and claim no more."),
        ("slots_quarantined", "Slots that are not trusted until they have proven themselves."),
    )
}

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
        ("idle_gap_p50_seconds", "How long its worker's engines of late stood still between two runs: the median."),
        ("idle_gap_p95_seconds", "The same: nineteen of twenty gaps were shorter."),
    )
}
"""What agents say of their slots, by our own names: no gauge is made because some agent sends it."""


@cache
def _answered(method: str, path: str, status: int) -> Counter:
    return requests.labels(method, path, str(status))


@cache
def _took(method: str, path: str) -> Histogram:
    return request_seconds.labels(method, path)


@cache
def _waited(kind: str, model: str) -> Histogram:
    return job_wait_seconds.labels(kind, model)


@cache
def _ran(kind: str, model: str) -> Histogram:
    return job_run_seconds.labels(kind, model)


def job_leased(kind: str, model: str, wait_seconds: float) -> None:
    """A job got its first lease."""
    _waited(kind, model).observe(wait_seconds)


def job_ran(kind: str, model: str, run_seconds: float) -> None:
    """A run has succeeded."""
    _ran(kind, model).observe(run_seconds)


def request_finished(method: str, path: str, status: int, seconds: float) -> None:
    _answered(method, path, status).inc()
    _took(method, path).observe(seconds)


def exposition() -> bytes:
    return generate_latest(registry)
