"""Webhooks: whoever wants to be told is told, with a signature that the official library accepts."""

from __future__ import annotations

import psycopg
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from control_plane import webhooks
from control_plane.wire.webhook import TERMINAL_EVENTS
from tests.fixtures.api import API, eventually
from tests.fixtures.receiver import Receiver, receiving
from tests.fixtures.webhooks import Hooks


async def test_the_end_of_a_job_is_told_signed_and_with_the_job_as_its_owner_sees_it(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook, secret = await hooks.add(receiver.url, description="mine")
    assert (webhook["events"], webhook["status"], webhook["secrets"]) == (list(TERMINAL_EVENTS), "enabled", 1)
    job = await hooks.plane.service.done()
    [got] = await receiver.after(1)
    message = got.verified(secret)
    assert (message["type"], message["data"]["id"]) == ("job.succeeded", job["id"])
    assert message["timestamp"] == job["finished_at"]
    links = [artifact.pop("url") for view in (message["data"], job) for artifact in view["artifacts"]]
    assert message["data"] == job
    assert (await hooks.plane.service.get(links[0])).status == 200, "the link in a message can be followed"
    delivered = (await eventually(lambda: hooks.log(webhook["id"], "?status=delivered"), bool))[0]
    assert (delivered["message_id"], delivered["job_id"], delivered["attempts"]) == (got.id, job["id"], 1)
    assert (delivered["last_status"], delivered["last_excerpt"], delivered["last_error"]) == (200, "noted", None)


async def test_each_end_is_told_by_its_name_and_only_what_was_asked_for(hooks: Hooks, receiver: Receiver) -> None:
    async with receiving() as picky:
        await hooks.add(receiver.url)
        await hooks.add(picky.url, events=["job.started", "job.failed", "job.started"])
        failed = await hooks.plane.service.leased()
        await hooks.plane.service.hands.fail(failed, "invalid_input")
        canceled = await hooks.plane.service.order()
        await hooks.plane.service.as_customer(f"{API}/jobs/{canceled}", "DELETE")
        ends = {(got.json["type"], got.json["data"]["id"]) for got in await receiver.after(2)}
        assert ends == {("job.failed", str(failed.job_id)), ("job.canceled", str(canceled))}
        assert sorted(got.json["type"] for got in await picky.after(2)) == ["job.failed", "job.started"]
    assert len(receiver.got) == 2


async def test_an_order_may_name_an_address_of_its_own_that_nobody_else_sees(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
    webhook, secret = await hooks.add()
    assert webhook["url"] is None
    assert (await hooks.call("POST", "", {})).code == "too-many-webhooks"
    job_id = await hooks.plane.service.order(webhook_url=receiver.url + "/17?token=canary")
    lease = (await hooks.plane.service.hands.claim(wait=5))[0]
    assert "canary" not in str(lease)
    await hooks.plane.service.as_customer(f"{API}/jobs/{job_id}", "DELETE")
    [got] = await receiver.after(1)
    assert (got.path, got.verified(secret)["data"]["id"]) == ("/hook/17", str(job_id))
    assert "canary" not in str(await hooks.plane.service.job(job_id))
    other = await hooks.plane.service.order()
    await hooks.plane.service.as_customer(f"{API}/jobs/{other}", "DELETE")
    assert len(await hooks.log(webhook["id"])) == 1, "of other orders nothing is told there"


async def test_the_endpoint_of_orders_comes_into_being_with_the_first_such_order(
    hooks: Hooks, receiver: Receiver
) -> None:
    job_id = await hooks.plane.service.order(webhook_url=receiver.url)
    [made] = (await hooks.call("GET")).json["data"]
    rotated = await hooks.call("POST", f"/{made['id']}/rotate-secret")
    await hooks.plane.service.as_customer(f"{API}/jobs/{job_id}", "DELETE")
    [got] = await receiver.after(1)
    got.verified(rotated.json["secret"])


async def test_while_a_secret_is_rotated_both_sign_and_after_a_day_the_new_one_alone(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
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
