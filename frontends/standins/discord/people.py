"""A person on Discord: commands, presses and forms become interactions, words become messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frontends.standins import person as words
from frontends.standins import seeing
from frontends.standins.discord import commands, components
from frontends.standins.discord.bots import Bot, locale
from frontends.standins.discord.messages import Message, stamp
from frontends.standins.discord.places import Direct, Group, Place
from frontends.standins.person import WITHIN_SECONDS, Answer, Button, Form

if TYPE_CHECKING:
    from frontends.standins.discord.discord import Discord
    from frontends.standins.discord.interactions import Interaction

JOINED_AT = 1_700_000_000.0
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5


@dataclass(eq=False)
class Person:
    discord: Discord
    id: int
    name: str
    language: str

    @property
    def locale(self) -> str:
        return locale(self.language)

    async def says(
        self, text: str, *, to: words.Bot, where: words.Place | None = None, reply_to: words.Message | None = None
    ) -> Message | None:
        bot, place = self._bot(to), self._place(to, where)
        if text.startswith("/"):
            name, _, rest = text[1:].partition(" ")
            command = commands.find(bot.offered(self, place), name, commands.CHAT, self.locale)
            options = commands.typed(command, rest, self.locale)
            await self._call(bot, place, command, options, {})
            return None
        return await self._write(place, text, reply_to)

    async def calls(
        self,
        bot: words.Bot,
        name: str,
        *,
        where: words.Place | None = None,
        files: dict[str, tuple[str, bytes]] | None = None,
        **options: Any,
    ) -> Interaction:
        """Use a command by its options, as the client's own form would; `files` are name and bytes."""
        own, place = self._bot(bot), self._place(bot, where)
        command = commands.find(own.offered(self, place), name, commands.CHAT, self.locale)
        attached = {key: self.discord.store(*file) for key, file in (files or {}).items()}
        values = options | {key: str(attachment.id) for key, attachment in attached.items()}
        resolved = {str(attachment.id): attachment.to_json() for attachment in attached.values()}
        return await self._call(own, place, command, commands.filled(command, values), {"attachments": resolved})

    async def uses(self, name: str, *, on: words.Message, of: words.Bot) -> Interaction:
        """A command from the menu of a message."""
        own, message = self._bot(of), self._own(on)
        command = commands.find(own.offered(self, message.place), name, commands.ON_MESSAGE, self.locale)
        resolved = {"messages": {str(message.id): message.to_json()}}
        data = {"id": command["id"], "name": command["name"], "type": commands.ON_MESSAGE}
        data |= {"target_id": str(message.id), "resolved": resolved}
        return await self.discord.asks(own, self, message.place, COMMAND, data)

    async def completes(
        self,
        bot: words.Bot,
        name: str,
        option: str,
        typed: str,
        *,
        where: words.Place | None = None,
        within: float = WITHIN_SECONDS,
    ) -> list[str]:
        """The suggestions for what is typed into an option."""
        own, place = self._bot(bot), self._place(bot, where)
        command = commands.find(own.offered(self, place), name, commands.CHAT, self.locale)
        wanted = next(one for one in command["options"] if one["name"] == option)
        assert wanted.get("autocomplete"), f"{option} suggests nothing"
        focused = {"name": option, "type": wanted["type"], "value": typed, "focused": True}
        data = {"id": command["id"], "name": command["name"], "type": commands.CHAT, "options": [focused]}
        asked = await self.discord.asks(own, self, place, AUTOCOMPLETE, data)
        await self._acknowledged(asked, within)
        return [commands.localized(choice, "name", self.locale) for choice in asked.choices or []]

    async def sends_photo(
        self,
        photo: bytes,
        caption: str = "",
        *,
        to: words.Bot,
        where: words.Place | None = None,
        reply_to: words.Message | None = None,
        name: str = "photo.png",
    ) -> Message | None:
        bot, place = self._bot(to), self._place(to, where)
        attachment = self.discord.store(name, photo)
        if not caption.startswith("/"):
            return await self._write(place, caption, reply_to, attachment)
        called, _, rest = caption[1:].partition(" ")
        command = commands.find(bot.offered(self, place), called, commands.CHAT, self.locale)
        taking = [one for one in command.get("options") or [] if one["type"] == commands.ATTACHMENT]
        assert taking, f"/{called} takes no picture"
        options = commands.typed(command, f"{rest} {taking[0]['name']}:{attachment.id}".strip(), self.locale)
        await self._call(bot, place, command, options, {"attachments": {str(attachment.id): attachment.to_json()}})
        return None

    async def presses(self, button: Button, choice: str = "", *, within: float = WITHIN_SECONDS) -> Answer:
        message = self._own(button.message)
        offered = [one for row in message.buttons for one in row]
        assert button in offered, f"{button.label!r} is gone by now"
        assert button.enabled, f"{button.label!r} is disabled"
        if button.kind == "link":
            return Answer(url=button.url)
        assert message.bot is not None
        pressed = next(one for one in components.walk(message.components) if one.get("custom_id") == button.data)
        values = [choice] if choice else []
        data = {"custom_id": button.data, "component_type": pressed["type"], "id": pressed["id"], "values": values}
        asked = await self.discord.asks(message.bot, self, message.place, COMPONENT, data, message)
        await self._acknowledged(asked, within)
        return asked.answer

    async def answers(
        self, question: words.Message | Form, text: str, *, within: float = WITHIN_SECONDS, **fields: str
    ) -> Answer:
        if not isinstance(question, Form):
            assert question.bot is not None
            await self.says(text, to=question.bot, where=question.place, reply_to=question)
            return Answer()
        modal = self.discord.modals[question.id, question.place.id, self.id]
        values = {question.fields[0].id: text} | fields
        for one in question.fields:
            typed = values.get(one.id, one.value)
            assert typed or not one.required, f"{one.label!r} is required"
            assert one.min_length <= len(typed) <= one.max_length or not typed, f"{one.label!r} has a wrong length"
        data = {"custom_id": question.id, "components": components.filled(modal["components"], values, _ids())}
        source = self._own(question.source) if question.source else None
        asked = await self.discord.asks(
            self._bot(question.bot), self, self._place(question.bot, question.place), MODAL, data, source
        )
        await self._acknowledged(asked, within)
        return asked.answer

    async def sees(
        self,
        what: str | Callable[[words.Message], object],
        *,
        by: words.Bot | None = None,
        where: words.Place | None = None,
        after: words.Message | None = None,
        within: float = WITHIN_SECONDS,
    ) -> Message:
        found = await seeing.until(self, self.discord.changes, what, by, where, after, within)
        assert isinstance(found, Message)
        return found

    def may_see(self, message: words.Message) -> bool:
        if not isinstance(message, Message) or message.viewer not in (None, self):
            return False
        place = message.place
        return place.person is self if isinstance(place, Direct) else self in place.people

    def messages(self, *, by: words.Bot | None = None, where: words.Place | None = None) -> list[words.Message]:
        places: list[Place] = [bot.chats[self.id] for bot in self.discord.bots.values() if self.id in bot.chats]
        places += self.discord.places(self)
        return seeing.shown(self, places, by, where)

    async def blocks(self, bot: words.Bot) -> None:
        self.discord.chat(self, bot).blocked = True

    async def unblocks(self, bot: words.Bot) -> None:
        self.discord.chat(self, bot).blocked = False

    def installs(self, bot: words.Bot) -> None:
        """Bring the bot along everywhere."""
        self._bot(bot).installed_by.add(self)

    def shares_place_with(self, bot: Bot) -> bool:
        shared = any(self in group.people and bot in group.bots for group in self.discord.groups.values())
        return shared or self in bot.installed_by

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.name.lower(),
            "discriminator": "0",
            "global_name": self.name,
            "avatar": None,
            "bot": False,
            "public_flags": 0,
        }

    def member_json(self, group: Group) -> dict[str, Any]:
        return {
            "user": self.to_json(),
            "roles": [],
            "joined_at": stamp(JOINED_AT),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
            "permissions": str(group.rights_of(self)),
        }

    async def _call(
        self, bot: Bot, place: Place, command: Any, options: list[dict[str, Any]], resolved: dict[str, Any]
    ) -> Interaction:
        data = {"id": command["id"], "name": command["name"], "type": commands.CHAT, "options": options}
        if resolved:
            data["resolved"] = resolved
        return await self.discord.asks(bot, self, place, COMMAND, data)

    async def _write(self, place: Place, text: str, reply_to: words.Message | None, *attachments: Any) -> Message:
        message = Message(self.discord.snowflake(), place, self.discord.clock.now(), person=self, content=text)
        message.attachments = list(attachments)
        message.reply_to = reply_to.id if reply_to else None
        await self.discord.said(message)
        return message

    async def _acknowledged(self, asked: Interaction, within: float) -> None:
        await self.discord.changes.until(
            lambda: asked.acknowledged, within, lambda: f"{asked.bot.name} did not acknowledge"
        )

    def _bot(self, bot: words.Bot) -> Bot:
        assert isinstance(bot, Bot)
        return bot

    def _place(self, bot: words.Bot, where: words.Place | None) -> Place:
        if where is None:
            return self.discord.chat(self, bot)
        assert isinstance(where, Direct | Group)
        return where

    def _own(self, message: words.Message) -> Message:
        assert isinstance(message, Message)
        assert not message.deleted, "the message was deleted"
        return message


def _ids() -> itertools.count[int]:
    return itertools.count(1)
