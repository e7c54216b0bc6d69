"""What the page's script is told: bots, chats and messages as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontends.standins.person import Answer, Bot, Button, Command, Form, Message, Person, Place, Platform, Run

Platforms = Mapping[str, Platform]


def bots(platforms: Platforms, language: str) -> dict[str, Any]:
    """Every bot with its menu, by platform."""
    return {name: [bot(one, language) for one in platform.roster()] for name, platform in platforms.items()}


def bot(one: Bot, language: str) -> dict[str, Any]:
    menu = [command(known) for known in one.menu(language)]
    return {"id": str(one.id), "name": one.name, "connected": one.connected, "menu": menu}


def command(known: Command) -> dict[str, Any]:
    return {"name": known.name, "description": known.description, "on": known.on, "options": list(known.options)}


def chats(platforms: Platforms, person: int) -> dict[str, Any]:
    """Every private chat and group of a person, by platform; a chat that a bot never wrote in is there too."""
    return {name: _chats(platform, platform.person(person)) for name, platform in platforms.items()}


def _chats(platform: Platform, person: Person) -> list[dict[str, Any]]:
    own = [chat(platform.chat(person, one), one) for one in platform.roster()]
    return own + [chat(place, None) for place in platform.places(person)]


def chat(place: Place, one: Bot | None) -> dict[str, Any]:
    return {"id": str(place.id), "title": place.title, "bot": str(one.id) if one else None}


def place_key(place: Place) -> str:
    """By what the script finds the chat of a message: a private one by its bot, as people may have the same id."""
    bot_of_place: Bot | None = getattr(place, "bot", None)
    return f"bot:{bot_of_place.id}" if bot_of_place is not None else f"group:{place.id}"


def message(platform: str, one: Message) -> dict[str, Any]:
    return {
        "platform": platform,
        "id": str(one.id),
        "chat": place_key(one.place),
        "bot": str(one.bot.id) if one.bot else None,
        "author": one.author,
        "caused_by": one.caused_by,
        "runs": [run(part) for part in one.runs],
        "buttons": [[button(pressed) for pressed in row] for row in one.buttons],
        "media": [
            {
                "kind": media.kind,
                "name": media.name,
                "mime_type": media.mime_type,
                "width": media.width,
                "height": media.height,
                "bytes": len(media.data),
                "spoiler": media.spoiler,
                "description": media.description,
                "url": f"/media/{platform}/{one.id}/{index}?edit={len(one.edits)}",
            }
            for index, media in enumerate(one.media)
        ],
        "edited": bool(one.edits),
        "deleted": one.deleted,
        "thinking": one.thinking,
        "hidden": one.hidden,
        "asks": one.asks,
        "album": str(one.album) if one.album else None,
        "reply_to": str(one.reply_to) if one.reply_to else None,
        "invoice": invoice(one),
        "at": one.at,
    }


def invoice(one: Message) -> dict[str, Any] | None:
    bill = one.invoice
    if bill is None:
        return None
    return {"title": bill.title, "description": bill.description, "amount": bill.amount, "paid": bill.paid}


def run(part: Run) -> dict[str, Any]:
    return {
        "text": part.text,
        "styles": sorted(part.styles),
        "url": part.url,
        "time": part.time,
        "format": part.format,
    }


def button(one: Button) -> dict[str, Any]:
    return {
        "label": one.label,
        "kind": one.kind,
        "url": one.url,
        "enabled": one.enabled,
        "style": one.style,
        "choices": [{"label": label, "value": value} for label, value in one.choices],
    }


def answer(got: Answer, form_key: str | None) -> dict[str, Any]:
    """`form_key` is what the script sends back with a filled form."""
    hidden = got.message is not None and got.message.hidden
    return {
        "text": None if hidden or got.message else got.text,
        "alert": got.alert,
        "url": got.url,
        "form": form(got.form, form_key) if got.form and form_key else None,
    }


def form(opened: Form, key: str) -> dict[str, Any]:
    fields = [
        {
            "id": field.id,
            "label": field.label,
            "value": field.value,
            "required": field.required,
            "long": field.long,
            "min_length": field.min_length,
            "max_length": field.max_length,
            "placeholder": field.placeholder,
        }
        for field in opened.fields
    ]
    return {"key": key, "title": opened.title, "fields": fields}
