"""An incident from its first look to its end, told to real receivers of each kind: once, changed, and over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from structlog.testing import capture_logs

from control_plane.database import Database
from control_plane.settings import ConfigurationError, Settings
from control_plane.store.disk import Disk
from control_plane.watch import book, channels
from control_plane.watch.kinds import KINDS, RUNBOOK
from control_plane.watch.watcher import Watcher
from tests.fixtures.worker import free_port

TOKEN = "4711:a-token-that-nobody-may-see"
WEBHOOK_TOKEN = "a-webhook-token-that-nobody-may-see"
SECRET = "whsec_c2VjcmV0LXRoYXQtbm9ib2R5LW1heS1zZWU="


class Receivers:
    """Telegram, Discord, ntfy, a webhook and a dead-man address as one HTTP server."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any], dict[str, str]]] = []
        self.refuses = False

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text.startswith("{") else {"text": text}
        self.calls.append((request.method, request.path, body, dict(request.headers)))
        if self.refuses:
            return web.json_response({"ok": False}, status=503)
        number = len(self.calls)
        return web.json_response({"ok": True, "id": str(number), "result": {"message_id": number}})

    def to(self, part: str) -> list[tuple[str, str, dict[str, Any], dict[str, str]]]:
        return [call for call in self.calls if part in call[1]]


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        return "250 taken"


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receivers, str]]:
    receivers = Receivers()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receivers.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield receivers, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Watcher, Receivers, Mailbox, Database]]:
    box = Mailbox()
    smtp_port = free_port()
    mail = Controller(box, hostname="127.0.0.1", port=smtp_port)
    mail.start()
    database = Database(database_url, size=4)
    await database.open()
    async with receiving() as (receivers, host):
        addresses = (
            f"telegram://{TOKEN}@-100?api=http://{host} discord://99/{WEBHOOK_TOKEN}?api=http://{host}"
            f" ntfy://{host}/tessera http://{host}/hook#{SECRET}"
            f" smtp://127.0.0.1:{smtp_port}/?from=tessera@house.example&to=ada@house.example"
        )
        settings = Settings(data_dir=tmp_path, notify=addresses, deadman_url=f"http://{host}/deadman")
        try:
            yield Watcher(database, settings, Disk(settings)), receivers, box, database
        finally:
            await database.close()
            await asyncio.to_thread(mail.stop)


