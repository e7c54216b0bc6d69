"""When a bot may speak: budgets per chat and overall, and edits of which only the newest counts. No clock inside.

Everything that a bot sends goes through one `Pace`. A message waits for room and is never dropped; messages of one chat
keep their order. An edit that shows progress replaces the one that still waits for the same message, so however fast
news come, a chat gets no more than it may and the last state is always shown. Whoever has waited longest goes first;
an edit that only shows progress stands back for as long as two of them are apart, so answers come before it and it does
not starve. A flood wait stops the chat that it is about and nobody else.

    pace.send(now, chat, key) / pace.edit(now, chat, message, content)
    while (turn := pace.take(now)) is not None: …          # carry it out, then
    pace.done(now, turn) or pace.flooded(now, turn, seconds)
    pace.wake_at(now)                                       # when to ask again
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from frontends.bots.limits import Rate, Rates

CHATS_MAX = 10_000
"""Chats whose last messages are remembered; those that have been quiet longest are forgotten first."""


class Window:
    """The times of what was sent last, for one rate: never more than `count` in any `seconds`."""

    def __init__(self, rate: Rate) -> None:
        self._seconds = rate.seconds
        self._times: deque[float] = deque(maxlen=rate.count)

    def free_at(self, weight: int = 1) -> float:
        """From when on there is room for so much."""
        assert self._times.maxlen is not None
        over = len(self._times) + min(weight, self._times.maxlen) - self._times.maxlen
        return self._times[over - 1] + self._seconds if over > 0 else float("-inf")

    def empty_at(self) -> float:
        """From when on nothing of it matters any more."""
        return self._times[-1] + self._seconds if self._times else float("-inf")

    def spend(self, now: float, weight: int = 1) -> None:
        self._times.extend([now] * weight)


@dataclass(eq=False)
class Turn:
    """Something that is to be carried out: a message (`message` is None), or an edit of one."""

    chat: str
    key: str
    since: float
    content: Any = None
    is_edit: bool = False
    paced: bool = True
    """An edit that only shows progress keeps a distance to the one before; the last one need not."""
    weight: int = 1
    """As how many messages it counts: each file of an album does, in groups."""


@dataclass
class _Chat:
    window: Window
    gap: float
    blocked_until: float = float("-inf")
    sends: deque[Turn] = field(default_factory=deque)
    edits: dict[str, Turn] = field(default_factory=dict)
    edited_at: dict[str, float] = field(default_factory=dict)
    busy: dict[str, bool] = field(default_factory=dict)
    """Keys of what is being carried out, and whether it is an edit."""


class Pace:
    """The budget of one bot."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._overall = Window(rates.overall)
        self._chats: dict[str, _Chat] = {}
        self._waiting_in: dict[str, None] = {}
        """Chats in which something waits, so that nobody looks through all the others."""

    def send(
        self, now: float, chat: str, key: str, content: Any = None, *, group: bool = False, weight: int = 1
    ) -> None:
        """A message that has to arrive, or several at once (`weight`)."""
        self._chat(chat, group).sends.append(Turn(chat, key, now, content, weight=weight))

    def edit(
        self, now: float, chat: str, message: str, content: Any, *, group: bool = False, paced: bool = True
    ) -> None:
        """A new face of a message, in place of the one that still waits to be shown."""
        edits = self._chat(chat, group).edits
        waiting = edits.get(message)
        since = waiting.since if waiting is not None else now
        edits[message] = Turn(chat, message, since, content, is_edit=True, paced=paced)

    def drop(self, chat: str, message: str) -> None:
        """Nothing more is to be shown in a message: it is deleted or ended otherwise."""
        if chat in self._chats:
            self._chats[chat].edits.pop(message, None)
            self._chats[chat].edited_at.pop(message, None)

    def take(self, now: float) -> Turn | None:
        """What may go now: of everything there is room for, what has waited longest."""
        if self._overall.free_at() > now:
            return None
        ready = [turn for turn, at in self._waiting() if max(at, self._overall.free_at(turn.weight)) <= now]
        if not ready:
            return None
        turn = min(ready, key=self._rank)
        chat = self._chats[turn.chat]
        if turn.is_edit:
            del chat.edits[turn.key]
            chat.edited_at[turn.key] = now
        else:
            chat.sends.popleft()
        chat.busy[turn.key] = turn.is_edit
        chat.window.spend(now, turn.weight)
        self._overall.spend(now, turn.weight)
        return turn

    def done(self, now: float, turn: Turn) -> None:
        """It was carried out, or cannot be."""
        self._chats[turn.chat].busy.pop(turn.key, None)
        self._forget(now)

    def flooded(self, now: float, turn: Turn, seconds: float) -> None:
        """The platform asks for patience in this chat: the turn comes again, unless a newer face waits already."""
        chat = self._chats[turn.chat]
        self._waiting_in[turn.chat] = None
        chat.busy.pop(turn.key, None)
        chat.blocked_until = max(chat.blocked_until, now + seconds)
        if not turn.is_edit:
            chat.sends.appendleft(turn)
        else:
            chat.edits.setdefault(turn.key, turn)

    def wake_at(self) -> float | None:
        """When something may go at the earliest; None: nothing waits, or it waits for something under way."""
        times = [max(at, self._overall.free_at(turn.weight)) for turn, at in self._waiting()]
        return min(times, default=None)

    def _rank(self, turn: Turn) -> float:
        return turn.since + (self._chats[turn.chat].gap if turn.is_edit and turn.paced else 0.0)

    def _waiting(self) -> Iterator[tuple[Turn, float]]:
        """What could go next of each chat and message, and from when on."""
        for name in [*self._waiting_in]:
            chat = self._chats[name]
            if not (chat.sends or chat.edits):
                del self._waiting_in[name]
                continue
            room = max(chat.window.free_at(), chat.blocked_until)
            if chat.sends and all(chat.busy.values()):  # the next message follows when the one before has arrived
                room = max(room, chat.window.free_at(chat.sends[0].weight))  # for edits too: they would take it away
                yield chat.sends[0], room
            for message, turn in chat.edits.items():
                if message not in chat.busy:
                    rested = chat.edited_at.get(message, float("-inf")) + chat.gap if turn.paced else float("-inf")
                    yield turn, max(room, rested)

    def _chat(self, name: str, group: bool) -> _Chat:
        """The chat, in which something is about to wait."""
        self._waiting_in[name] = None
        chat = self._chats.get(name)
        if chat is None:
            rates = self._rates
            gap = rates.group_edit_gap_seconds if group else rates.edit_gap_seconds
            chat = self._chats[name] = _Chat(Window(rates.group if group else rates.chat), gap)
        return chat

    def _forget(self, now: float) -> None:
        if len(self._chats) <= CHATS_MAX:
            return
        for name, chat in list(self._chats.items()):
            quiet = not (chat.sends or chat.edits or chat.busy)
            if quiet and name not in self._waiting_in and max(chat.window.empty_at(), chat.blocked_until) <= now:
                del self._chats[name]
