"""Who is sent to next: a few at a time to each receiver, nobody behind another's line, each message by one process."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook
from yarl import URL

from control_plane.database import Database
from control_plane.people import users
from control_plane.settings import Settings
from control_plane.signing import SigningKeys
from control_plane.store import open_store
from control_plane.sweeper import Sweeper
from control_plane.webhooks import deliveries, endpoints, envelope
from control_plane.webhooks.deliveries import ENDPOINT_MAX, HOST_MAX, LINE_MAX, LOOK_MAX, Delivery, Outcome
from control_plane.wire.webhook import WebhookRequest


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


async def endpoint(database: Database, url: str | None) -> UUID:
    """Of a user of its own."""
    user_id = await users.create(database, uuid4().hex, "house")
    return (await endpoints.create(database, user_id, WebhookRequest(url=url), ())).webhook.id


def due(owner_url: str, webhook_id: UUID, url: str, count: int) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(
            "insert into webhook_deliveries (endpoint_id, type, url, next_attempt_at)"
            " select %s, 'webhook.test', %s, now() - make_interval(secs => n) from generate_series(1, %s) n",
            [webhook_id, url, count],
        )


def counted(found: list[Delivery]) -> tuple[Counter[tuple[UUID, str]], Counter[UUID], Counter[str]]:
    """By line, by endpoint, by host."""
    lines = [(delivery.endpoint_id, URL(delivery.url).host or "") for delivery in found]
    return Counter(lines), Counter(line[0] for line in lines), Counter(line[1] for line in lines)


@pytest.mark.parametrize("long_line", [10, LOOK_MAX + 10])
async def test_a_few_at_a_time_to_each_and_a_long_line_is_no_longer_than_a_short_one(
    database: Database, owner_url: str, long_line: int
) -> None:
    shared = [await endpoint(database, "https://shared.example/a") for _ in range(HOST_MAX)]
    for webhook_id in shared:
        due(owner_url, webhook_id, "https://Shared.example/a", long_line)
    of_orders = await endpoint(database, None)
    for number in range(2 * ENDPOINT_MAX):
        due(owner_url, of_orders, f"https://host{number}.example:8443/", 3)
    quiet = await endpoint(database, "https://quiet.example/")
    due(owner_url, quiet, "https://quiet.example/", 1)
    busy = await endpoint(database, "https://busy.example/")
    due(owner_url, busy, "https://busy.example/", 5)
    found = await deliveries.claim(database, 1_000)
    lines, endpoints, hosts = counted(found)
    assert max(lines.values()) == lines[busy, "busy.example"] == LINE_MAX
    assert (hosts["shared.example"], endpoints[of_orders], endpoints[quiet]) == (HOST_MAX, ENDPOINT_MAX, 1)
    assert await deliveries.claim(database, 1_000) == [], "all that may be on its way is"
    ended = next(one for one in found if one.endpoint_id == of_orders)
    await deliveries.record(database, ended, Outcome(state="delivered", status=200, seconds=0.1))
    assert [one.endpoint_id for one in await deliveries.claim(database, 1_000)] == [of_orders]


async def test_processes_that_claim_at_once_share_and_what_one_of_them_dropped_comes_again(
    database: Database, owner_url: str
) -> None:
    ids = [await endpoint(database, f"https://host{number}.example/") for number in range(12)]
    for number, webhook_id in enumerate(ids):
        due(owner_url, webhook_id, f"https://host{number}.example/", LINE_MAX)
    claimed = await asyncio.gather(*(deliveries.claim(database, 5) for _ in range(8)))
    first = [one.id for batch in claimed for one in batch]
    assert len(first) == len(set(first)) == LINE_MAX * len(ids)
    assert max(map(len, claimed)) == 5
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(
            "update webhook_deliveries set leased_until = leased_until - interval '30 s',"
            " next_attempt_at = next_attempt_at - interval '30 s' where lease is not null"
        )
    again = await deliveries.claim(database, 1_000)
    assert len(again) == len(first)
    late = claimed[0][0]
    await deliveries.record(database, late, Outcome(state="dead", error="status", seconds=1.0))
    with psycopg.connect(owner_url, autocommit=True) as owner:
        found = owner.execute("select state, attempts from webhook_deliveries where id = %s", [late.id]).fetchone()
    assert found == ("pending", 0), "whoever lost the lease has nothing to say any more"


async def test_the_log_is_kept_for_a_month(database: Database, owner_url: str) -> None:
    webhook_id = await endpoint(database, "https://host.example/")
    due(owner_url, webhook_id, "https://host.example/", 4)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("update webhook_deliveries set created_at = now() - interval '31 days'")
        owner.execute(
            "update webhook_deliveries set state = 'dead', next_attempt_at = null where id in"
            " (select id from webhook_deliveries order by id limit 3)"
        )
        owner.execute(
            "update webhook_deliveries set created_at = now() where id ="
            " (select id from webhook_deliveries where state = 'dead' order by id limit 1)"
        )
        settings = Settings()
        sweeper = Sweeper(database, open_store(settings), SigningKeys(), settings)
        assert await sweeper.deliveries() == 2
        left = owner.execute("select state from webhook_deliveries order by state").fetchall()
    assert left == [("dead",), ("pending",)]


@given(st.uuids(), st.binary(max_size=2_000), st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=4))
def test_the_official_library_accepts_what_any_secret_in_force_signs(
    delivery_id: UUID, body: bytes, keys: list[bytes]
) -> None:
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    text = body.decode("latin-1").encode()
    headers = envelope.headers(delivery_id, now, text, keys)
    for key in keys:
        official = Webhook(envelope.shown(key))
        signature = official.sign(
            headers["webhook-id"], datetime.datetime.fromtimestamp(now, datetime.UTC), text.decode()
        )
        assert signature in headers["webhook-signature"].split(" ")
