"""What happens to a conversation: what a person does, what the API answers, how jobs go, how messages fare.

Skins make events of what a platform tells; `id` is the platform's own id of it (an update, an interaction), the same
when it is told twice. `at` is seconds since 1970: the only clock that the dialogue knows.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from control_plane.wire.job import JobView
from frontends.bots.dialogue.requests import Answer, Problem


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts."""

    subject: str
    """Their id on the platform."""
    language_code: str = ""
    """As their client says."""
    is_admin: bool = False
    """Whether they may change what holds for this chat."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that somebody sent, by what the skin fetches it again with."""

    reference: str
    bytes: int = 0
    mime_type: str = ""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person did."""

    id: str
    at: float
    who: Person


class Command(Happening, frozen=True, kw_only=True, tag="command"):
    """`/generate a lighthouse`, typed or chosen. What was chosen beside the text is appended to it as flags."""

    name: str
    text: str = ""
    picture: Picture | None = None
    """Sent along, or in the message that this one answers."""
    about: str = ""
    """The payload of a button of ours under the message that this one answers: which job is meant."""
    message: str = ""
    """Of the person, to answer to."""


class Message(Happening, frozen=True, kw_only=True, tag="message"):
    """Plain text, or a picture with or without a caption."""

    text: str = ""
    answers: str = ""
    """The message of ours that this one answers."""
    addressed: bool = False
    """In a group: whether it is said to the bot, by its name. Everything else there is talk among people."""
    picture: Picture | None = None
    about: str = ""
    message: str = ""


class Pressed(Happening, frozen=True, kw_only=True, tag="pressed"):
    """A button. The skin keeps what it needs to answer the press under `id`."""

    payload: str
    message: str
    """Under which the button stands."""


class Filled(Happening, frozen=True, kw_only=True, tag="filled"):
    """An answer to a form: a window that was sent off, or a message that answers ours."""

    form: str
    fields: dict[str, str]
    message: str = ""


class Checkout(Happening, frozen=True, kw_only=True, tag="checkout"):
    """Somebody is about to pay: to be approved within seconds."""

    payload: str
    amount: int
    currency: str


class Paid(Happening, frozen=True, kw_only=True, tag="paid"):
    """Somebody has paid. `charge` is the provider's id of the payment."""

    charge: str
    payload: str
    amount: int
    currency: str


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """The API has answered the call of this key."""

    key: str
    at: float
    answer: Answer | Problem


class News(msgspec.Struct, frozen=True, kw_only=True, tag="news"):
    """A job that is followed, as it is now: submitted, under way, over. May come twice, late and out of order."""

    at: float
    job: JobView


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag="sent"):
    """The message of this key is where it should be (for a Say: as `message`)."""

    key: str
    at: float
    message: str = ""
    """Empty when the platform has it, but cannot say any more which it is."""
    ends_at: float | None = None
    """From when on it cannot be edited any more, where that is so."""


Refusal = Literal["blocked", "bot_gone", "too_large", "refused", "gone", "expired"]
"""The person has blocked the bot; the bot was revoked; a file is too large; the platform does not take this; the
message or the chat is no more; the token of the answer is over."""


class Unsent(msgspec.Struct, frozen=True, kw_only=True, tag="unsent"):
    """The message or edit of this key will not arrive."""

    key: str
    at: float
    why: Refusal
    others: list[str] = []
    """Other bots that the person has started, where `why` is about the bot."""


class Expiring(msgspec.Struct, frozen=True, kw_only=True, tag="expiring"):
    """A message of ours can soon not be edited any more."""

    at: float
    message: str


class Passed(msgspec.Struct, frozen=True, kw_only=True, tag="passed"):
    """The time of the timer of this key has come."""

    key: str
    at: float


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed"):
    """The program was started again: what was not acknowledged is to be done again."""

    at: float


Event = (
    Command
    | Message
    | Pressed
    | Filled
    | Checkout
    | Paid
    | Answered
    | News
    | Sent
    | Unsent
    | Expiring
    | Passed
    | Resumed
)
