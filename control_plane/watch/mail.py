"""Incidents by mail: one thread each. TLS is demanded, unless the server is in the house and no password is sent."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from control_plane.watch.channels import Mail
from control_plane.watch.posting import NotTold, is_at_home
from control_plane.watch.words import Message

SEND_SECONDS = 20.0
CALL_SECONDS = 10.0


async def send(channel: Mail, message: Message, handle: str | None) -> str:
    """The id of the first mail of the thread."""
    mail = letter(channel, message, handle)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            lenient = channel.password is None and await is_at_home(channel.host, channel.port)
            await asyncio.to_thread(_hand_in, channel, mail, lenient)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotTold(f"the mail was not taken ({type(error).__name__})") from None
    return handle or mail["Message-ID"]


def _hand_in(channel: Mail, mail: EmailMessage, lenient: bool) -> None:
    """Blocks, for CALL_SECONDS at each step. We greet as the sender's domain: to find out this machine's own name may
    take longer than all of the rest."""
    tls = ssl.create_default_context()
    where, greeting = (channel.host, channel.port), channel.sender.rpartition("@")[2]
    with (
        smtplib.SMTP_SSL(*where, greeting, timeout=CALL_SECONDS, context=tls)
        if channel.implicit_tls
        else smtplib.SMTP(*where, greeting, timeout=CALL_SECONDS)
    ) as server:
        if not channel.implicit_tls and not lenient:
            server.starttls(context=tls)
        if channel.username is not None:
            server.login(channel.username, channel.password or "")
        server.send_message(mail)


def letter(channel: Mail, message: Message, handle: str | None) -> EmailMessage:
    incident = message.incident
    domain = channel.sender.rpartition("@")[2]
    mail = EmailMessage()
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.recipients)
    mail["Subject"] = message.title.replace("\n", " ").replace("\r", " ")
    mail["Date"] = format_datetime(message.now)
    mail["Message-ID"] = f"<tessera-incident-{incident.id}-{incident.edition}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers
    if handle is not None:
        mail["In-Reply-To"] = mail["References"] = handle
    mail.set_content(message.text)
    return mail
