"""Webhooks: whoever wants to be told is told, with a signature that the official library accepts."""

from __future__ import annotations

import psycopg
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from control_plane import log
from control_plane.webhooks import endpoints
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
    batch = {"jobs": [{"prompt": "x", "webhook_url": f"{receiver.url}/{number}"} for number in range(2)]}
    placed = await hooks.plane.call("POST", f"{API}/jobs/batch", hooks.key, batch)
    for job in placed.json["jobs"]:
        await hooks.plane.service.as_customer(f"{API}/jobs/{job['id']}", "DELETE")
    assert {got.path for got in await receiver.after(3)} == {"/hook/17", "/hook/0", "/hook/1"}
    other = await hooks.plane.service.order()
    await hooks.plane.service.as_customer(f"{API}/jobs/{other}", "DELETE")
    assert len(await hooks.log(webhook["id"])) == 3, "of other orders nothing is told there"


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
    assert answered.json["webhook"]["secrets"] == endpoints.SECRETS_MAX


async def test_nobody_is_told_of_somebody_elses_jobs(hooks: Hooks, receiver: Receiver) -> None:
    stranger = Hooks(hooks.plane, await hooks.plane.user_key())
    webhook, secret = await hooks.add(receiver.url)
    async with receiving() as theirs:
        other, other_secret = await stranger.add(theirs.url)
        mine, foreign = await hooks.canceled(), await stranger.canceled()
        assert (await receiver.after(1))[0].verified(secret)["data"]["id"] == str(mine)
        assert (await theirs.after(1))[0].verified(other_secret)["data"]["id"] == str(foreign)
        assert (len(receiver.got), len(theirs.got)) == (1, 1)
        with pytest.raises(WebhookVerificationError):
            theirs.got[0].verified(secret)
    assert [found["id"] for found in (await stranger.call("GET")).json["data"]] == [other["id"]]
    [delivery] = await hooks.told(webhook["id"])
    beneath_own = f"/{other['id']}/deliveries/{delivery['id']}/redeliver"
    assert (await stranger.call("POST", beneath_own)).status == 404


async def test_secrets_show_once_and_nowhere_else(
    hooks: Hooks, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    webhook, first = await hooks.add(receiver.url)
    second = (await hooks.call("POST", f"/{webhook['id']}/rotate-secret")).json["secret"]
    await hooks.call("POST", f"/{webhook['id']}/test")
    [got] = await receiver.after(1)
    await hooks.told(webhook["id"], "?status=delivered")
    shown = [
        *[(await hooks.call("GET", path)).body.decode() for path in ("", f"/{webhook['id']}")],
        (await hooks.call("PATCH", f"/{webhook['id']}", {"description": "new"})).body.decode(),
        (await hooks.call("GET", f"/{webhook['id']}/deliveries")).body.decode(),
        got.body.decode() + str(dict(got.headers)),
        (await hooks.plane.call("GET", "/metrics")).body.decode(),
        "".join(capfd.readouterr()),
    ]
    assert "webhook.rotated" in shown[-1]
    for secret in (first, second):
        assert len(secret) > 40
        assert not [text for text in shown if secret in text or secret.removeprefix("whsec_") in text]
    assert receiver.url not in shown[-1], "an address may be a secret too"
    assert 'tessera_webhook_deliveries_total{outcome="delivered"}' in shown[-2]
    assert log.redact(f"the secret {first} is") == "the secret whsec_… is"


async def test_webhooks_are_changed_counted_and_deleted(hooks: Hooks, receiver: Receiver) -> None:
    made = [(await hooks.add(receiver.url))[0]["id"] for _ in range(endpoints.ENDPOINTS_MAX)]
    full = await hooks.call("POST", "", {"url": receiver.url})
    assert (full.status, full.code) == (409, "too-many-webhooks")
    await hooks.add()
    for webhook_id in made[1:]:
        assert (await hooks.call("DELETE", f"/{webhook_id}")).status == 204
    assert (await hooks.call("GET", f"/{made[1]}")).status == 404
    change = {"url": receiver.url + "/new", "events": ["job.canceled"], "description": "two"}
    changed = await hooks.call("PATCH", f"/{made[0]}", change)
    assert {name: changed.json[name] for name in change} == change
    await hooks.canceled()
    assert (await receiver.after(1))[0].path == "/hook/new"
    off = await hooks.call("PATCH", f"/{made[0]}", {"disabled": True})
    assert (off.json["status"], off.json["disabled_reason"]) == ("disabled", "owner")
    of_orders = next(one["id"] for one in (await hooks.call("GET")).json["data"] if one["url"] is None)
    for body, pointer in (({"url": receiver.url}, "/url"), ({"disabled": True}, "/disabled")):
        refused = await hooks.call("PATCH", f"/{of_orders}", body)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)
    assert (await hooks.call("POST", f"/{of_orders}/test")).status == 422
    with_secret = await hooks.plane.user_key(["read"])
    assert (await Hooks(hooks.plane, with_secret).call("POST", "", {"url": receiver.url})).status == 403


