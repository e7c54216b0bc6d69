"""What a person asked of a bot by a command, a press, a form or by typing, and how far it was answered.

An answer must begin within three seconds; its token is good for fifteen minutes
(https://discord.com/developers/docs/interactions/receiving-and-responding).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from frontends.standins.discord.bots import Bot
from frontends.standins.discord.commands import CHAT
from frontends.standins.discord.components import fields
from frontends.standins.discord.limits import ACKNOWLEDGE_SECONDS, TOKEN_SECONDS, Refusal
from frontends.standins.discord.messages import Message
from frontends.standins.discord.people import Person
from frontends.standins.discord.places import TEXT_CHANNEL, Group, Place
from frontends.standins.person import Answer, Form

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
GUILD_LOCALE = "en-US"


@dataclass(eq=False)
class Interaction:
    id: int
    token: str
    bot: Bot
    person: Person
    place: Place
    kind: int
    data: dict[str, Any]
    at: float
    source: Message | None = None
    """The message whose button was pressed or opened the form."""
    acknowledged: bool = False
    response: Message | None = None
    modal: dict[str, Any] | None = None
    choices: list[dict[str, Any]] | None = None
    follow_ups: list[Message] = field(default_factory=list)

    def overdue(self, now: float) -> bool:
        return now - self.at > ACKNOWLEDGE_SECONDS

    def admit(self, now: float) -> None:
        """Raises the refusal when its token is of no use now."""
        if now - self.at > TOKEN_SECONDS:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        if not self.acknowledged:
            raise Refusal(404, 10015, "Unknown Webhook")

    @property
    def answer(self) -> Answer:
        """What the person got at once."""
        said = self.response if self.response is not self.source else None
        return Answer(said.text if said and not said.thinking else None, form=self.form, message=self.response)

    @property
    def shown(self) -> str:
        """As the client shows above the answer what it answers."""
        slash = "/" if self.data.get("type") == CHAT else ""
        return f"{self.person.name} used {slash}{self.data['name']}" if self.kind == COMMAND else ""

    @property
    def form(self) -> Form | None:
        if self.modal is None:
            return None
        inputs = tuple(fields(self.modal["components"]))
        return Form(self.modal["custom_id"], self.modal["title"], inputs, self.bot, self.place, self.source)

    @property
    def metadata(self) -> dict[str, Any]:
        """As a message tells what it answers."""
        told: dict[str, Any] = {
            "id": str(self.id),
            "type": self.kind,
            "user": self.person.to_json(),
            "authorizing_integration_owners": self.bot.owners(self.person, self.place),
        }
        if self.kind == COMPONENT and self.source:
            told["interacted_message_id"] = str(self.source.id)
        if self.kind == MODAL:
            told["triggering_interaction_metadata"] = told | {"type": COMMAND}
        return told

    def to_json(self) -> dict[str, Any]:
        place = self.place
        channel: dict[str, Any] = {"id": str(place.id), "type": place.to_json()["type"]}
        told: dict[str, Any] = {
            "id": str(self.id),
            "application_id": str(self.bot.id),
            "type": self.kind,
            "token": self.token,
            "version": 1,
            "data": self.data,
            "channel": channel,
            "channel_id": str(place.id),
            "locale": self.person.locale,
            "app_permissions": str(place.permissions(self.bot)),
            "entitlements": [],
            "authorizing_integration_owners": self.bot.owners(self.person, place),
            "context": place.context,
            "attachment_size_limit": place.attachment_bytes_max,
        }
        if self.source is not None:
            told["message"] = self.source.to_json()
        if not isinstance(place, Group):
            return told | {"user": self.person.to_json()}
        channel |= {"type": TEXT_CHANNEL, "name": "general", "permissions": str(place.rights_of(self.person))}
        channel |= {"nsfw": place.adult, "guild_id": str(place.guild_id)}
        member = self.person.member_json(place)
        return told | {"guild_id": str(place.guild_id), "guild_locale": GUILD_LOCALE, "member": member}
