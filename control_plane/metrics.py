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
waiting_claims = Gauge("tessera_claims_waiting", "Agents that wait for work in this process.", registry=registry)
batch_calls = Gauge("tessera_coalesced_calls", "Calls that went to the database.", ("statement",), registry=registry)
batches = Gauge("tessera_coalesced_batches", "Statements in which they went.", ("statement",), registry=registry)
database_up = Gauge(
    "tessera_database_up", "Whether the database answered the last time it was asked.", registry=registry
)


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
