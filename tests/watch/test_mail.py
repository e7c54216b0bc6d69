"""Mail by a real server: with STARTTLS, with TLS from the start, never a password without it, never to a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from control_plane.watch import channels, trial
from control_plane.watch.posting import NotTold
from tests.fixtures.certificates import Certificates
from tests.fixtures.worker import free_port

HOST = "localhost"
PASSWORD = "a password / that @ nobody may see"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


class Mailbox:
    """What was handed in, whether by TLS, and what names and passwords were shown."""

    def __init__(self) -> None:
        self.mails: list[tuple[Mail, bool]] = []
        self.shown: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        encrypted = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        self.mails.append((message_from_bytes(envelope.content), encrypted))
        return "250 taken"

    def let_in(self, server: Any, session: Any, envelope: Envelope, kind: str, shown: Any) -> AuthResult:
        assert isinstance(shown, LoginPassword)
        self.shown.append((shown.login.decode(), shown.password.decode()))
        return AuthResult(success=shown.password.decode() == PASSWORD, handled=False)


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """Of a server that this machine trusts."""
    made = Certificates(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    return made


@contextmanager
def serving(box: Mailbox, **options: Any) -> Iterator[int]:
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port, authenticator=box.let_in, server_hostname=HOST, **options)
    server.start()
    try:
        yield port
    finally:
        server.stop()


async def told(scheme: str, port: int, *, user: str = "ada%40house.example", password: str = "") -> None:
    login = f"{user}:{password}@" if password else ""
    address = f"{scheme}://{login}{HOST}:{port}/?from=tessera@house.example&to=ada@house.example"
    [channel] = channels.parse(address)
    await trial.tell(channel, "https://tessera.example", NOW)


QUOTED = "a%20password%20%2F%20that%20%40%20nobody%20may%20see"


@pytest.mark.parametrize(
    ("scheme", "from_the_start"), [("smtp", False), ("smtps", True)], ids=["starttls", "tls from the start"]
)
async def test_a_password_is_shown_by_tls_alone_and_the_mail_arrives(
    certificates: Certificates, scheme: str, from_the_start: bool
) -> None:
    box = Mailbox()
    tls = {"ssl_context": certificates.server} if from_the_start else {"tls_context": certificates.server}
    with serving(box, **tls, auth_require_tls=not from_the_start) as port:
        await told(scheme, port, password=QUOTED)
        with pytest.raises(NotTold, match="was not taken"):
            await told(scheme, port, password="wrong")
    [(mail, encrypted)] = box.mails
    assert encrypted
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (
        "tessera@house.example",
        "ada@house.example",
        "auto-generated",
    )
    assert box.shown[0] == ("ada@house.example", PASSWORD)


async def test_a_server_without_tls_never_learns_the_password_even_in_the_house() -> None:
    box = Mailbox()
    with serving(box, auth_require_tls=False) as port:
        with pytest.raises(NotTold):
            await told("smtp", port, password=QUOTED)
        assert (box.shown, box.mails) == ([], [])
        await told("smtp", port)
    assert [encrypted for _, encrypted in box.mails] == [False], "in the house and without a password it may be plain"


async def test_a_server_that_is_not_who_it_says_learns_nothing(tmp_path: Path) -> None:
    stranger = Certificates(tmp_path, HOST)
    box = Mailbox()
    for scheme, tls in (("smtp", {"tls_context": stranger.server}), ("smtps", {"ssl_context": stranger.server})):
        with serving(box, **tls) as port:
            with pytest.raises(NotTold) as caught:
                await asyncio.wait_for(told(scheme, port, password=QUOTED), 20)
            assert PASSWORD not in str(caught.value)
    assert (box.shown, box.mails) == ([], [])
