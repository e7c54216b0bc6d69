"""Deliveries: when a message is tried again, when no more, and that nobody waits for somebody else's receiver."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from statistics import median

import psycopg
from aiohttp import web

from control_plane.webhooks import deliveries, envelope
from control_plane.webhooks.envelope import JITTER, RETRY_SECONDS, retry_seconds
from tests.fixtures.api import Plane
from tests.fixtures.receiver import Receiver, receiving
from tests.fixtures.webhooks import LOCAL, Hooks, Json
from tests.fixtures.worker import serving

MESSAGES = 30


def waits(delivery: Json) -> float:
    """From its last attempt to the next, in seconds."""
    times = [datetime.fromisoformat(delivery[f"{which}_attempt_at"]) for which in ("last", "next")]
    return (times[1] - times[0]).total_seconds()


async def tried(hooks: Hooks, webhook_id: str, times: int) -> Json:
    """The newest delivery, once it has been tried so often."""
    async with asyncio.timeout(20):
        while not (found := await hooks.log(webhook_id)) or found[0]["attempts"] < times:
            await asyncio.sleep(0.02)
    return found[0]


async def test_what_fails_is_tried_again_at_the_times_of_the_standard_and_then_no_more(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
    webhook, secret = await hooks.add(receiver.url)
    receiver.answer = 500
    await hooks.canceled()
    for attempt, seconds in enumerate([*RETRY_SECONDS[1:], None], 1):
        delivery = await tried(hooks, webhook["id"], attempt)
        assert (delivery["last_status"], delivery["last_error"]) == (500, "status")
        if seconds is None:
            assert (delivery["status"], delivery["next_attempt_at"]) == ("dead", None)
        else:
            assert delivery["status"] == "pending"
            assert seconds <= waits(delivery) <= seconds * (1 + JITTER)
            hooks.hurry(owner_url)
    assert len(receiver.got) == len(RETRY_SECONDS) == 10
    assert {got.id for got in receiver.got} == {(await hooks.log(webhook["id"]))[0]["message_id"]}
    assert all(got.verified(secret)["type"] == "job.canceled" for got in receiver.got)
    assert (await hooks.one(webhook["id"]))["status"] == "enabled", "it has not failed for five days yet"


async def test_an_endpoint_that_fails_for_five_days_is_disabled_until_its_owner_enables_it(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
    webhook, _ = await hooks.add(receiver.url)
    receiver.answer = 500
    await hooks.canceled()
    first = await tried(hooks, webhook["id"], 1)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("update webhook_endpoints set failing_since = failing_since - interval '5 days'")
    await hooks.canceled()
    assert {found["status"] for found in await hooks.told(webhook["id"], "?status=dead", 2)} == {"dead"}
    disabled = await hooks.one(webhook["id"])
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "failing")
    again = f"/{webhook['id']}/deliveries/{first['id']}/redeliver"
    for path in (f"/{webhook['id']}/test", again):
        refused = await hooks.call("POST", path)
        assert (refused.status, refused.code) == (409, "webhook-disabled")
    await hooks.canceled()
    receiver.answer = 200
    enabled = await hooks.call("PATCH", f"/{webhook['id']}", {"disabled": False})
    assert (enabled.json["status"], enabled.json["failing_since"]) == ("enabled", None)
    assert (await hooks.call("POST", again)).status == 202
    [delivered] = await hooks.told(webhook["id"], "?status=delivered")
    assert (delivered["id"], receiver.got[-1].id) == (first["id"], first["message_id"])
    assert len(await hooks.log(webhook["id"])) == 2, "what happened while it was disabled is not made up for"


async def test_a_success_ends_a_series_of_failures(hooks: Hooks, receiver: Receiver, owner_url: str) -> None:
    webhook, _ = await hooks.add(receiver.url)
    receiver.answer = 500
    await hooks.canceled()
    await tried(hooks, webhook["id"], 1)
    assert (await hooks.one(webhook["id"]))["failing_since"] is not None
    receiver.answer = 204
    hooks.hurry(owner_url)
    await tried(hooks, webhook["id"], 2)
    assert (await hooks.one(webhook["id"]))["failing_since"] is None


async def test_a_receiver_that_is_gone_hears_no_more(hooks: Hooks, receiver: Receiver, owner_url: str) -> None:
    webhook, _ = await hooks.add(receiver.url)
    receiver.answer = 503
    await hooks.canceled()
    await tried(hooks, webhook["id"], 1)
    receiver.answer = 410
    await hooks.canceled()
    async with asyncio.timeout(20):
        while (await hooks.one(webhook["id"]))["disabled_reason"] != "gone":
            await asyncio.sleep(0.02)
    hooks.hurry(owner_url)
    async with receiving() as other:
        await hooks.add(other.url)
        await hooks.canceled()
        await other.after(1)
    assert [got.json["type"] for got in receiver.got] == ["job.canceled"] * 2
    assert {found["status"] for found in await hooks.log(webhook["id"])} == {"dead"}


async def test_a_receiver_of_an_order_that_is_gone_disables_nothing_else(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answer = 410
    await hooks.canceled(webhook_url=receiver.url)
    await receiver.after(1)
    receiver.answer = 200
    await hooks.canceled(webhook_url=receiver.url)
    [webhook] = (await hooks.call("GET")).json["data"]
    delivered = await hooks.told(webhook["id"], "?status=delivered")
    dead = await hooks.told(webhook["id"], "?status=dead")
    assert (webhook["status"], len(delivered), dead[0]["last_error"]) == ("enabled", 1, "gone")


async def test_a_receiver_may_ask_for_patience(hooks: Hooks, receiver: Receiver) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "120"})

    webhook, _ = await hooks.add(receiver.url)
    receiver.answer = busy
    await hooks.canceled()
    assert 120 <= waits(await tried(hooks, webhook["id"], 1)) <= 120 * (1 + JITTER)


def test_what_a_receiver_asks_for_counts_when_it_is_more_and_makes_sense() -> None:
    for asked, least in (("7200", 7_200.0), ("1", 5.0), ("-9", 5.0), ("soon", 5.0), ("٣٣", 5.0), ("9" * 99, 5.0)):
        assert least <= (retry_seconds(0, asked) or 0.0) <= least * (1 + JITTER), asked
    assert (retry_seconds(0, "999999999") or 0.0) <= envelope.RETRY_AFTER_MAX_SECONDS * (1 + JITTER)
    assert retry_seconds(len(RETRY_SECONDS) - 1, "5") is None
    spread = [retry_seconds(2) or 0.0 for _ in range(100)]
    assert max(spread) - min(spread) > 0.05 * RETRY_SECONDS[3]


async def test_a_slow_receiver_delays_no_other_and_gets_two_at_a_time(
    hooks: Hooks, database_url: str, tmp_path: Path
) -> None:
    """Also when most of what is due is for the slow one, and when two processes send."""
    released = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with receiving() as tar, receiving() as quick:
        tar.answer = slow
        await hooks.add(tar.url)
        await asyncio.gather(*(hooks.canceled() for _ in range(MESSAGES)))
        await tar.after(deliveries.LINE_MAX)
        await hooks.add(quick.url)
        async with serving(database_url, tmp_path / "other", webhook_networks=LOCAL):
            started = time.monotonic()
            await asyncio.gather(*(hooks.canceled() for _ in range(MESSAGES)))
            await quick.after(MESSAGES)
            took = time.monotonic() - started
        assert took < 10, "far less than one attempt at the slow one may take"
        assert (len(tar.got), tar.most_at_once) == (deliveries.LINE_MAX, deliveries.LINE_MAX)
        released.set()
        told = Counter(got.json["data"]["id"] for got in await tar.after(2 * MESSAGES))
        assert (len(told), tar.most_at_once) == (2 * MESSAGES, deliveries.LINE_MAX)
        assert len({got.id for got in quick.got}) == len(quick.got) == MESSAGES


async def test_a_message_leaves_within_a_second_of_what_it_tells(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.add(receiver.url)
    took = []
    for count in range(1, 12):
        await hooks.canceled()
        ended = time.monotonic()
        took.append((await receiver.after(count))[-1].at - ended)
    assert median(took) < 1.0


async def test_a_message_can_be_sent_again_and_keeps_its_id(hooks: Hooks, receiver: Receiver) -> None:
    webhook, secret = await hooks.add(receiver.url)
    job_id = await hooks.canceled()
    [delivered] = await hooks.told(webhook["id"], "?status=delivered")
    again = await hooks.call("POST", f"/{webhook['id']}/deliveries/{delivered['id']}/redeliver")
    assert (again.status, again.json["status"], again.json["id"]) == (202, "pending", delivered["id"])
    first, second = await receiver.after(2)
    assert (first.id, second.verified(secret)["data"]["id"]) == (second.id, str(job_id))
    assert (await tried(hooks, webhook["id"], 2))["status"] == "delivered"


async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Anything but HTTP."""
    await reader.readline()
    writer.write(b"hello\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_why_nothing_arrives_stands_in_the_log(hooks: Hooks) -> None:
    async with receiving() as plain:
        addresses = {
            "connection": "http://127.0.0.1:9/",
            "unresolvable": "https://receiver.invalid/",
            "tls": f"https://127.0.0.1:{plain.port}/",
        }
        server = await asyncio.start_server(chatter, "127.0.0.1", 0)
        addresses["bad_answer"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for error, url in addresses.items():
            webhook, _ = await hooks.add(url)
            await hooks.call("POST", f"/{webhook['id']}/test")
            found = await tried(hooks, webhook["id"], 1)
            assert (found["last_error"], found["last_status"], found["status"]) == (error, None, "pending")
            assert found["last_excerpt"].endswith((".", "s."))
        server.close()
        assert plain.got == []


async def test_what_leads_inside_is_refused_at_every_attempt(
    control_plane: Plane, receiver: Receiver, owner_url: str
) -> None:
    """The address was fine when it was given; where it leads is judged each time."""
    hooks = Hooks(control_plane)
    webhook, _ = await hooks.add("https://receiver.invalid/")
    for url in (receiver.url, f"https://localhost:{receiver.port}/", f"https://127.0.0.1:{receiver.port}/"):
        refused = await hooks.call("POST", "", {"url": url})
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/url")
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute("update webhook_endpoints set url = %s", [url])
        await hooks.call("POST", f"/{webhook['id']}/test")
        assert (await tried(hooks, webhook["id"], 1))["last_error"] == "refused"
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("update webhook_endpoints set url = 'https://localhost:8443/'")
    await hooks.call("POST", f"/{webhook['id']}/test")
    assert (await tried(hooks, webhook["id"], 1))["last_error"] == "refused"
    assert receiver.got == []
    order = await control_plane.call(
        "POST", "/api/v1/jobs", control_plane.service.key, {"prompt": "x", "webhook_url": receiver.url}
    )
    assert (order.status, order.json["errors"][0]["pointer"]) == (422, "/webhook_url")


async def test_a_process_that_stops_gives_back_what_it_was_sending(
    database_url: str, tmp_path: Path, receiver: Receiver, owner_url: str
) -> None:
    released = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    receiver.answer = held
    async with serving(database_url, tmp_path / "first", webhook_networks=LOCAL) as service:
        hooks = Hooks(Plane(service, service.user_id, ""))
        await hooks.add(receiver.url)
        await hooks.canceled()
        await receiver.after(1)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    released.set()
    with psycopg.connect(owner_url, autocommit=True) as owner:
        found = owner.execute(
            "select state, attempts, lease, next_attempt_at <= now() from webhook_deliveries"
        ).fetchall()
    assert found == [("pending", 0, None, True)]
    receiver.answer = 200
    async with serving(database_url, tmp_path / "second", webhook_networks=LOCAL):
        first, second = await receiver.after(2)
    assert first.id == second.id