async def test_the_log_has_pages_that_only_its_owner_can_turn(hooks: Hooks, receiver: Receiver) -> None:
    webhook, _ = await hooks.add(receiver.url)
    for _ in range(5):
        await hooks.call("POST", f"/{webhook['id']}/test")
    seen, cursor, last = [], "", ""
    for has_more in (True, True, False):
        page = (await hooks.call("GET", f"/{webhook['id']}/deliveries?limit=2{cursor}")).json
        assert page["has_more"] is has_more
        seen += [found["id"] for found in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
        if has_more:
            last = cursor
    assert (len(seen), seen) == (5, sorted(seen, reverse=True))
    other, _ = await hooks.add(receiver.url)
    for path in (f"/{other['id']}/deliveries?limit=2{last}", f"/{webhook['id']}/deliveries?status=dead{last}"):
        refused = await hooks.call("GET", path)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "cursor")


async def test_what_happened_before_somebody_wanted_to_know_is_not_told(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
    """Nor is anything lost when the database was restored into another cluster, where positions mean nothing."""
    await hooks.canceled()
    await hooks.add(receiver.url)
    wanted = [await hooks.canceled()]
    await receiver.after(1)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("update webhook_cursor set epoch = 'elsewhere', xid = '9000000000', seq = 9000000000")
    wanted.append(await hooks.canceled())
    await receiver.after(2)
    assert {got.json["data"]["id"] for got in receiver.got} == set(map(str, wanted))
    assert len({got.id for got in receiver.got}) == len(receiver.got) == 2


async def test_who_becomes_part_of_another_user_is_told_there(hooks: Hooks, receiver: Receiver, owner_url: str) -> None:
    plane = hooks.plane
    younger = Hooks(plane, await plane.user_key())
    async with receiving() as own:
        mine, my_secret = await hooks.add(own.url)
        theirs, their_secret = await younger.add(receiver.url)
        _, signs_mine = await hooks.add()
        _, signs_theirs = await younger.add()
        job_id = (await plane.order(younger.key, webhook_url=receiver.url + "/order"))["id"]
        younger_id = (await plane.call("GET", f"{API}/user/me", younger.key)).json["id"]
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute("select merge_users(%s, %s)", [plane.service.user_id, younger_id])
        plane.context.credentials.forget_all()
        found = (await hooks.call("GET")).json["data"]
        assert {one["id"] for one in found} >= {mine["id"], theirs["id"]}
        assert [one["secrets"] for one in found if one["url"] is None] == [2]
        await plane.service.as_customer(f"{API}/jobs/{job_id}", "DELETE")
        by_path = {got.path: got for got in await receiver.after(2)}
        by_path["/hook"].verified(their_secret)
        for secret in (signs_mine, signs_theirs):
            assert by_path["/hook/order"].verified(secret)["data"]["id"] == job_id
        (await own.after(1))[0].verified(my_secret)


async def test_a_suspended_account_is_told_nothing(hooks: Hooks, receiver: Receiver, owner_url: str) -> None:
    stranger = Hooks(hooks.plane, await hooks.plane.user_key())
    async with receiving() as theirs:
        await hooks.add(receiver.url)
        await stranger.add(theirs.url)
        job_id = await hooks.plane.service.order()
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute("update users set status = 'suspended' where id = %s", [hooks.plane.service.user_id])
        await hooks.plane.context.dispatcher.cancel(hooks.plane.service.user_id, job_id)
        await stranger.canceled()
        await theirs.after(1)
    assert receiver.got == []


async def test_a_test_key_has_webhooks_of_its_own_and_can_see_one_fail(
    hooks: Hooks, receiver: Receiver, owner_url: str
) -> None:
    plane = hooks.plane
    live = await plane.key_of(plane.service.user_id, ["read", "submit", "keys"])
    made = await plane.call("POST", f"{API}/api-keys", live, {"name": "tests", "test": True})
    tests = Hooks(plane, made.json["key"])
    async with receiving() as real:
        await hooks.add(real.url)
        webhook, secret = await tests.add(receiver.url)
        order = {"width": 64, "height": 64, "steps": 1, "metadata": {"simulate": "failing_webhook"}}
        job_id = (await plane.order(tests.key, **order))["id"]
        for attempts in (1, 2):
            found = await eventually(
                lambda: tests.log(webhook["id"]),
                lambda log, attempts=attempts: bool(log) and log[0]["attempts"] == attempts,  # type: ignore[misc]
            )
            assert (found[0]["last_error"], found[0]["status"], receiver.got) == ("simulated", "pending", [])
            tests.hurry(owner_url)
        [got] = await receiver.after(1)
        assert (got.verified(secret)["type"], got.json["data"]["id"]) == ("job.succeeded", job_id)
        assert real.got == []