def later(owner_url: str, delta: timedelta) -> None:
    """As if so much time had passed."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            "update incidents set first_seen_at = first_seen_at - %(d)s, last_seen_at = last_seen_at - %(d)s,"
            " opened_at = opened_at - %(d)s, edition_at = edition_at - %(d)s, reminded_at = reminded_at - %(d)s",
            {"d": delta},
        )
        connection.execute("update watches set free_at = now()")


def unbalance(owner_url: str, violations: int) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            "insert into ledger_checks (checked_at, violations) values (now(), %s)"
            " on conflict (only_one) do update set violations = excluded.violations",
            [violations],
        )


async def test_an_incident_is_told_once_everywhere_changed_rung_again_and_over(
    house: tuple[Watcher, Receivers, Mailbox, Database], owner_url: str
) -> None:
    watcher, receivers, box, database = house
    unbalance(owner_url, 2)
    with capture_logs() as logs:
        assert await watcher.turn()
        assert not await watcher.turn(), "the turn was just taken"
        later(owner_url, timedelta(seconds=30))
        assert await watcher.turn()
        assert len(receivers.to("sendMessage")) == len(receivers.to("webhooks")) == len(receivers.to("/hook")) == 1
        assert len(receivers.to("/tessera")) == len(box.mails) == 1, "what was told is not told again"
        [(_, _, said, _)] = receivers.to("sendMessage")
        assert said["chat_id"] == "-100"
        assert said["disable_notification"] is False
        assert "2 disagreements in the books" in said["text"]

        later(owner_url, timedelta(hours=1))
        assert await watcher.turn()
        reminder = receivers.to("sendMessage")[1][2]
        assert reminder["reply_parameters"]["message_id"] == int(receivers.to("editMessageText")[0][2]["message_id"])
        [incident] = await book.page(database, closed=False, most=10)
        assert incident.reminders == 1

        unbalance(owner_url, 0)
        later(owner_url, timedelta(minutes=3))
        assert await watcher.turn()
    assert await book.page(database, closed=False, most=10) == []
    assert receivers.to("editMessageText")[-1][2]["text"].startswith("Over: The books disagree")
    assert receivers.to("webhooks")[-1][0] == "PATCH"
    assert receivers.to("/hook")[-1][2]["type"] == "incident.closed"
    assert receivers.to("/hook")[-1][3]["webhook-signature"].startswith("v1,")
    assert receivers.to("/tessera")[-1][3]["X-Sequence-ID"] == receivers.to("/tessera")[1][3]["X-Sequence-ID"]
    assert [mail["In-Reply-To"] for mail in box.mails] == [None, *[box.mails[0]["Message-ID"]] * 2]
    assert receivers.to("/deadman")

    assert len(await book.page(database, closed=True, most=10)) == 1
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update incidents set closed_at = closed_at - %s", [timedelta(days=91)])
    later(owner_url, timedelta(days=91))
    assert await watcher.turn()
    assert await book.page(database, closed=True, most=10) == [], "what has long been over is not kept"
    for secret in (TOKEN, WEBHOOK_TOKEN, SECRET):
        assert secret not in str(logs)


async def test_what_a_channel_does_not_take_it_is_told_at_the_next_look(
    house: tuple[Watcher, Receivers, Mailbox, Database], owner_url: str
) -> None:
    watcher, receivers, box, _ = house
    unbalance(owner_url, 1)
    receivers.refuses = True
    with capture_logs() as logs:
        assert await watcher.turn()
    assert sum(line["event"] == "incident.untold" for line in logs) == 4
    assert len(box.mails) == 1, "one that fails hinders nobody else"
    receivers.refuses = False
    later(owner_url, timedelta(seconds=30))
    assert await watcher.turn()
    assert [len(receivers.to(where)) for where in ("sendMessage", "webhooks", "/hook", "/tessera")] == [2] * 4
    assert len(box.mails) == 1


async def test_of_several_processes_one_looks(
    house: tuple[Watcher, Receivers, Mailbox, Database], owner_url: str, tmp_path: Path
) -> None:
    watcher, receivers, _, database = house
    unbalance(owner_url, 1)
    settings = watcher._settings
    others = [Watcher(database, settings, Disk(settings)) for _ in range(3)]
    assert sum(await asyncio.gather(*(one.turn() for one in [watcher, *others]))) == 1
    assert len(receivers.to("sendMessage")) == 1


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("telegram://no-token@5", "telegram://BOT_TOKEN@CHAT"),
        ("discord://99", "WEBHOOK_TOKEN"),
        ("ntfys://me.example", "ntfys://host/topic"),
        ("smtp://host/?to=ada@example.com", "from=ADDRESS"),
        ("https://host/hook#whsec_###", "secret"),
        ("ftp://host", "begins with none of"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_repeated(address: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        channels.parse(f"ntfys://host/topic {address}")
    assert "address 2" in str(caught.value)
    assert address not in str(caught.value)


def test_plain_http_leads_nowhere_but_into_the_house() -> None:
    from control_plane.watch.posting import NotTold, call

    with pytest.raises(NotTold, match="own network"):
        asyncio.run(call("POST", "http://8.8.8.8/hook", b"", {}))


def test_every_kind_leads_to_a_section_of_the_runbook() -> None:
    text = (Path(__file__).parents[2] / RUNBOOK).read_text()
    missing = [about.section for about in KINDS.values() if f"## {about.section}\n" not in text]
    assert missing == []
