"""How messages fare: they arrive, they cannot, they can soon not be edited any more.

A message that shows a job arrives: from then on it is edited, and if the job is over by then its end is told. One that
tells an end arrives: the job is done with. When the bot is blocked or revoked the end goes through another bot that the
person has started, else it stays in their history. What a platform does not take is told without files, by links.
"""

from __future__ import annotations

import msgspec

from frontends.bots.dialogue import results, waiting
from frontends.bots.dialogue.effects import Ask, Delete, Edit, Say
from frontends.bots.dialogue.events import Expiring, Sent, Unsent
from frontends.bots.dialogue.screen import Artifact, Card, Link
from frontends.bots.dialogue.state import Cause, Order, Pending
from frontends.bots.dialogue.turn import Turn, said

EXPIRY = "expiry"
MOVE_SECONDS = 60.0
"""How long before a message ends it moves."""
ABOUT_THE_BOT = frozenset({"blocked", "bot_gone"})


def sent(turn: Turn, event: Sent) -> None:
    """A message is where it should be."""
    pending = turn.settle(event.key)
    if pending is None:
        return
    if isinstance(pending.effect, Ask):
        turn.remember_form(event.message, pending.effect.form.id)
    if told := pending.about.get("told"):
        turn.edit(told, Card(lines=[said("press.deleted")]))
    what, order = _about(turn, event.key)
    if order is None:
        return
    if what in ("status", "moved") and not event.message:
        _lost(turn, order)  # it is there, but nobody can say where
    elif what in ("status", "moved"):
        _arrived(turn, msgspec.structs.replace(order, ends_at=event.ends_at), event.message)
    elif event.key in order.ending:
        _end_arrived(turn, order, event.key)


def _arrived(turn: Turn, order: Order, message: str) -> None:
    """The message that shows a job."""
    if order.told and not order.ending and not order.given_up:
        turn.delete(message)  # the end overtook it
        turn.drop(order)
        return
    if order.old_message:
        turn.edit(order.old_message, Card(lines=[said("order.moved")]))
    order = msgspec.structs.replace(order, message=message, old_message="")
    if order.given_up:
        _give_up(turn, order)
        return
    turn.keep(order)
    watch(turn, order)
    if order.job.status in waiting.FINISHED:
        results.tell_end(turn, order)
    else:
        waiting.show(turn, order)


def _end_arrived(turn: Turn, order: Order, key: str) -> None:
    order = msgspec.structs.replace(order, ending=tuple(other for other in order.ending if other != key))
    turn.keep(order)
    if order.ending:
        return
    edited = "+" not in key and (turn.platform.ends_by == "edit" or order.job.status != "succeeded")
    if order.message and not edited:
        turn.delete(order.message)
    if order.message or order.lost:
        turn.drop(order)  # else the message that shows it is still on its way, to be taken away when it has come


def unsent(turn: Turn, event: Unsent) -> None:
    """A message or an edit will not arrive, or one will not go away."""
    pending = turn.settle(event.key)
    if pending is None:
        return
    if told := pending.about.get("told"):
        turn.edit(told, Card(lines=[said("press.still_shown")]))
    elif isinstance(pending.effect, Delete):
        turn.edit(pending.effect.message, Card(lines=[said("order.moved")]))  # it has to stay, but not as if it went on
    what, order = _about(turn, event.key)
    if order is None:
        return
    if what == "status":
        _lost(turn, order)
    elif what == "moved":
        _stuck(turn, order)
    elif event.key in order.ending:
        _end_refused(turn, order, pending, event)


def _lost(turn: Turn, order: Order) -> None:
    """The message that shows a job never came: its end will be a message of its own."""
    order = msgspec.structs.replace(order, lost=True)
    turn.keep(order)
    if order.told and not order.ending:
        turn.drop(order)
    elif order.job.status in waiting.FINISHED:
        results.tell_end(turn, order)


def _stuck(turn: Turn, order: Order) -> None:
    """There is nowhere to go on: the old message says where the result will be found."""
    if order.old_message:
        turn.edit(order.old_message, Card(lines=[said("order.look_later")]))
    turn.drop(order)


def _end_refused(turn: Turn, order: Order, pending: Pending, event: Unsent) -> None:
    assert isinstance(pending.effect, Say | Edit)
    left = tuple(key for key in order.ending if key != event.key)
    card, key = pending.effect.card, event.key
    again = _otherwise(turn, order, card, key, event)
    order = msgspec.structs.replace(order, ending=left if again is None else (*left, again[0]))
    turn.keep(order)
    if again is None:
        if not order.ending:
            _give_up(turn, order)
        return
    name, card, through = again
    turn.say(card, Cause(message="" if through else order.cause.message), key=name, lasting=True, through=through)


def _give_up(turn: Turn, order: Order) -> None:
    """There is no way to tell it here: it stays in the history, and the message that shows the job says so; where that
    is still on its way, when it has come."""
    if not order.message and not order.lost:
        turn.keep(msgspec.structs.replace(order, given_up=True))
        return
    if order.message:
        turn.edit(order.message, Card(lines=[said("order.look_later")]))
    turn.drop(order)


def _otherwise(turn: Turn, order: Order, card: Card, key: str, event: Unsent) -> tuple[str, Card, str] | None:
    """Another way to tell it: the key, the card, and the bot. None: there is no other."""
    ways = key.split("+")[1:]
    if event.why in ABOUT_THE_BOT:
        tried = {way.removeprefix("by-") for way in ways}
        other = next((name for name in event.others if name not in tried), None)
        return None if other is None else (f"{key}+by-{other}", card, other)
    if event.why in ("gone", "expired") and "anew" not in ways:
        return f"{key}+anew", card, ""
    if event.why in ("too_large", "refused") and "links" not in ways:
        return f"{key}+links", _with_links(order, card), ""
    return None


def _with_links(order: Order, card: Card) -> Card:
    """The same without files."""
    urls = {file.index: file.url for file in order.job.artifacts}
    shown = [media.index for media in card.media if isinstance(media, Artifact)]
    links = [said("result.link", url=Link(urls[index])) for index in shown if index in urls]
    return msgspec.structs.replace(card, media=[], lines=[*card.lines, *links])


def expiring(turn: Turn, event: Expiring) -> None:
    """A message can soon not be edited any more: what it shows goes on in one that lasts."""
    for order in turn.state.orders.values():
        if order.message == event.message and not order.told:
            moved = msgspec.structs.replace(order, message="", old_message=event.message, ends_at=None, glimpses=0)
            turn.keep(moved)
            card = waiting.card(turn, order)
            turn.say(card, Cause(), key=f"moved:{order.job.id.hex}+{event.message}", lasting=True)


def watch(turn: Turn, order: Order) -> None:
    """The message of a job that is not over moves in time, where it ends."""
    if order.message and order.ends_at is not None and not order.told:
        turn.wake(f"{EXPIRY}:{order.job.id.hex}", order.ends_at - MOVE_SECONDS)


def passed(turn: Turn, key: str) -> None:
    """The time to move has come, if the job has not ended meanwhile."""
    what, order = _about(turn, key)
    if what == EXPIRY and order is not None and order.message and order.ends_at is not None:
        expiring(turn, Expiring(at=turn.at, message=order.message))


def _about(turn: Turn, key: str) -> tuple[str, Order | None]:
    """What kind of message a key is of, and of which job."""
    what, _, rest = key.partition(":")
    return what, turn.state.orders.get(rest.partition("+")[0])
