"""A message in a chat, as the person sees it and as a bot gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyrogram.raw import types as tl

from frontends.standins import seeing
from frontends.standins.person import Button, Invoice, Media, Run
from frontends.standins.telegram.files import File
from frontends.standins.telegram.layer import (
    asks_for_reply,
    button_data,
    button_kind,
    button_style,
    button_url,
    inline_rows,
    only_known,
)
from frontends.standins.telegram.texts import runs

if TYPE_CHECKING:
    from frontends.standins.telegram.bots import Bot
    from frontends.standins.telegram.people import Person
    from frontends.standins.telegram.places import Place


@dataclass(eq=False)
class Message:
    id: int
    place: Place
    at: float
    bot: Bot | None = None
    person: Person | None = None
    text: str = ""
    entities: list[Any] = field(default_factory=list)
    markup: Any = None
    file: File | None = None
    spoiler: bool = False
    album: int | None = None
    reply_to: int | None = None
    invoice: Invoice | None = None
    action: Any = None
    """Of a service message (somebody joined, paid, was refunded)."""
    deleted: bool = False
    edits: list[str] = field(default_factory=list)
    edited_at: float | None = None
    reactions: list[str] = field(default_factory=list)
    """Of bots."""

    thinking = hidden = False
    caused_by = ""

    @property
    def author(self) -> str:
        author = self.bot or self.person
        return author.name if author else ""

    @property
    def asks(self) -> bool:
        return asks_for_reply(self.markup)

    @property
    def media(self) -> list[Media]:
        return [self.file.media(self.spoiler)] if self.file else []

    @property
    def runs(self) -> list[Run]:
        return runs(self.text, self.entities)

    @property
    def buttons(self) -> list[list[Button]]:
        return [[self._button(button) for button in row] for row in inline_rows(self.markup)]

    def button(self, label: str) -> Button:
        return seeing.button(self, label)

    def _button(self, button: Any) -> Button:
        data = button_data(button).decode("utf-8", "replace")
        return Button(self, button.text, data, button_url(button), button_kind(button), style=button_style(button))

    def to_tl(self, bot: Bot) -> Any:
        """As this bot gets it."""
        sender = tl.PeerUser(user_id=(self.bot or self.person or bot).id)
        common = {
            "id": self.id,
            "peer_id": self.place.peer(),
            "date": int(self.at),
            "out": self.bot is bot or None,
            "from_id": None if self.place.private and self.bot else sender,
            "reply_to": only_known(tl.MessageReplyHeader, reply_to_msg_id=self.reply_to) if self.reply_to else None,
        }
        if self.action is not None:
            return only_known(tl.MessageService, **common, action=self.action)
        return only_known(
            tl.Message,
            **common,
            message=self.text,
            media=self._media(),
            reply_markup=self.markup,
            entities=self.entities or None,
            grouped_id=self.album,
            edit_date=int(self.edited_at) if self.edited_at else None,
        )

    def _media(self) -> Any:
        if self.invoice:
            return tl.MessageMediaInvoice(
                title=self.invoice.title,
                description=self.invoice.description,
                currency=self.invoice.currency,
                total_amount=self.invoice.amount,
                start_param="",
            )
        return self.file.to_tl(self.spoiler) if self.file else None
