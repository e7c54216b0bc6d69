"""What a conversation remembers: where it is, what was not acknowledged yet, and which messages show which jobs.

All of it is plain data; `write` and `read` make it one JSON document, which is saved before any effect is carried out.
It stays small: a job is forgotten when its end was told, everything older is found again through the API.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from control_plane.wire.job import JobView
from control_plane.wire.model import ModelView
from control_plane.wire.user import Limits, Preferences
from frontends.bots.dialogue.effects import Ask, Bill, Call, Delete, Edit, Say
from frontends.bots.language.bounds import Clipped
from frontends.bots.limits import PLATFORMS, Platform, PlatformName

SEEN_MAX = 64
"""Events of a person that are known when they come twice."""
FORMS_MAX = 20
DOOMED_MAX = 20
TOLD_MAX = 200
"""Jobs whose late news are known to be late."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where a conversation is: one person, in one chat, with one bot."""

    bot: str
    makes: Literal["image", "video"]
    platform_name: PlatformName
    chat: str
    group: bool = False
    """Whether others read along."""
    adult: bool = False
    """Whether the platform lets adult content be shown here."""
    file_bytes: int | None = None
    """The largest file here, where that is another than everywhere on the platform."""
    subject: str
    """The person, by their id on the platform."""

    @property
    def platform(self) -> Platform:
        return PLATFORMS[self.platform_name]

    @property
    def identity(self) -> str:
        """The person, as the API is told."""
        return f"{self.platform_name}:{self.subject}"

    @property
    def place(self) -> str:
        """The chat, as the API is told; a chat with one person is named after them."""
        return f"{self.platform_name}:{self.chat if self.group else self.subject}"

    @property
    def id(self) -> str:
        """Of the conversation."""
        return f"{self.bot}/{self.chat}/{self.subject}"

    @property
    def file_bytes_max(self) -> int:
        return self.file_bytes or self.platform.file_bytes


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """One of the fleet, as the others know it."""

    name: str
    makes: Literal["image", "video"]
    platform_name: PlatformName
    title: str
    url: str = ""
    """Where a person finds it."""


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all conversations: part of the input of each step."""

    name: str
    site: str = ""
    """Where tokens are bought and accounts are looked after, on platforms that allow a link."""
    support: str = ""
    """Whom to write to: an address, or a name in the chat."""
    models: tuple[ModelView, ...] = ()
    bots: tuple[Bot, ...] = ()


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What of a person an answer is an answer to."""

    id: str = ""
    """The event."""
    message: str = ""
    """Theirs."""
    pressed: str = ""
    """Ours, under which they pressed a button."""
    answered: bool = False
    """Whether a press was acknowledged already."""
    is_admin: bool = False


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that was not acknowledged yet, and what happens then."""

    effect: Call | Say | Edit | Bill | Ask | Delete
    then: str = ""
    """The name of a continuation."""
    about: dict[str, str] = {}
    cause: Cause = Cause()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose end is to be told here."""

    job: JobView
    """As it was when it was last heard of."""
    cause: Cause
    echo: str = ""
    """What was understood of the order, in the person's words."""
    clipped: tuple[Clipped, ...] = ()
    """What could not be granted."""
    unread: bool = False
    """To be said: the model hardly reads the language of the prompt."""
    adult: bool = False
    message: str = ""
    """That shows how it goes; empty while it is on its way."""
    old_message: str = ""
    """That showed it before, while it moves."""
    ends_at: float | None = None
    """From when on that message cannot be edited."""
    lost: bool = False
    """That message will never be: the end is a new one."""
    shown: str = ""
    """What that message looks like."""
    glimpses: int = 0
    ending: tuple[str, ...] = ()
    """Keys of the messages that tell the end, as far as they are not there."""
    told: bool = False
    """The end is told, or being told."""
    given_up: bool = False
    """The end cannot be told; the message that shows the job is still to come, and will say so."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation."""

    scene: Scene
    client_language: str = ""
    choices: Preferences | None = None
    """What the person has chosen, as last heard."""
    limits: Limits | None = None
    """What their plan allows, as last heard."""
    choices_at: float = 0.0
    """When both were heard."""
    pending: dict[str, Pending] = {}
    orders: dict[str, Order] = {}
    """By the job's id."""
    forms: dict[str, str] = {}
    """Messages that ask for text, and the form that an answer to each fills."""
    doomed: dict[str, str] = {}
    """Jobs of which it was asked whether to delete them, and the message that shows all of each; empty: there are
    several."""
    seen: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    """Jobs whose end was told."""
    number: int = 0
    """Of the last key."""
    warned: bool = False
    """They know that models read English."""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, so that nothing need be done after a restart."""
        return not self.pending and not self.orders


def write(state: State) -> bytes:
    return msgspec.json.encode(state)


def read(data: bytes) -> State:
    return msgspec.json.decode(data, type=State)


def job_key(job_id: UUID) -> str:
    return job_id.hex
