"""Who is in a group and who runs it."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.bots import Bot
from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import only_known
from frontends.standins.telegram.limits import Refusal
from frontends.standins.telegram.people import Person
from frontends.standins.telegram.places import Group

EVERY_RIGHT = dict.fromkeys(("change_info", "delete_messages", "ban_users", "invite_users", "pin_messages"), True)


async def full_chat(call: Call) -> Any:
    group = call.group(call.request.chat_id)
    members = [_plain_member(group, member) for member in _members(group)]
    full = only_known(
        tl.ChatFull,
        id=group.id,
        about="",
        participants=tl.ChatParticipants(chat_id=group.id, participants=members, version=1),
        notify_settings=only_known(tl.PeerNotifySettings),
    )
    return tl.messages.ChatFull(
        full_chat=full, chats=[group.to_tl()], users=[member.to_tl() for member in _members(group)]
    )


async def full_channel(call: Call) -> Any:
    group = call.group(call.request.channel.channel_id)
    full = only_known(
        tl.ChannelFull,
        id=group.id,
        about="",
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        chat_photo=tl.PhotoEmpty(id=0),
        notify_settings=only_known(tl.PeerNotifySettings),
        bot_info=[],
        pts=group.pts,
        participants_count=len(_members(group)),
        admins_count=len(group.admins),
    )
    return tl.messages.ChatFull(full_chat=full, chats=[group.to_tl()], users=[])


async def member(call: Call) -> Any:
    group = call.group(call.request.channel.channel_id)
    wanted = call.request.participant
    user_id = call.bot.id if isinstance(wanted, tl.InputPeerSelf) else getattr(wanted, "user_id", 0)
    found = next((one for one in _members(group) if one.id == user_id), None)
    if found is None:
        raise Refusal(400, "USER_NOT_PARTICIPANT")
    return tl.channels.ChannelParticipant(
        participant=_channel_member(group, found), chats=[group.to_tl()], users=[found.to_tl()]
    )


async def members(call: Call) -> Any:
    group = call.group(call.request.channel.channel_id)
    admins_only = isinstance(call.request.filter, tl.ChannelParticipantsAdmins)
    found = [one for one in _members(group) if not admins_only or one.id in group.admins]
    page = found[call.request.offset :][: call.request.limit]
    return tl.channels.ChannelParticipants(
        count=len(found),
        participants=[_channel_member(group, one) for one in page],
        chats=[group.to_tl()],
        users=[one.to_tl() for one in page],
    )


async def chats(call: Call) -> Any:
    wanted = [getattr(one, "channel_id", one) for one in call.request.id]
    return tl.messages.Chats(chats=[call.group(id).to_tl() for id in wanted])


async def channel_difference(call: Call) -> Any:
    """What came in a supergroup while the client was away."""
    group = call.group(call.request.channel.channel_id)
    missed = call.bot.missed(call.request.pts, group.id)
    if not missed:
        return tl.updates.ChannelDifferenceEmpty(pts=group.pts, final=True)
    return tl.updates.ChannelDifference(
        pts=group.pts,
        final=True,
        new_messages=[update.message for update in missed if isinstance(update, tl.UpdateNewChannelMessage)],
        other_updates=[update for update in missed if not isinstance(update, tl.UpdateNewChannelMessage)],
        chats=[group.to_tl()],
        users=[member.to_tl() for member in _members(group)],
    )


def _members(group: Group) -> list[Person | Bot]:
    return [*group.people, *group.bots]


def _plain_member(group: Group, one: Person | Bot) -> Any:
    if one.id not in group.admins:
        return only_known(tl.ChatParticipant, user_id=one.id, inviter_id=one.id, date=group.at)
    return only_known(tl.ChatParticipantAdmin, user_id=one.id, inviter_id=one.id, date=group.at)


def _channel_member(group: Group, one: Person | Bot) -> Any:
    if one.id not in group.admins:
        return only_known(tl.ChannelParticipant, user_id=one.id, date=group.at)
    rights = only_known(tl.ChatAdminRights, **EVERY_RIGHT)
    return only_known(
        tl.ChannelParticipantAdmin, user_id=one.id, promoted_by=one.id, date=group.at, admin_rights=rights
    )


METHODS: dict[str, Method] = {
    "messages.GetFullChat": full_chat,
    "messages.GetChats": chats,
    "channels.GetFullChannel": full_channel,
    "channels.GetParticipant": member,
    "channels.GetParticipants": members,
    "channels.GetChannels": chats,
    "updates.GetChannelDifference": channel_difference,
}
