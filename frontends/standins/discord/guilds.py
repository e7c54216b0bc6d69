"""A server as the API tells it: mostly what it does not have."""

from __future__ import annotations

from typing import Any

from frontends.standins.discord.messages import stamp
from frontends.standins.discord.people import JOINED_AT
from frontends.standins.discord.places import MEMBER_PERMISSIONS, PERMISSIONS, Group

NOT_THERE = (
    "icon splash discovery_splash afk_channel_id application_id widget_channel_id system_channel_id rules_channel_id "
    "vanity_url_code description banner public_updates_channel_id"
).split()
NONE_OF = "emojis stickers presences threads voice_states features stage_instances guild_scheduled_events".split()
ZERO = (
    "afk_timeout verification_level default_message_notifications explicit_content_filter mfa_level "
    "system_channel_flags premium_tier premium_subscription_count nsfw_level"
).split()


def to_json(group: Group) -> dict[str, Any]:
    everyone = {
        "id": str(group.guild_id),
        "name": "@everyone",
        "color": 0,
        "hoist": False,
        "position": 0,
        "permissions": str(MEMBER_PERMISSIONS),
        "managed": False,
        "mentionable": False,
    }
    bots = [
        {
            "user": bot.to_json(),
            "roles": [],
            "joined_at": stamp(JOINED_AT),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "permissions": str(PERMISSIONS["VIEW_CHANNEL"]),
        }
        for bot in group.bots
    ]
    return {
        **dict.fromkeys(NOT_THERE),
        **{name: [] for name in NONE_OF},
        **dict.fromkeys(ZERO, 0),
        "id": str(group.guild_id),
        "name": group.title,
        "owner_id": str(min(group.admins, default=1)),
        "roles": [everyone],
        "channels": [group.to_json()],
        "members": [*(person.member_json(group) for person in group.people), *bots],
        "member_count": len(group.people) + len(group.bots),
        "preferred_locale": "en-US",
        "joined_at": stamp(JOINED_AT),
        "large": False,
        "unavailable": False,
        "max_members": 500_000,
        "max_presences": None,
        "approximate_member_count": len(group.people) + len(group.bots),
        "approximate_presence_count": len(group.people) + len(group.bots),
        "max_video_channel_users": 25,
    }
