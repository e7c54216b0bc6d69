"""A trace goes with an order from its submit to the agent and to webhooks, and a collector is told of it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from control_plane import tracing
from tests.fixtures.api import API, Plane
from tests.fixtures.collector import collecting
from tests.fixtures.receiver import Receiver
from tests.fixtures.services import Services
from tests.fixtures.webhooks import LOCAL, Hooks
from tests.fixtures.worker import attempt, picture, serving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAME = f"00-{TRACE}-{SPAN}-01"
ORDER = {"prompt": 'a "traceparent": lighthouse', "width": 64, "height": 64, "steps": 1}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (CAME, CAME),
        (f" {CAME} ", CAME),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", CAME),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (CAME.upper(), None),
        (f"00-{TRACE}-{SPAN}", None),
        ("x" * 1_000, None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(header: str, found: str | None) -> None:
    assert tracing.accepted(header.encode()) == found


async def test_without_a_collector_a_trace_still_goes_from_the_order_to_the_agent_and_the_webhook(
    hooked_plane: Plane, receiver: Receiver
) -> None:
    assert not tracing.is_on()
    plane, hands, key = hooked_plane, hooked_plane.service.hands, hooked_plane.service.key
    await Hooks(plane).add(receiver.url, events=["job.succeeded"])
    traced = await plane.call("POST", f"{API}/jobs", key, ORDER, headers={"traceparent": CAME})
    [lease] = await hands.claim(wait=5)
    assert (str(lease.job_id), lease.traceparent) == (traced.json["id"], CAME)
    assert lease.spec.prompt == ORDER["prompt"]
    assert (await hands.release(lease)).status == 200
    [again] = await hands.claim(wait=5)
    assert (again.attempt, again.traceparent) == (2, CAME), "the job keeps it"
    await hands.start(again)
    await hands.upload(again, picture())
    assert (await hands.complete(again)).status == 200
    [message] = await receiver.after(1)
    assert message.headers["traceparent"] == CAME
    both = {"jobs": [ORDER, ORDER]}
    assert (await plane.call("POST", f"{API}/jobs/batch", key, both, headers={"traceparent": CAME})).status == 201
    for _ in range(2):
        [lease] = await hands.claim(wait=5)
        assert lease.traceparent == CAME
        assert (await hands.call(f"{attempt(lease)}/fail", {"cause": "invalid_input"}, token=lease.token)).status == 200
    assert (await plane.call("POST", f"{API}/jobs", key, ORDER, headers={"traceparent": "nonsense"})).status == 201
    [plain] = await hands.claim(wait=5)
    assert plain.traceparent is None


async def test_a_collector_is_told_of_the_request_the_attempts_and_the_delivery_in_one_trace(
    database_url: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "the-house")
        tracing.begin({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        async with serving(database_url, tmp_path, webhook_networks=LOCAL) as service:
            plane = Plane(service, service.user_id, "")
            await Hooks(plane).add(receiver.url, events=["job.succeeded"])
            headers = {"traceparent": CAME}
            assert (await plane.call("POST", f"{API}/jobs", service.key, ORDER, headers=headers)).status == 201
            [failing] = await service.hands.claim(wait=5)
            assert failing.traceparent is not None
            assert failing.traceparent[3:35] == TRACE
            assert failing.traceparent[36:52] != SPAN, "below the request, not beside it"
            released = f"{attempt(failing)}/release"
            told = {"Tessera-Lease-Token": str(failing.token), "traceparent": failing.traceparent}
            assert (await service.hands.request("POST", released, told, b'{"reason": "drain"}')).status == 200
            [lease] = await service.hands.claim(wait=5)
            await service.hands.start(lease)
            await service.hands.upload(lease, picture())
            assert (await service.hands.complete(lease)).status == 200
            [message] = await receiver.after(1)
            assert (await plane.call("GET", f"{API}/jobs/{lease.job_id}", service.key)).status == 200
    assert not tracing.is_on(), "it ends with the service"
    assert collector.services == {"the-house"}
    [request] = collector.named(f"POST {API}/jobs")
    assert (request.trace_id, request.parent_id, request.failed) == (TRACE, SPAN, False)
    assert request.attributes["http.response.status_code"] == 201
    assert failing.traceparent == f"00-{TRACE}-{request.span_id}-01"
    [delivery] = collector.named("delivery")
    first, second = sorted(collector.named("attempt"), key=lambda span: span.attributes["tessera.attempt"])
    for span in (first, second, delivery):
        assert (span.trace_id, span.parent_id) == (TRACE, request.span_id)
    assert (first.attributes["tessera.outcome"], first.events) == ("released", [])
    assert (second.attributes["tessera.outcome"], second.events) == ("succeeded", ["started"])
    assert second.attributes["tessera.job_id"] == str(lease.job_id)
    assert 0 <= second.seconds < 20
    assert abs(second.began - request.began) < 20
    assert message.headers["traceparent"] == f"00-{TRACE}-{delivery.span_id}-01"
    assert delivery.attributes["tessera.status"] == 200
    [report] = collector.named(f"POST {API}/worker/jobs/{{job_id:uuid}}/attempts/{{attempt:int}}/release")
    assert report.trace_id == TRACE, "what an agent reports within a trace belongs to it"
    assert collector.named(f"GET {API}/jobs/{{job_id:uuid}}")[0].trace_id != TRACE
    assert not collector.named(f"POST {API}/worker/claim"), "agents ask all the time"
    assert "lighthouse" not in str(collector.spans), "nothing that a person typed"


def test_a_collector_without_its_libraries_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(tracing.NoLibrary, match="opentelemetry-exporter-otlp-proto-http"):
        tracing.begin({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"})
    assert not tracing.is_on()


async def test_a_control_plane_as_an_operator_starts_it_tells_the_collector_before_it_ends(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector, aiohttp.ClientSession() as session:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with ExitStack() as running:
            services = running.enter_context(Services(database_url, tmp_path, count=1))
            await services.ready()
            async with session.get(f"{services.urls[0]}{API}/models", headers={"traceparent": CAME}) as answer:
                assert answer.status == 200
            await asyncio.to_thread(running.close)
        [span] = collector.named(f"GET {API}/models")
        assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
        assert collector.services == {"tessera"}
