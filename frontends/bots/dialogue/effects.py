"""What is to be done. An effect with a key is acknowledged by an event with that key.

For skins: `Say`, `Edit`, `Delete`, `Answer`, `Ask`, `Bill`, `Approve`. For the process: `Call`, `Follow`, `Unfollow`,
`Timer`. Addresses (`chat`, `message`) are those of the conversation's events.
"""

from __future__ import annotations

import msgspec

from frontends.bots.dialogue.requests import Asked
from frontends.bots.dialogue.screen import Card, Form, Said


class Say(msgspec.Struct, frozen=True, kw_only=True, tag="say"):
    """A new message; acknowledged by `Sent` or `Unsent`. Sent twice under one key, it is one message."""

    key: str
    card: Card
    answers: str = ""
    """The id of the event that this answers; empty when it comes by itself."""
    reply_to: str = ""
    """The person's message that this answers, where there is one."""
    pressed: str = ""
    """The message of ours under which the button was that this answers."""
    private: bool = False
    """Only the person sees it, where the platform can; elsewhere it is an ordinary answer."""
    through: str = ""
    """Another bot, in its chat with the person alone; empty: this one."""
    lasting: bool = False
    """Not by the token of an answer, which ends, but as a message of its own."""


class Edit(msgspec.Struct, frozen=True, kw_only=True, tag="edit"):
    """A new face of a message of ours. Without a key it only shows progress: the newest counts, others may be left
    out, nobody is told. With a key it is shown in any case and acknowledged. Without media, those that are there
    stay."""

    message: str
    card: Card
    key: str = ""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Takes a message of ours away, as far as the platform lets us; `Unsent` when it did not. Else it is acknowledged
    once that was tried: skins need not."""

    message: str
    key: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """Tells the client that a press was seen, perhaps with a sentence that only the person sees."""

    press: str
    """The id of the event."""
    said: Said | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Asks for text, in answer to a press or command. Where that is a window (`Platform.form`), it has no key and comes
    back as `Filled`; where it is a message, that is acknowledged like any other, and what answers it is a `Message`
    that says so."""

    key: str = ""
    press: str
    """The id of the event."""
    form: Form
    message: str = ""
    """The person's message, where there is one."""


class Bill(msgspec.Struct, frozen=True, kw_only=True, tag="bill"):
    """An invoice in the platform's own money."""

    key: str
    title: Said
    text: Said
    stars: int
    payload: str


class Approve(msgspec.Struct, frozen=True, kw_only=True, tag="approve"):
    """Lets somebody pay (`refusal` is None), or says why not."""

    checkout: str
    """The id of the event."""
    refusal: Said | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """A call of the API for the person of the conversation; acknowledged by `Answered`. May be made again."""

    key: str
    asked: Asked
    identity: str
    """For whom: `telegram:123`."""


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag="follow"):
    """From now on tell how a job goes, until it is over. Following twice is following once."""

    job_id: str
    identity: str


class Unfollow(msgspec.Struct, frozen=True, kw_only=True, tag="unfollow"):
    job_id: str


class Timer(msgspec.Struct, frozen=True, kw_only=True, tag="timer"):
    """Tell (`Passed`) when this time has come; a later timer of the same key replaces it."""

    key: str
    at: float


Shown = Say | Edit | Delete | Answer | Ask | Bill | Approve
"""What a skin carries out."""
Effect = Shown | Call | Follow | Unfollow | Timer
