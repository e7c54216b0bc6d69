"""Finding a message among those that a person's chats show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from frontends.standins.person import Bot, Button, Message, Person, Place

if TYPE_CHECKING:
    from frontends.standins.changes import Changes


def shown(person: Person, places: Iterable[Place], by: Bot | None, where: Place | None) -> list[Message]:
    """What these places show to a person, oldest first."""
    found = [
        message
        for place in places
        if where in (None, place)
        for message in place.messages
        if person.may_see(message) and by in (None, message.bot) and not message.deleted
    ]
    return sorted(found, key=lambda message: message.id)


async def until(
    person: Person,
    changes: Changes,
    what: str | Callable[[Message], object],
    by: Bot | None,
    where: Place | None,
    after: Message | None,
    within: float,
) -> Message:
    """The newest message of a bot that fits, as soon as there is one; what is only promised is none."""
    found: Message | None = await changes.until(
        lambda: newest((one for one in person.messages() if not one.thinking), what, by, where, after),
        within,
        lambda: transcript(person.messages()),
        person.may_see,
    )
    assert found is not None
    return found


def newest(
    messages: Iterable[Message],
    what: str | Callable[[Message], object],
    by: Bot | None,
    where: Place | None,
    after: Message | None,
) -> Message | None:
    """The newest message of a bot that fits."""
    fits = (lambda message: what in message.text) if isinstance(what, str) else what
    return next(
        (
            message
            for message in sorted(messages, key=lambda message: message.id, reverse=True)
            if message.bot is not None
            and by in (None, message.bot)
            and where in (None, message.place)
            and (after is None or message.id > after.id)
            and fits(message)
        ),
        None,
    )


def button(message: Message, label: str) -> Button:
    """The button whose label contains this."""
    offered = [button for row in message.buttons for button in row]
    found = next((button for button in offered if label in button.label), None)
    assert found is not None, f"no button {label!r}; there are {[button.label for button in offered]}"
    return found


def transcript(messages: Iterable[Message]) -> str:
    """The chats in few words, for whoever did not find what was expected."""
    lines = [
        f"{message.id} {message.author}: {message.text!r} "
        f"{[[button.label for button in row] for row in message.buttons]} {[media.kind for media in message.media]}"
        for message in messages
    ]
    return "there is " + ("nothing" if not lines else "\n  " + "\n  ".join(lines))
