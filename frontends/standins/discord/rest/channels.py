"""What a bot does in a channel by itself: direct messages and servers alike."""

from __future__ import annotations

from typing import Any

from frontends.standins.discord.limits import NONCE_MAX, NONCE_SECONDS, Refusal, malformed
from frontends.standins.discord.messages import Message
from frontends.standins.discord.places import PERMISSIONS, Group, Place
from frontends.standins.discord.rest.calls import Call, Route

HISTORY_MAX = 100


def _place(call: Call) -> Place:
    found = call.discord.place(call.id("channel"))
    if found is None:
        raise Refusal(404, 10003, "Unknown Channel")
    if not found.permissions(call.bot) & PERMISSIONS["VIEW_CHANNEL"]:
        raise Refusal(403, 50001, "Missing Access")
    return found


def _message(call: Call) -> Message:
    place = _place(call)
    wanted = call.id("message")
    found = next((one for one in place.messages if one.id == wanted and not one.deleted), None)
    if found is None or found.hidden:
        raise Refusal(404, 10008, "Unknown Message")
    return found


async def channel(call: Call) -> Any:
    return _place(call).to_json()


async def history(call: Call) -> Any:
    """Newest first, as the platform tells them."""
    place, query = _place(call), call.request.query
    after, before = int(query.get("after", 0)), int(query.get("before", 1 << 63))
    shown = [one for one in place.messages if after < one.id < before and not one.deleted and not one.hidden]
    most = min(HISTORY_MAX, int(query.get("limit", 50)))
    chosen = shown[:most] if after else shown[-most:]
    return [message.to_json() for message in reversed(chosen)]


async def message(call: Call) -> Any:
    return _message(call).to_json()


async def write(call: Call) -> Any:
    bot = call.bot
    place = call.discord.place(call.id("channel"))
    data = await call.body()
    if place is None:
        raise Refusal(404, 10003, "Unknown Channel")
    place.admit(bot, bool(call.files))
    known = _written_before(call, place, data)
    if known is not None:
        return known.to_json()
    new = Message(call.discord.snowflake(), place, call.now, bot=bot, nonce=str(data.get("nonce") or ""))
    new.reply_to = _reply(place, data.get("message_reference"))
    new.change(data, call.attached(data, place.attachment_bytes_max))
    call.discord.post(new)
    return new.to_json()


def _written_before(call: Call, place: Place, data: Any) -> Message | None:
    """The message that carries the same nonce, of some minutes ago at most."""
    nonce = str(data.get("nonce") or "")
    if len(nonce) > NONCE_MAX:
        raise malformed("nonce", "NONCE_TYPE_TOO_LONG", f"Must be {NONCE_MAX} or fewer in length.")
    if not nonce or not data.get("enforce_nonce"):
        return None
    recent = (one for one in place.messages if one.at > call.now - NONCE_SECONDS)
    return next((one for one in recent if one.bot is call.bot and one.nonce == nonce), None)


def _reply(place: Place, reference: Any) -> int | None:
    if not reference:
        return None
    wanted = int(reference["message_id"])
    if any(one.id == wanted and not one.deleted for one in place.messages):
        return wanted
    if reference.get("fail_if_not_exists", True):
        raise Refusal(400, 50035, "Invalid Form Body: unknown message")
    return None


async def edit(call: Call) -> Any:
    data = await call.body()
    found = _message(call)
    if found.bot is not call.bot:
        raise Refusal(403, 50005, "Cannot edit a message authored by another user")
    found.change(data, call.attached(data, found.place.attachment_bytes_max))
    found.edited_at = call.now
    call.discord.changes.tell(found)
    return found.to_json()


async def delete(call: Call) -> Any:
    found = _message(call)
    if found.bot is not call.bot and not found.place.permissions(call.bot) & PERMISSIONS["MANAGE_MESSAGES"]:
        raise Refusal(403, 50013, "Missing Permissions")
    found.deleted = True
    call.discord.changes.tell(found)


async def typing(call: Call) -> Any:
    place = _place(call)
    place.actions.append("typing")
    call.discord.changes.tell()


async def open_direct(call: Call) -> Any:
    wanted = int((await call.body())["recipient_id"])
    person = call.discord.people.get(wanted)
    if person is None:
        raise Refusal(400, 50033, "Invalid Recipient(s)")
    return call.discord.chat(person, call.bot).to_json()


async def member(call: Call) -> Any:
    group = call.discord.groups.get(call.id("guild"))
    person = call.discord.people.get(call.id("user"))
    if group is None or call.bot not in group.bots:
        raise Refusal(403, 50001, "Missing Access")
    if person is None or person not in group.people:
        raise Refusal(404, 10007, "Unknown Member")
    return person.member_json(group)


async def guild(call: Call) -> Any:
    group: Group | None = call.discord.groups.get(call.id("guild"))
    if group is None or call.bot not in group.bots:
        raise Refusal(403, 50001, "Missing Access")
    return call.discord.guild_json(group)


ROUTES: list[Route] = [
    ("POST", "/users/@me/channels", open_direct),
    ("GET", "/channels/{channel}", channel),
    ("GET", "/channels/{channel}/messages", history),
    ("POST", "/channels/{channel}/messages", write),
    ("GET", "/channels/{channel}/messages/{message}", message),
    ("PATCH", "/channels/{channel}/messages/{message}", edit),
    ("DELETE", "/channels/{channel}/messages/{message}", delete),
    ("POST", "/channels/{channel}/typing", typing),
    ("GET", "/guilds/{guild}", guild),
    ("GET", "/guilds/{guild}/members/{user}", member),
]
