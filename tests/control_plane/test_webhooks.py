"""Webhooks: whoever wants to be told is told, with a signature that the official library accepts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from control_plane import webhooks
from control_plane.settings import Networks
from control_plane.wire.webhook import TERMINAL_EVENTS
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.receiver import Receiver, receiving
from tests.fixtures.worker import serving

LOCAL = Networks((ip_network("127.0.0.0/8"),))
Json = dict[str, Any]


@pytest.fixture
async def plane(database_url: str, tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane that may send to this machine."""
    async with serving(database_url, tmp_path, webhook_networks=LOCAL) as service:
        yield Plane(service, service.user_id, "")


class Hooks:
    """The webhooks of a user, by HTTP."""

    def __init__(self, plane: Plane, key: str | None = None) -> None:
        self.plane = plane
        self.key = key or plane.service.key

    async def call(self, method: str, path: str = "", body: object = None) -> Any:
        return await self.plane.call(method, f"{API}/webhooks{path}", self.key, body)

    async def add(self, url: str | None = None, **fields: object) -> tuple[Json, str]:
        """The endpoint, and its secret."""
        answered = await self.call("POST", "", fields if url is None else {"url": url, **fields})
        assert answered.status == 201, answered.body
        assert answered.headers["Location"].endswith(answered.json["webhook"]["id"])
        return answered.json["webhook"], answered.json["secret"]

    async def one(self, webhook_id: str) -> Json:
        found: Json = (await self.call("GET", f"/{webhook_id}")).json
        return found

    async def log(self, webhook_id: str, query: str = "") -> list[Json]:
        answered = await self.call("GET", f"/{webhook_id}/deliveries{query}")
        assert answered.status == 200, answered.body
        found: list[Json] = answered.json["data"]
        return found


async def test_the_end_of_a_job_is_told_signed_and_with_the_job_as_its_owner_sees_it(
    plane: Plane, receiver: Receiver
) -> None:
    hooks = Hooks(plane)
    webhook, secret = await hooks.add(receiver.url, description="mine")
    assert (webhook["events"], webhook["status"], webhook["secrets"]) == (list(TERMINAL_EVENTS), "enabled", 1)
    job = await plane.service.done()
    [got] = await receiver.after(1)
    message = got.verified(secret)
    assert (message["type"], message["data"]["id"]) == ("job.succeeded", job["id"])
    assert message["timestamp"] == job["finished_at"]
    links = [artifact.pop("url") for view in (message["data"], job) for artifact in view["artifacts"]]
    assert message["data"] == job
    assert (await plane.service.get(links[0])).status == 200, "the link in a message can be followed"
    delivered = (await eventually(lambda: hooks.log(webhook["id"], "?status=delivered"), bool))[0]
    assert (delivered["message_id"], delivered["job_id"], delivered["attempts"]) == (got.id, job["id"], 1)
    assert (delivered["last_status"], delivered["last_excerpt"], delivered["last_error"]) == (200, "noted", None)


async def test_each_end_is_told_by_its_name_and_only_what_was_asked_for(plane: Plane, receiver: Receiver) -> None:
    hooks = Hooks(plane)
    async with receiving() as picky:
        await hooks.add(receiver.url)
        await hooks.add(picky.url, events=["job.started", "job.failed", "job.started"])
        failed = await plane.service.leased()
        await plane.service.hands.fail(failed, "invalid_input")
        canceled = await plane.service.order()
        await plane.service.as_customer(f"{API}/jobs/{canceled}", "DELETE")
        ends = {(got.json["type"], got.json["data"]["id"]) for got in await receiver.after(2)}
        assert ends == {("job.failed", str(failed.job_id)), ("job.canceled", str(canceled))}
        assert sorted(got.json["type"] for got in await picky.after(2)) == ["job.failed", "job.started"]
    assert len(receiver.got) == 2


async def test_an_order_may_name_an_address_of_its_own_that_nobody_else_sees(
    plane: Plane, receiver: Receiver, owner_url: str
) -> None:
    hooks = Hooks(plane)
    webhook, secret = await hooks.add()
    assert webhook["url"] is None
    assert (await hooks.call("POST", "", {})).code == "too-many-webhooks"
    job_id = await plane.service.order(webhook_url=receiver.url + "/17?token=canary")
    lease = (await plane.service.hands.claim(wait=5))[0]
    assert "canary" not in str(lease)
    await plane.service.as_customer(f"{API}/jobs/{job_id}", "DELETE")
    [got] = await receiver.after(1)
    assert (got.path, got.verified(secret)["data"]["id"]) == ("/hook/17", str(job_id))
    assert "canary" not in str(await plane.service.job(job_id))
    other = await plane.service.order()
    await plane.service.as_customer(f"{API}/jobs/{other}", "DELETE")
    assert len(await hooks.log(webhook["id"])) == 1, "of other orders nothing is told there"


async def test_the_endpoint_of_orders_comes_into_being_with_the_first_such_order(
    plane: Plane, receiver: Receiver
) -> None:
    hooks = Hooks(plane)
    job_id = await plane.service.order(webhook_url=receiver.url)
    [made] = (await hooks.call("GET")).json["data"]
    rotated = await hooks.call("POST", f"/{made['id']}/rotate-secret")
    await plane.service.as_customer(f"{API}/jobs/{job_id}", "DELETE")
    [got] = await receiver.after(1)
    got.verified(rotated.json["secret"])


async def test_while_a_secret_is_rotated_both_sign_and_after_a_day_the_new_one_alone(
    plane: Plane, receiver: Receiver, owner_url: str
) -> None:
    import psycopg

    hooks = Hooks(plane)
    webhook, old = await hooks.add(receiver.url)
    answered = await hooks.call("POST", f"/{webhook['id']}/rotate-secret")
    new = answered.json["secret"]
    assert (answered.json["webhook"]["secrets"], new != old) == (2, True)
    await hooks.call("POST", f"/{webhook['id']}/test")
    [both] = await receiver.after(1)
    assert (both.verified(old)["type"], both.verified(new)["type"], len(both.signatures)) == (*["webhook.test"] * 2, 2)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("update webhook_secrets set expires_at = expires_at - interval '24 hours'")
    await hooks.call("POST", f"/{webhook['id']}/test")
    alone = (await receiver.after(2))[1]
    alone.verified(new)
    with pytest.raises(WebhookVerificationError):
        alone.verified(old)
    for _ in range(6):
        answered = await hooks.call("POST", f"/{webhook['id']}/rotate-secret")
    assert answered.json["webhook"]["secrets"] == webhooks.SECRETS_MAX
