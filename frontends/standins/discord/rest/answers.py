"""Answers to interactions: the first within three seconds, then edits and follow-ups by the interaction's token."""

from __future__ import annotations

from typing import Any

from frontends.standins.discord import components
from frontends.standins.discord.interactions import AUTOCOMPLETE, COMPONENT, MODAL, Interaction
from frontends.standins.discord.limits import CHOICES_MAX, FOLLOW_UPS_UNINVITED_MAX, Refusal, malformed
from frontends.standins.discord.messages import HIDDEN, Message
from frontends.standins.discord.places import Group
from frontends.standins.discord.rest.calls import Call, Route

MESSAGE, PROMISE, PROMISE_OF_CHANGE, CHANGE, CHOICES, FORM = 4, 5, 6, 7, 8, 9
ORIGINAL = "@original"


def _interaction(call: Call) -> Interaction:
    found = call.discord.interactions.get(call.request.match_info["token"])
    if found is None:
        raise Refusal(404, 10062, "Unknown interaction")
    return found


async def first(call: Call) -> Any:
    asked = _interaction(call)
    said = await call.body()
    if asked.acknowledged:
        raise Refusal(400, 40060, "Interaction has already been acknowledged.")
    if asked.overdue(call.now):
        raise Refusal(404, 10062, "Unknown interaction", violation=True)
    kind, data = said["type"], said.get("data") or {}
    if (kind == CHOICES) != (asked.kind == AUTOCOMPLETE):
        raise malformed("type", "INTERACTION_TYPE_INVALID", "Not for this interaction")
    if kind in (MESSAGE, PROMISE):
        await _respond(call, asked, kind, data)
    elif kind in (PROMISE_OF_CHANGE, CHANGE):
        await _change(call, asked, kind, data)
    elif kind == CHOICES:
        _suggest(asked, data)
    elif kind == FORM:
        _open(call, asked, data)
    asked.acknowledged = True
    call.discord.changes.tell(asked.response)
    if call.request.query.get("with_response", "").lower() not in ("true", "1"):
        return None
    return _told(asked, kind)


async def _respond(call: Call, asked: Interaction, kind: int, data: Any) -> None:
    message = _message(call, asked, data)
    if kind == PROMISE:
        message.thinking = True
    else:
        message.change(data, call.attached(data, asked.place.attachment_bytes_max))
    asked.response = message
    call.discord.post(message)


async def _change(call: Call, asked: Interaction, kind: int, data: Any) -> None:
    if asked.kind not in (COMPONENT, MODAL) or asked.source is None:
        raise malformed("type", "INTERACTION_TYPE_INVALID", "There is no message to change")
    asked.response = asked.source
    if kind == CHANGE:
        asked.source.change(data, call.attached(data, asked.place.attachment_bytes_max))
        asked.source.edited_at = call.now


def _suggest(asked: Interaction, data: Any) -> None:
    if len(data["choices"]) > CHOICES_MAX or any(not 1 <= len(one["name"]) <= 100 for one in data["choices"]):
        raise malformed("choices", "BASE_TYPE_MAX_LENGTH", f"Must be {CHOICES_MAX} or fewer in length.")
    asked.choices = data["choices"]


def _open(call: Call, asked: Interaction, data: Any) -> None:
    if asked.kind == MODAL:
        raise malformed("type", "INTERACTION_TYPE_INVALID", "A form does not open a form")
    components.check_modal(data)
    asked.modal = data
    call.discord.modals.keep((data["custom_id"], asked.place.id, asked.person.id), data)


def _told(asked: Interaction, kind: int) -> dict[str, Any]:
    told: dict[str, Any] = {"interaction": {"id": str(asked.id), "type": asked.kind}}
    if asked.response is not None:
        told["interaction"] |= {
            "response_message_id": str(asked.response.id),
            "response_message_loading": asked.response.thinking,
            "response_message_ephemeral": asked.response.hidden,
        }
        told["resource"] = {"type": kind, "message": asked.response.to_json()}
    return told


def _message(call: Call, asked: Interaction, data: Any) -> Message:
    message = Message(call.discord.snowflake(), asked.place, call.now, bot=asked.bot, interaction=asked.metadata)
    message.caused_by = asked.shown
    message.flags = (data.get("flags") or 0) & HIDDEN
    message.viewer = asked.person if message.hidden else None
    return message


async def follow_up(call: Call) -> Any:
    asked = _interaction(call)
    data = await call.body()
    asked.admit(call.now)
    uninvited = isinstance(asked.place, Group) and asked.bot not in asked.place.bots
    if uninvited and len(asked.follow_ups) >= FOLLOW_UPS_UNINVITED_MAX:
        raise Refusal(403, 40094, "This interaction has reached its maximum of follow-up messages", violation=True)
    files = call.attached(data, asked.place.attachment_bytes_max)
    if asked.response is not None and asked.response.thinking:
        message = asked.response  # the first one fills what was promised
        message.change(data, files)
    else:
        message = _message(call, asked, data)
        message.change(data, files)
        asked.follow_ups.append(message)
        call.discord.post(message)
    call.discord.changes.tell(message)
    return message.to_json()


def _named(call: Call, asked: Interaction) -> Message:
    """The message that a path means, of those that this interaction made."""
    wanted = call.request.match_info["message"]
    made = [message for message in (asked.response, *asked.follow_ups) if message is not None]
    found = next((one for one in made if wanted == str(one.id) or (wanted == ORIGINAL and one is asked.response)), None)
    if found is None or found.deleted:
        raise Refusal(404, 10008, "Unknown Message")
    return found


async def get(call: Call) -> Any:
    asked = _interaction(call)
    asked.admit(call.now)
    return _named(call, asked).to_json()


async def edit(call: Call) -> Any:
    asked = _interaction(call)
    data = await call.body()
    asked.admit(call.now)
    message = _named(call, asked)
    message.change(data, call.attached(data, asked.place.attachment_bytes_max))
    message.edited_at = call.now
    call.discord.changes.tell(message)
    return message.to_json()


async def delete(call: Call) -> Any:
    asked = _interaction(call)
    asked.admit(call.now)
    message = _named(call, asked)
    message.deleted, message.thinking = True, False
    call.discord.changes.tell(message)


ROUTES: list[Route] = [
    ("POST", "/interactions/{id}/{token}/callback", first),
    ("POST", "/webhooks/{application}/{token}", follow_up),
    ("GET", "/webhooks/{application}/{token}/messages/{message}", get),
    ("PATCH", "/webhooks/{application}/{token}/messages/{message}", edit),
    ("DELETE", "/webhooks/{application}/{token}/messages/{message}", delete),
]
