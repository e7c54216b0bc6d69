"""Logging in, who is who, and what was missed."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.files import DATA_CENTRE
from frontends.standins.telegram.layer import BOOL_TRUE, only_known, unbare, vector
from frontends.standins.telegram.limits import CAPTION_UNITS_MAX, TEXT_UNITS_MAX, Refusal
from frontends.standins.telegram.wire import HOST

CONFIG_SECONDS = 3600


async def config(call: Call) -> Any:
    wire, now = call.telegram.wire, int(call.now)
    zeros = {name: 0 for name in tl.Config.__slots__ if name.endswith(("_ms", "_limit", "_max", "_decay"))}
    zeros |= {"message_length_max": TEXT_UNITS_MAX, "caption_length_max": CAPTION_UNITS_MAX}
    doors = [
        tl.DcOption(id=DATA_CENTRE, ip_address=HOST, port=wire.port),
        tl.DcOption(id=DATA_CENTRE, ip_address=HOST, port=wire.media_port, media_only=True),
    ]
    return only_known(
        tl.Config,
        **zeros,
        date=now,
        expires=now + CONFIG_SECONDS,
        test_mode=False,
        this_dc=DATA_CENTRE,
        dc_options=doors,
        dc_txt_domain_name="",
        me_url_prefix="https://t.me/",
        webfile_dc_id=DATA_CENTRE,
        channels_read_media_period=0,
    )


async def log_in(call: Call) -> Any:
    bots = call.telegram.bots.values()
    bot = next((bot for bot in bots if bot.token == call.request.bot_auth_token), None)
    if bot is None or bot.revoked:
        raise Refusal(400, "ACCESS_TOKEN_INVALID" if bot is None else "ACCESS_TOKEN_EXPIRED")
    bot.auth_keys.add(call.session.auth_key)
    return only_known(tl.auth.Authorization, user=bot.to_tl())


async def log_out(call: Call) -> Any:
    call.bot.auth_keys.discard(call.session.auth_key)
    return only_known(tl.auth.LoggedOut)


async def users(call: Call) -> Any:
    found = []
    for wanted in map(unbare, call.request.id):
        user_id = getattr(wanted, "user_id", None)
        if isinstance(wanted, tl.InputUserSelf) or user_id == call.bot.id:
            found.append(call.bot.to_tl())
        elif user_id in call.telegram.people:
            found.append(call.telegram.people[user_id].to_tl())
    return vector(found)


async def full_user(call: Call) -> Any:
    wanted = call.request.id
    person = None if isinstance(wanted, tl.InputUserSelf) else call.telegram.people.get(wanted.user_id)
    user = person or call.bot
    full = only_known(
        tl.UserFull,
        id=user.id,
        settings=only_known(tl.PeerSettings),
        notify_settings=only_known(tl.PeerNotifySettings),
        common_chats_count=0,
    )
    return tl.users.UserFull(chats=[], users=[user.to_tl()], full_user=full)


def _state(call: Call) -> Any:
    return tl.updates.State(pts=call.bot.pts, qts=0, date=int(call.now), seq=0, unread_count=0)


async def state(call: Call) -> Any:
    return _state(call)


async def difference(call: Call) -> Any:
    """What came while the client was away: new messages, then the rest; of supergroups only that there is more."""
    grown = [call.telegram.groups[id] for id in call.bot.changed(call.request.date)]
    missed = call.bot.missed(call.request.pts)
    missed += [tl.UpdateChannelTooLong(channel_id=group.id, pts=group.pts) for group in grown]
    if not missed:
        return tl.updates.DifferenceEmpty(date=int(call.now), seq=0)
    new = [update.message for update in missed if isinstance(update, tl.UpdateNewMessage)]
    groups = [group for group in call.telegram.groups.values() if call.bot in group.bots]
    people = [*(chat.person for chat in call.bot.chats.values()), *(one for group in groups for one in group.people)]
    return tl.updates.Difference(
        new_messages=new,
        new_encrypted_messages=[],
        other_updates=[update for update in missed if not isinstance(update, tl.UpdateNewMessage)],
        chats=[group.to_tl() for group in groups],
        users=[call.bot.to_tl(), *(person.to_tl() for person in dict.fromkeys(people))],
        state=_state(call),
    )


async def resolve(call: Call) -> Any:
    """Who is behind a @username: bots alone have one here."""
    wanted = call.request.username.lower()
    bot = next((bot for bot in call.telegram.bots.values() if bot.name.lower() == wanted), None)
    if bot is None:
        raise Refusal(400, "USERNAME_NOT_OCCUPIED")
    return tl.contacts.ResolvedPeer(peer=tl.PeerUser(user_id=bot.id), chats=[], users=[bot.to_tl()])


async def no_password(call: Call) -> Any:
    raise Refusal(400, "BOT_METHOD_INVALID")


async def online(call: Call) -> Any:
    return BOOL_TRUE


METHODS: dict[str, Method] = {
    "help.GetConfig": config,
    "auth.ImportBotAuthorization": log_in,
    "auth.LogOut": log_out,
    "users.GetUsers": users,
    "users.GetFullUser": full_user,
    "updates.GetState": state,
    "updates.GetDifference": difference,
    "contacts.ResolveUsername": resolve,
    "account.GetPassword": no_password,
    "account.UpdateStatus": online,
}
