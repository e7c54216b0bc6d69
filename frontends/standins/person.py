"""What a person is, does and sees in a chat with bots: the words that both stand-ins understand.

Tests and the page drive people by `Person` and look at `Message`; nothing here knows a platform. Telegram's
`ForceReply` and Discord's modal are both answered by `answers`; a press is answered by an `Answer`, which holds the
toast of Telegram, or the private message or the form of Discord.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from frontends.standins.changes import Changes

WITHIN_SECONDS = 5.0
"""How long a person waits when nothing else is said."""


@dataclass(frozen=True)
class Media:
    """A file in a message, as the person gets it."""

    kind: Literal["photo", "video", "animation", "document"]
    name: str
    mime_type: str
    data: bytes = field(repr=False)
    width: int = 0
    height: int = 0
    spoiler: bool = False
    description: str = ""
    url: str = ""
    """Where the platform serves it, if by HTTP."""


@dataclass(frozen=True)
class Run:
    """A piece of text with its looks. `time` (seconds since 1970) is shown by the person's own client, as `format`
    says: `r` ticking ("in 2 minutes"), else a date or an hour."""

    text: str
    styles: frozenset[str] = frozenset()
    url: str = ""
    time: int | None = None
    format: str = ""


@dataclass(frozen=True)
class Invoice:
    title: str
    description: str
    currency: str
    amount: int
    payload: bytes
    paid: bool = False


@dataclass(frozen=True)
class Field:
    """One field of a form."""

    id: str
    label: str
    value: str = ""
    required: bool = True
    long: bool = False
    min_length: int = 0
    max_length: int = 4000
    placeholder: str = ""


@dataclass(frozen=True)
class Form:
    """A modal that a bot opened."""

    id: str
    title: str
    fields: tuple[Field, ...]
    bot: Bot
    place: Place
    source: Message | None = None


@dataclass(frozen=True)
class Answer:
    """What a person got for a press. `text`: the toast or alert, or the private message; `form`: a modal."""

    text: str | None = None
    alert: bool = False
    url: str | None = None
    form: Form | None = None
    message: Message | None = None


@dataclass(frozen=True)
class Button:
    message: Message = field(repr=False)
    label: str
    data: str = ""
    """What the bot gets when it is pressed."""
    url: str = ""
    kind: Literal["press", "link", "pay", "copy", "choice", "other"] = "press"
    enabled: bool = True
    style: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """Of a `choice` (a select menu): label and value."""


@dataclass(frozen=True)
class Command:
    """A command that a bot registered, in the person's language. `on`: what it is called upon."""

    name: str
    description: str
    on: Literal["chat", "message", "user"] = "chat"
    options: tuple[str, ...] = ()


class Bot(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def connected(self) -> bool:
        """Whether updates would reach it now."""

    def menu(self, language: str) -> list[Command]:
        """Its commands as a client in this language lists them."""


class Place(Protocol):
    """A private chat or a group."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def private(self) -> bool: ...
    @property
    def messages(self) -> Sequence[Message]: ...


class Message(Protocol):
    """Live: what it is now. `edits` are its earlier texts."""

    @property
    def id(self) -> int: ...
    @property
    def bot(self) -> Bot | None:
        """The bot that wrote it; none when a person did."""

    @property
    def author(self) -> str: ...
    @property
    def place(self) -> Place: ...
    @property
    def text(self) -> str: ...
    @property
    def runs(self) -> list[Run]: ...
    @property
    def buttons(self) -> list[list[Button]]: ...
    @property
    def media(self) -> list[Media]: ...
    @property
    def edits(self) -> list[str]: ...
    @property
    def deleted(self) -> bool: ...
    @property
    def thinking(self) -> bool:
        """Promised, not yet there (Discord's deferred answer)."""

    @property
    def hidden(self) -> bool:
        """Only the person who caused it sees it."""

    @property
    def caused_by(self) -> str:
        """What it answers, where the platform shows that ("Ann used /generate")."""

    @property
    def asks(self) -> bool:
        """Wants a reply."""

    @property
    def album(self) -> int | None: ...
    @property
    def reply_to(self) -> int | None: ...
    @property
    def invoice(self) -> Invoice | None: ...
    @property
    def at(self) -> float:
        """Seconds since 1970."""

    def button(self, label: str) -> Button:
        """The button whose label contains this. Raises AssertionError with the labels that there are."""


class Person(Protocol):
    name: str
    language: str
    """What their client speaks, as a two-letter code."""

    @property
    def id(self) -> int: ...

    async def says(
        self, text: str, *, to: Bot, where: Place | None = None, reply_to: Message | None = None
    ) -> Message | None:
        """Write to a bot, in private unless `where`. "/name ..." is a command: on Discord it is called with the text
        as its first option of text ("name:value" words fill the others), and nothing is returned."""

    async def sends_photo(
        self,
        photo: bytes,
        caption: str = "",
        *,
        to: Bot,
        where: Place | None = None,
        reply_to: Message | None = None,
        name: str = "photo.jpg",
    ) -> Message | None:
        """A picture; a caption that is a command is one (on Discord: the picture is its first attachment)."""

    async def presses(self, button: Button, choice: str = "", *, within: float = WITHIN_SECONDS) -> Answer:
        """Press and wait for the bot's answer. Raises `NotSeen` when none comes."""

    async def answers(
        self, question: Message | Form, text: str, *, within: float = WITHIN_SECONDS, **fields: str
    ) -> Answer:
        """Reply to a message that asks, or fill a form: `text` in its first field, others by their ids."""

    async def sees(
        self,
        what: str | Callable[[Message], object],
        *,
        by: Bot | None = None,
        where: Place | None = None,
        after: Message | None = None,
        within: float = WITHIN_SECONDS,
    ) -> Message:
        """The newest message of a bot that contains this text, or for which this is true, as soon as there is one.
        Raises `NotSeen` with the chat as it is."""

    def may_see(self, message: Message) -> bool:
        """Whether it is in one of this person's chats, and not hidden from them. Deleted ones were."""

    def messages(self, *, by: Bot | None = None, where: Place | None = None) -> list[Message]:
        """What this person's chats show, oldest first: everybody's messages, those of one bot alone with `by`."""


@dataclass(frozen=True)
class Violation:
    """A limit of the platform that a bot broke; a bot that behaves has none."""

    bot: str
    call: str
    said: str
    place: int | None = None


class Platform(Protocol):
    """What the page needs of a stand-in."""

    @property
    def changes(self) -> Changes: ...
    @property
    def violations(self) -> list[Violation]: ...
    def roster(self) -> Sequence[Bot]: ...
    def person(self, id: int, name: str = "Ann", language: str = "en") -> Person: ...
    def chat(self, person: Person, bot: Bot) -> Place: ...
    def message(self, id: int) -> Message | None: ...
    def places(self, person: Person) -> Sequence[Place]:
        """The groups that this person is in."""
