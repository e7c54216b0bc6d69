"""What the platform tells, as events of the dialogue: commands, presses, windows that were sent off, words.

Interactions and messages come as the gateway's own JSON and are read by the library; a message in a server is looked at
only if it names the bot, for everybody's talk passes by here. The address in `message` leads back to the interaction
even after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import hikari

from frontends.bots.dialogue import payload
from frontends.bots.dialogue.commands import COMMANDS, CONTEXT_ACTIONS
from frontends.bots.dialogue.events import Command, Filled, Message, Person, Picture, Pressed
from frontends.bots.dialogue.state import Scene
from frontends.bots.discord import options
from frontends.bots.discord.addresses import Address
from frontends.bots.discord.answering import Promise
from frontends.bots.limits import DISCORD
from frontends.bots.settings import DiscordSettings

ADMINISTRATORS = hikari.Permissions.ADMINISTRATOR | hikari.Permissions.MANAGE_GUILD
TOKEN_SECONDS = (DISCORD.token_seconds or 0.0) - 5.0
"""For how long an answer is edited by its token: a little less than the platform allows."""
WORDS = frozenset({hikari.MessageType.DEFAULT, hikari.MessageType.REPLY})
TYPED_COMMAND = ("/", "!")
"""What a command begins with where it is typed as a message: those that are in no menu."""
PRIVATE_FORMS = frozenset({"reported", "code", "invite"})
"""Forms whose answer is for the person alone."""

Raw = Mapping[str, Any]


class Heard(NamedTuple):
    """What happened, and where."""

    scene: Scene
    event: Command | Message | Pressed | Filled
    origin: Address
    promise: Promise = "message"


def interaction(settings: DiscordSettings, raw: Raw, told: hikari.PartialInteraction, at: float) -> Heard | None:
    """A command, a press, or a window that was sent off; None for anything else."""
    scene = _scene(settings, raw, told)
    who = _person(told)
    given: dict[str, Any] = {"id": str(told.id), "at": at, "who": who}
    origin = Address(int(told.channel_id), 0, at + TOKEN_SECONDS, told.token)
    match told:
        case hikari.CommandInteraction():
            event = _command(told, given, origin)
            return Heard(scene, event, origin, _promised(event, scene))
        case hikari.ComponentInteraction():
            origin = origin._replace(message=int(told.message.id))
            pressed = Pressed(**given, payload=told.custom_id, message=str(origin))
            return Heard(scene, pressed, origin, "nod")
        case hikari.ModalInteraction():
            origin = origin._replace(message=int(told.message.id) if told.message is not None else 0)
            filled = Filled(**given, form=told.custom_id, fields=_fields(told), message=str(origin))
            meant = payload.read(told.custom_id)
            private = scene.group and meant is not None and meant.action in PRIVATE_FORMS
            return Heard(scene, filled, origin, "hidden" if private else "message")
    return None


def names(raw: Raw, me: int) -> bool:
    """Whether a message, as the gateway tells it, is for this bot: said in private, or by its name."""
    if raw["author"].get("bot") or raw.get("webhook_id"):
        return False
    named = any(int(user["id"]) == me for user in raw.get("mentions", ()))
    return "guild_id" not in raw or named or f"<@{me}>" in raw.get("content", "")


def message(settings: DiscordSettings, told: hikari.Message, me: int, at: float) -> Heard | None:
    """Words or a picture; None for what is no talk, such as somebody joining."""
    if told.type not in WORDS:
        return None
    channel = int(told.channel_id)
    group = told.guild_id is not None
    scene = Scene(**_bot(settings), chat=str(channel), group=group, subject=str(told.author.id))
    replied = told.referenced_message if isinstance(told.referenced_message, hikari.PartialMessage) else None
    text = (told.content or "").replace(f"<@{me}>", "").replace(f"<@!{me}>", "").strip()
    origin = Address(channel, int(told.id))
    given: dict[str, Any] = {
        "id": str(told.id),
        "at": at,
        "who": Person(subject=str(told.author.id)),
        "text": text,
        "picture": _picture(told.attachments) or _picture(_of(replied)),
        "about": about(replied.components or ()) if replied is not None else "",
        "message": str(origin),
    }
    if text.startswith(TYPED_COMMAND) and (name := text[1:].partition(" ")[0]) in {one.name for one in COMMANDS}:
        return Heard(scene, Command(**given | {"name": name, "text": text[1 + len(name) :].strip()}), origin)
    answers = str(Address(channel, int(replied.id))) if replied is not None else ""
    return Heard(scene, Message(**given, answers=answers, addressed=True), origin)


def about(components: Iterable[Any]) -> str:
    """The payload of a button that says which job a message shows; empty when there is none."""
    for row in components:
        for component in getattr(row, "components", ()):
            carried = getattr(component, "custom_id", None) or ""
            meant = payload.read(carried)
            if meant is not None and meant.job_id is not None:
                return str(carried)
    return ""


def button_of(command: Command) -> str:
    """The payload of the button that a command on a message stands for; empty for any other command."""
    meant = payload.read(command.about) if command.about else None
    if meant is None or meant.job_id is None or command.name not in CONTEXT_ACTIONS:
        return ""
    return payload.written(CONTEXT_ACTIONS[command.name], meant.job_id, meant.owner)


def _command(told: hikari.CommandInteraction, given: dict[str, Any], origin: Address) -> Command:
    resolved = told.resolved
    if told.command_type is hikari.CommandType.MESSAGE:
        target = next(iter(resolved.messages.values())) if resolved is not None else None
        shown = about(target.components) if target is not None else ""
        picture = None if shown or target is None else _picture(target.attachments)
        return Command(**given, name=told.command_name.lower(), picture=picture, about=shown, message=str(origin))
    chosen = {option.name: option.value for option in told.options or ()}
    attached = resolved.attachments if resolved is not None else {}
    sent = attached.get(chosen.get(options.PICTURE))  # type: ignore[call-overload]  # a snowflake, or not there
    return Command(
        **given,
        name=told.command_name,
        text=options.text(told.command_name, chosen),
        picture=_picture([sent] if sent is not None else []),
        message=str(origin),
    )


def _promised(command: Command, scene: Scene) -> Promise:
    """For whom the answer to a command will be."""
    private = {one.name: one.private for one in COMMANDS} | dict.fromkeys(CONTEXT_ACTIONS, False)
    return "hidden" if scene.group and private.get(command.name, True) else "message"


def _scene(settings: DiscordSettings, raw: Raw, told: hikari.PartialInteraction) -> Scene:
    limit = told.attachment_size_limit
    return Scene(
        **_bot(settings),
        chat=str(told.channel_id),
        group=told.context is not hikari.ApplicationContextType.BOT_DM,
        adult=bool(raw.get("channel", {}).get("nsfw")),
        file_bytes=limit if limit != DISCORD.file_bytes else None,
        subject=str(told.user.id),
    )


def _bot(settings: DiscordSettings) -> dict[str, Any]:
    return {"bot": settings.name, "makes": settings.makes, "platform_name": "discord"}


def _person(told: hikari.PartialInteraction) -> Person:
    rights = told.member.permissions if told.member is not None else hikari.Permissions.NONE
    return Person(subject=str(told.user.id), language_code=str(told.locale), is_admin=bool(rights & ADMINISTRATORS))


def _fields(told: hikari.ModalInteraction) -> dict[str, str]:
    return {field.custom_id: field.value for row in told.components for field in row.components}


def _of(told: hikari.PartialMessage | None) -> Sequence[hikari.Attachment]:
    found = told.attachments if told is not None else ()
    return found if isinstance(found, Sequence) else ()


def _picture(attachments: Sequence[hikari.Attachment]) -> Picture | None:
    """The first picture; its address is good for as long as the platform likes, some hours at least."""
    for one in attachments:
        kind = one.media_type or ""
        if kind.startswith("image/"):
            return Picture(reference=one.url, bytes=one.size, mime_type=kind)
    return None
