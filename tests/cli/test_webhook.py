"""`tessera webhook`: what an operator sees of somebody's webhooks, and sends once more."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

from control_plane.database import Database
from control_plane.webhooks import deliveries, endpoints
from control_plane.wire.webhook import WebhookRequest
from tests.fixtures.operator import Say, Tell, name, on_database

URL = "https://receiver.invalid/"


def test_an_operator_sees_what_became_of_messages_and_sends_one_once_more(data_dir: Path, say: Say, tell: Tell) -> None:
    ada = name()
    user_id = UUID(tell("user", "create", ada)["id"])
    assert "has no webhook" in say("webhook", "list", ada)

    async def message(database: Database) -> tuple[UUID, str]:
        made = await endpoints.create(database, user_id, WebhookRequest(url=URL), ())
        return made.webhook.id, made.secret

    webhook_id, secret = on_database(data_dir, message)
    assert "Nothing has been sent" in say("webhook", "deliveries", ada, webhook_id)
    sent = on_database(data_dir, lambda database: deliveries.test(database, user_id, webhook_id))
    assert str(webhook_id) in say("webhook", "list", ada)
    [listed] = tell("webhook", "list", ada)
    assert (listed["url"], listed["status"]) == (URL, "enabled")
    assert secret not in say("webhook", "list", ada, "--json")
    assert str(sent.id) in say("webhook", "deliveries", ada, webhook_id, "--status", "pending")
    assert tell("webhook", "deliveries", ada, webhook_id, "--status", "dead") == []
    assert sent.message_id in say("webhook", "redeliver", ada, webhook_id, sent.id)
    assert tell("webhook", "redeliver", ada, webhook_id, sent.id)["status"] == "pending"
    assert "no such webhook" in say("webhook", "redeliver", ada, webhook_id, uuid4(), code=64)
    assert "no such webhook" in say("webhook", "deliveries", ada, uuid4(), code=64)
    assert "no id" in say("webhook", "deliveries", ada, "first", code=64)
