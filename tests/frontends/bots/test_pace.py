"""Budgets and edits: never more than a platform allows, the last state always shown, nobody starves."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from frontends.bots.limits import DISCORD, TELEGRAM, Rate, Rates, cut, length
from frontends.bots.pace import Pace

RATES = Rates(
    chat=Rate(1, 1.0), group=Rate(4, 12.0), overall=Rate(5, 1.0), edit_gap_seconds=3.0, group_edit_gap_seconds=6.0
)
CHATS = {"ann": False, "bob": False, "crowd": True}

deeds = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(sorted(CHATS))),
        st.tuples(st.just("album"), st.integers(2, 6)),
        st.tuples(st.just("edit"), st.sampled_from(sorted(CHATS)), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.floats(0.05, 4.0)),
        st.tuples(st.just("flood"), st.floats(0.5, 9.0)),
    ),
    max_size=60,
)


class Witness:
    """Sees what goes out, and at what time."""

    def __init__(self) -> None:
        self.pace = Pace(RATES)
        self.now = 0.0
        self.out: list[tuple[float, str, str, object]] = []
        self.wanted: dict[tuple[str, str], int] = {}
        self.sent = Counter[str]()
        self.floods: list[float] = []
        self.blocked: dict[str, float] = {}

    def drain(self, seconds: float) -> None:
        """Lets time pass, as a skin would: it sleeps until something may go."""
        until = self.now + seconds
        while True:
            while (turn := self.pace.take(self.now)) is not None:
                assert self.now >= self.blocked.get(turn.chat, 0.0), "a flood wait is obeyed"
                self.out += [(self.now, turn.chat, turn.key, turn.content)] * min(turn.weight, RATES.group.count)
                if self.floods:
                    wait = self.floods.pop()
                    self.blocked[turn.chat] = self.now + wait
                    self.pace.flooded(self.now, turn, wait)
                else:
                    self.pace.done(self.now, turn)
            wake = self.pace.wake_at()
            if wake is None or wake > until:
                break
            self.now = max(wake, self.now + 1e-6)
        self.now = max(self.now, until)

    def over(self, chat: str | None, rate: Rate) -> int:
        """The most that went out in any such time."""
        times = [at for at, where, _, _ in self.out if chat in (None, where)]
        return max((sum(start <= at < start + rate.seconds - 1e-9 for at in times) for start in times), default=0)


@settings(max_examples=60)
@given(deeds)
def test_no_budget_is_ever_exceeded_and_the_last_state_is_always_shown(deeds: list[tuple[object, ...]]) -> None:
    witness = Witness()
    for number, (deed, *given_) in enumerate(deeds, 1):
        match deed, given_:
            case "send", [str(chat)]:
                witness.pace.send(witness.now, chat, f"send-{number}", number, group=CHATS[chat])
                witness.sent[chat] += 1
            case "album", [int(weight)]:
                witness.pace.send(witness.now, "crowd", f"send-{number}", number, group=True, weight=weight)
                witness.sent["crowd"] += 1
            case "edit", [str(chat), int(message)]:
                witness.pace.edit(witness.now, chat, f"m{message}", number, group=CHATS[chat])
                witness.wanted[chat, f"m{message}"] = number
            case "wait", [float(seconds)]:
                witness.drain(seconds)
            case "flood", [float(seconds)]:
                witness.floods.append(seconds)
    witness.floods.clear()
    witness.drain(10_000.0)
    assert witness.pace.wake_at() is None
    for chat, group in CHATS.items():
        rate = RATES.group if group else RATES.chat
        assert witness.over(chat, rate) <= rate.count
    assert witness.over(None, RATES.overall) <= RATES.overall.count
    shown = {(chat, key): content for _, chat, key, content in witness.out if key.startswith("m")}
    assert shown == witness.wanted
    for chat in CHATS:
        order = [key for _, where, key, _ in witness.out if where == chat and key.startswith("send")]
        kept = list(dict.fromkeys(order))
        assert len(kept) == witness.sent[chat]
        assert kept == sorted(kept, key=lambda key: int(key.removeprefix("send-"))), "messages keep their order"


def test_progress_of_one_message_keeps_its_distance_and_only_the_newest_counts() -> None:
    witness = Witness()
    for value in range(100):
        witness.pace.edit(witness.now, "ann", "m1", value)
        witness.drain(0.2)
    witness.drain(10.0)
    times = [at for at, *_ in witness.out]
    assert 6 <= len(times) <= 9
    assert all(later - earlier >= RATES.edit_gap_seconds - 1e-6 for earlier, later in pairwise(times))
    assert witness.out[-1][3] == 99


def test_the_last_edit_need_not_keep_the_distance() -> None:
    witness = Witness()
    witness.pace.edit(0.0, "ann", "m1", "half")
    witness.drain(1.5)
    witness.pace.edit(witness.now, "ann", "m1", "done", paced=False)
    witness.drain(0.1)
    assert [content for *_, content in witness.out] == ["half", "done"]


def test_edits_do_not_starve_beside_a_flood_of_messages() -> None:
    witness = Witness()
    witness.pace.edit(0.0, "bob", "m1", "shown")
    for number in range(200):
        witness.pace.send(0.001 * number, ("ann", "crowd")[number % 2], f"send-{number}", group=bool(number % 2))
    witness.drain(1.0)
    assert ("bob", "m1") in {(chat, key) for _, chat, key, _ in witness.out}


def test_a_flood_wait_stops_one_chat_and_nobody_else() -> None:
    witness = Witness()
    witness.floods.append(60.0)
    witness.pace.send(0.0, "ann", "send-1")
    witness.drain(0.1)
    for number in range(2, 5):
        witness.pace.send(witness.now, "bob", f"send-{number}")
    witness.drain(5.0)
    assert Counter(chat for _, chat, _, _ in witness.out) == {"ann": 1, "bob": 3}
    witness.drain(60.0)
    assert [key for _, chat, key, _ in witness.out if chat == "ann"] == ["send-1", "send-1"]


def test_texts_are_measured_and_cut_as_the_platform_counts() -> None:
    assert length("🗼a", TELEGRAM) == 3
    assert length("🗼a", DISCORD) == 2
    for platform in (TELEGRAM, DISCORD):
        for text in ("🗼" * 900, "a" * 3_000, "короткий"):
            assert length(cut(text, 100, platform), platform) <= 100
    assert cut("short", 100, TELEGRAM) == "short"
