"""Whatever comes in whatever order, late, twice or not at all: one status message, one end, and nobody else's business.

The platform is played by its rules: a message that is sent twice under one key is one message. The API is played by
its rules: an order that is placed twice under one key is one job.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from control_plane.wire.job import JobView, Progress
from frontends.bots.dialogue import payload
from frontends.bots.dialogue.effects import Bill, Call, Delete, Edit, Say
from frontends.bots.dialogue.events import Answered, Expiring, Sent, Unsent
from frontends.bots.dialogue.requests import Cancel, Erase, Place, Problem
from tests.fixtures.theatre import Theatre, job, scene

ENDS = ("succeeded", "failed", "canceled", "expired")
pick = st.integers(0, 5)


class Conversation(RuleBasedStateMachine):
    """A person, a bot, and a world that is not kind."""

    platform = "telegram"

    def __init__(self) -> None:
        super().__init__()
        self.stage = Theatre(scene(self.platform))
        self.sent: list[Sent] = []
        self.answered: list[Answered] = []
        self.jobs: dict[str, JobView] = {}
        """As the API has them."""
        self.old: list[JobView] = []
        self.stuck: set[str] = set()
        """Jobs whose message could not move: they wait in the history."""

    # ------------------------------------------------------------------------------------------ people

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(words=st.sampled_from(["a cat", "a cat, 3 pictures", "a dog, wide"]), at_once=st.booleans())
    def orders(self, words: str, at_once: bool) -> None:
        self.stage.command("generate", words)
        while at_once and self.stage.calls:
            self.stage.answer(self.stage.calls[0])
        self._know()

    def _know(self) -> None:
        for placed in self.stage.placed.values():
            self.jobs.setdefault(placed.id.hex, placed)

    @rule(name=st.sampled_from(["status", "balance", "history", "cancel", "link", "settings", "help"]))
    def asks(self, name: str) -> None:
        self.stage.command(name)

    @rule(which=pick, action=st.sampled_from(["again", "vary", "cancel", "info", "delete", "edit", "share"]))
    def presses(self, which: int, action: str) -> None:
        self.stage.press(payload.written(action, job(which + 1).id, "42"))

    @rule(which=pick, action=st.sampled_from(["cancel", "erase", "original", "delete", "again"]))
    def presses_what_is_not_theirs(self, which: int, action: str) -> None:
        before = len(self.stage.effects)
        self.stage.press(payload.written(action, job(which + 1).id, "99"))
        calls = [effect for effect in self.stage.effects[before:] if isinstance(effect, Call)]
        assert not any(isinstance(call.asked, Cancel | Erase | Place) for call in calls)

    # ------------------------------------------------------------------------------------------ the API

    @precondition(lambda self: self.stage.calls)
    @rule(which=pick, luck=st.sampled_from(["yes", "yes", "yes", "no"]))
    def answers(self, which: int, luck: str) -> None:
        call = self.stage.calls[which % len(self.stage.calls)]
        self.stage.answer(call, Problem(code="unavailable", status=503) if luck == "no" else None)
        self._know()

    @precondition(lambda self: self.jobs)
    @rule(
        which=pick,
        status=st.sampled_from(["running", "running", "canceling", *ENDS]),
        done=st.floats(0, 1),
        heard=st.booleans(),
    )
    def goes_on(self, which: int, status: str, done: float, heard: bool) -> None:
        name = sorted(self.jobs)[which % len(self.jobs)]
        known = self.jobs[name]
        if known.status in ENDS:
            return
        progress = Progress(value=done) if status == "running" else None
        number = next(n for n in range(1, 200) if job(n).id == known.id)
        self.jobs[name] = job(number, status, progress=progress, count=1 + number // 2)
        self.old.append(self.jobs[name])
        if heard:
            self.stage.news(self.jobs[name])

    @precondition(lambda self: self.old)
    @rule(which=st.integers(0, 50))
    def hears(self, which: int) -> None:
        """News come late, twice, out of order, or never."""
        self.stage.news(self.old[which % len(self.old)])

    # ------------------------------------------------------------------------------------------ the platform

    @precondition(lambda self: self.stage.unacknowledged)
    @rule(which=pick)
    def arrives(self, which: int) -> None:
        self.stage.arrive(self.stage.unacknowledged[which % len(self.stage.unacknowledged)])

    @precondition(lambda self: self.stage.unacknowledged)
    @rule(which=pick)
    def arrives_unheard(self, which: int) -> None:
        """It stands in the chat, but the program dies before it hears of it."""
        self.stage.deliver(self.stage.unacknowledged[which % len(self.stage.unacknowledged)])
        self.stage.restart()

    @precondition(lambda self: self.stage.unacknowledged)
    @rule(which=pick, why=st.sampled_from(["too_large", "refused"]))
    def is_refused(self, which: int, why: str) -> None:
        refused = self.stage.unacknowledged.pop(which % len(self.stage.unacknowledged))
        if refused.key not in self.stage.by_key:
            if refused.key.startswith("moved:"):
                self.stuck.add(refused.key[6:].partition("+")[0])
            self.stage.tell(Unsent(key=refused.key, at=self.stage.now, why=why))  # type: ignore[arg-type]
        else:
            self.stage.arrive(refused)

    @precondition(lambda self: self.stage.messages)
    @rule(which=pick)
    def expires(self, which: int) -> None:
        if not self.stage.scene.platform.token_seconds:
            return
        message = list(self.stage.messages)[which % len(self.stage.messages)]
        self.stage.tell(Expiring(at=self.stage.now, message=message))

    @rule()
    def is_started_again(self) -> None:
        self.stage.restart()

    # ------------------------------------------------------------------------------------------ promises

    @invariant()
    def never_two_status_messages_for_one_job(self) -> None:
        said = {effect.key for effect in self.stage.effects if isinstance(effect, Say)}
        shown = Counter(key.partition(":")[2] for key in said if key.startswith("status:"))
        assert all(count == 1 for count in shown.values())

    @invariant()
    def only_messages_of_this_chat_are_touched(self) -> None:
        known = {*self.stage.by_key.values(), "m1"}
        touched = {effect.message for effect in self.stage.effects if isinstance(effect, Edit | Delete)}
        assert touched <= known

    @invariant()
    def an_end_is_told_at_most_once(self) -> None:
        """However it is told: one key of its own, or the one that follows when the first was refused."""
        open_ends: dict[str, set[str]] = {}
        for key, pending in self.stage.state.pending.items():
            what, _, rest = key.partition(":")
            if what == "end" and isinstance(pending.effect, Say | Edit):
                open_ends.setdefault(rest.partition("+")[0], set()).add(key)
        assert all(len(keys) == 1 for keys in open_ends.values())

    def teardown(self) -> None:
        """In the end everything arrives, and each job that is over was told exactly once."""
        stage = self.stage
        stage.restart()
        stage.settle(most=400)
        self._know()
        for found in self.jobs.values():
            if found.status not in ENDS:
                number = next(n for n in range(1, 200) if job(n).id == found.id)
                self.jobs[found.id.hex] = job(number, "succeeded")
        for found in [*self.jobs.values()] * 2:
            stage.news(found)
        stage.settle(most=400)
        known = {placed.id.hex for placed in stage.placed.values()}
        assert known >= set(self.jobs)
        for name in self.jobs:
            self._told_once(name)
        labels = [key.label for shown in stage.messages.values() for row in shown.keys for key in row]
        assert "Cancel" not in labels, "no message goes on showing what is over"
        assert not [key for key, kept in stage.state.pending.items() if isinstance(kept.effect, Say | Edit | Bill)]

    def _told_once(self, name: str) -> None:
        stage = self.stage
        ends = {effect.key for effect in stage.effects if isinstance(effect, Say | Edit) and _of(effect.key) == name}
        delivered = {key for key in ends if key in stage.by_key}
        edited = {key for key in ends if key not in stage.by_key}
        was_shown = any(isinstance(effect, Say) and effect.key == f"status:{name}" for effect in stage.effects)
        if was_shown and name not in self.stuck:
            assert name not in stage.state.orders, "it is over"
            assert len(delivered) <= 1
            assert delivered or edited


def _of(key: str) -> str:
    what, _, rest = key.partition(":")
    return rest.partition("+")[0] if what == "end" else ""


class DiscordConversation(Conversation):
    platform = "discord"


LIMITS = settings(max_examples=60, stateful_step_count=30)
TestOnTelegram = Conversation.TestCase
TestOnTelegram.settings = LIMITS
TestOnDiscord = DiscordConversation.TestCase
TestOnDiscord.settings = LIMITS
