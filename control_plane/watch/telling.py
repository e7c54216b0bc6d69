"""Telling an incident on each platform: said once, changed where the platform can, and rung again only for a reminder.

`tell` returns the handle by which the platform knows the message. It raises `NotTold`; then it is tried at the next
look.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import msgspec

from control_plane.watch import mail
from control_plane.watch.channels import Channel, Discord, Hook, Mail, Ntfy, Telegram
from control_plane.watch.kinds import KINDS
from control_plane.watch.posting import NotTold, call, call_json, decoded
from control_plane.watch.words import Message, whole
from control_plane.webhooks import envelope

TITLE_LENGTH_MAX = 200
SILENT_DISCORD = 1 << 12
"""The flag SUPPRESS_NOTIFICATIONS of a message."""
BAD_REQUEST = 400
GONE = frozenset({400, 404})
"""Answers to the edit of a message that is not there any more, or that says this already."""
HOOK_FIELDS = ("id", "kind", "subject", "summary", "opened_at", "closed_at")
LOUD, SILENT = "5", "2"
"""Priorities of ntfy."""


async def tell(channel: Channel, message: Message, handle: str | None) -> str:
    """`handle`: of the message that this channel has of the incident; None: none yet."""
    match channel:
        case Telegram():
            return await _telegram(channel, message, handle)
        case Discord():
            return await _discord(channel, message, handle)
        case Hook():
            return await _hook(channel, message)
        case Ntfy():
            return await _ntfy(channel, message, handle)
        case Mail():
            return await mail.send(channel, message, handle)


async def _telegram(channel: Telegram, message: Message, handle: str | None) -> str:
    base = f"{channel.api}/bot{channel.token}"
    said = {"chat_id": channel.chat, "text": whole(message)}
    if handle is not None:
        answer, facts = await call_json(
            "POST", f"{base}/editMessageText", said | {"message_id": int(handle)}, fine=frozenset({BAD_REQUEST})
        )
        unchanged = "not modified" in str(facts.get("description", ""))
        if (answer.status < BAD_REQUEST or unchanged) and not message.rings:
            return handle
    answering = {"reply_parameters": {"message_id": int(handle), "allow_sending_without_reply": True}} if handle else {}
    quiet = {"disable_notification": not message.rings}
    _, facts = await call_json("POST", f"{base}/sendMessage", said | quiet | answering)
    fresh = str(facts.get("result", {}).get("message_id", ""))
    return handle if handle is not None and message.rings else _known(fresh)


async def _discord(channel: Discord, message: Message, handle: str | None) -> str:
    base = f"{channel.api}/webhooks/{channel.webhook_id}/{channel.token}"
    said = {"content": whole(message), "allowed_mentions": {"parse": []}}
    if handle is not None:
        answer, _ = await call_json("PATCH", f"{base}/messages/{handle}", said, fine=GONE)
        if answer.status not in GONE and not message.rings:
            return handle
    _, facts = await call_json("POST", f"{base}?wait=true", said | {"flags": 0 if message.rings else SILENT_DISCORD})
    return handle if handle is not None and message.rings else _known(str(facts.get("id", "")))


async def _hook(channel: Hook, message: Message) -> str:
    """As Standard Webhooks has it. The id is that of the edition, so what comes twice is known to be the same."""
    incident = message.incident
    delivery_id = uuid5(NAMESPACE_URL, f"{channel.name}/{incident.id}/{incident.edition}")
    facts = {
        "type": f"incident.{message.stage}",
        "timestamp": incident.edition_at,
        "data": {
            **{name: getattr(incident, name) for name in HOOK_FIELDS},
            "title": KINDS[incident.kind].title,
            "runbook": KINDS[incident.kind].runbook,
        },
    }
    body = msgspec.json.encode(facts)
    keys = [channel.secret] if channel.secret is not None else []
    await call("POST", channel.url, body, envelope.headers(delivery_id, int(message.now.timestamp()), body, keys))
    return envelope.message_id(delivery_id)


async def _ntfy(channel: Ntfy, message: Message, handle: str | None) -> str:
    """From version 2.16 on, what has the sequence of an earlier message stands in its place."""
    headers = {
        "Title": message.title.encode("ascii", "replace").decode()[:TITLE_LENGTH_MAX],
        "Priority": LOUD if message.rings else SILENT,
        "Tags": "white_check_mark" if message.stage == "closed" else "warning",
        "Accept-Encoding": "identity",
    }
    if channel.authorization is not None:
        headers["Authorization"] = channel.authorization
    if handle is not None:
        headers["X-Sequence-ID"] = handle
    answer = await call("POST", channel.url, message.text.encode(), headers)
    return handle if handle is not None else _known(str(decoded(answer).get("id", "")))


def _known(handle: str) -> str:
    if not handle:
        raise NotTold("the answer does not say what the message is called")
    return handle
