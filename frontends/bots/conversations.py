"""The conversations of all bots, run: each event is one step, saved before anything of it is done.

A skin hands in what happened (`handle`) with the scene where it happened, and carries out what is to be shown
(`Skin.perform`). Steps are made one after the other, without a wait in between, so a conversation has one state; what a
step wants done runs beside, and tells its outcome as an event of its own. At the start every conversation that was
interrupted is told so, and does again what was not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from control_plane.wire.payment import PaymentView
from frontends.bots.dialogue import conversation
from frontends.bots.dialogue.effects import (
    Answer,
    Approve,
    Ask,
    Bill,
    Call,
    Delete,
    Edit,
    Effect,
    Follow,
    Say,
    Shown,
    Timer,
    Unfollow,
)
from frontends.bots.dialogue.events import Answered, Event, Happening, Message, News, Passed, Resumed, Sent, Unsent
from frontends.bots.dialogue.requests import Answer as Reply
from frontends.bots.dialogue.requests import Problem, Refund
from frontends.bots.dialogue.state import House, Scene, State
from frontends.bots.dialogue.turn import language_of
from frontends.bots.errands import Errands
from frontends.bots.following import Followers
from frontends.bots.memory import Memory

CHOICES_SECONDS = 60.0
"""How long what somebody has chosen is taken for what they choose: they may choose elsewhere."""
RECENT_SECONDS = 3_600.0
"""How long somebody who has done something is not asked after."""
UNDER_WAY = ("queued", "running")
CACHED_MAX = 2_000
"""Conversations held in memory; the others are in the file."""

log = structlog.get_logger()


class Skin(Protocol):
    """One bot on its platform."""

    async def perform(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """Shows it, as soon as the platform lets it; what has a key is told to have arrived, or why it cannot."""
        ...

    async def fetch(self, reference: str, folder: Path) -> Path:
        """The picture that somebody sent. Raises `OSError` when it cannot be had."""
        ...

    async def give_back(self, payer: str, charge: str) -> None:
        """Returns a payment in the platform's own money; one that was returned already is left alone."""
        ...


class Conversations:
    """One for all bots of a process. Everything runs in `tasks`."""

    def __init__(
        self,
        memory: Memory,
        errands: Errands,
        house: House,
        skins: dict[str, Skin],
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self.house = house
        self.skins = skins
        self._memory = memory
        self._errands = errands
        self._tasks = tasks
        self._clock = clock
        self._states: dict[str, State] = {}
        self._timers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._followers = Followers(errands, tasks)

    async def refresh(self) -> None:
        """Asks once what can be ordered. Raises `ClientError`."""
        models = await self._errands.models()
        self.house = msgspec.structs.replace(self.house, models=tuple(models.data))

    async def forget_who_left(self) -> int:
        """Forgets those who have no account any more; how many that were. Who was here a moment ago may be about to get
        one. Raises `ClientError`."""
        remembered = self._memory.people(self._clock() - RECENT_SECONDS)
        people = {f"{platform}:{subject}": (platform, subject) for platform, subject in remembered}
        gone = people.keys() - await self._errands.known(list(people))
        for name in gone:
            for conversation_id in self._memory.leave(*people[name]):
                self._leave(conversation_id)
        return len(gone)

    def _leave(self, conversation_id: str) -> None:
        self._states.pop(conversation_id, None)
        self._followers.leave(conversation_id)
        for key in [key for key in self._timers if key[0] == conversation_id]:
            self._timers.pop(key).cancel()

    def resume(self) -> int:
        """Goes on with everything that was interrupted, of the bots that are here; how many conversations those are."""
        found = [state for state in self._memory.busy() if state.scene.bot in self.skins]
        for state in found:
            self._step(state, Resumed(at=self._clock()))
        return len(found)

    def stop(self) -> None:
        """Lets go of what is followed and timed; nothing is lost, it is resumed at the next start."""
        self._followers.stop()
        for task in self._timers.values():
            task.cancel()

    async def handle(self, scene: Scene, event: Event) -> None:
        """Something happened. Returns when the step is saved; what it wants done runs on."""
        if isinstance(event, Message) and scene.group and not self._is_ours(scene, event):
            return  # talk among people is none of ours, and makes nobody a user
        if isinstance(event, Happening):
            await self._know(scene, event)
        state = self._state(scene.id) or State(scene=scene)
        if isinstance(event, Happening):
            state = msgspec.structs.replace(state, scene=scene)
        self._step(state, event)

    def _is_ours(self, scene: Scene, event: Message) -> bool:
        """Whether something that is said in a group is said to the bot, or answers what it has asked this person."""
        state = self._state(scene.id) if event.answers else None
        return event.addressed or (state is not None and event.answers in state.forms)

    # ------------------------------------------------------------------------------------------ steps

    def _step(self, state: State, event: Event) -> None:
        after, effects = conversation.step(state, event, self.house)
        if (after != state or effects) and not _only_progress(event, effects):
            self._memory.save(after, self._clock())
        self._keep(after)
        for effect in effects:
            self._carry_out(after, effect)

    def _told(self, conversation_id: str, event: Event) -> None:
        """An outcome is one more step of the conversation as it is by now."""
        state = self._state(conversation_id)
        if state is None:
            return
        try:
            self._step(state, event)
        except Exception:  # one person's bad luck must not end everybody's conversations
            log.exception("step.failed", happening=type(event).__name__)

    def _state(self, conversation_id: str) -> State | None:
        return self._states.get(conversation_id) or self._memory.load(conversation_id)

    def _keep(self, state: State) -> None:
        self._states.pop(state.scene.id, None)
        while len(self._states) >= CACHED_MAX:
            del self._states[next(iter(self._states))]
        self._states[state.scene.id] = state

    async def _know(self, scene: Scene, event: Happening) -> None:
        """Whom a bot has met, what they have chosen and what their plan allows."""
        if not scene.group:
            self._memory.meet(scene.platform_name, scene.subject, scene.bot, scene.chat, self._clock())
        state = self._state(scene.id) or State(scene=scene)
        if event.at - state.choices_at < CHOICES_SECONDS:
            return
        async with asyncio.TaskGroup() as group:
            chosen = group.create_task(self._errands.preferences(scene.identity))
            limits = group.create_task(self._errands.limits(scene.identity))
        state = self._state(scene.id) or state
        if (known := chosen.result()) is not None:
            self._keep(conversation.knows(state, known, limits.result(), event.at))

    # ------------------------------------------------------------------------------------------ effects

    def _carry_out(self, state: State, effect: Effect) -> None:
        scene = state.scene
        match effect:
            case Call():
                self._tasks.create_task(self._call(scene, effect))
            case Follow():

                async def tell(job: object) -> None:
                    self._told(scene.id, News(at=self._clock(), job=job))  # type: ignore[arg-type]

                self._followers.follow(scene.id, effect.job_id, effect.identity, tell)
            case Unfollow():
                self._followers.unfollow(scene.id, effect.job_id)
            case Timer():
                self._set(scene, effect)
            case Say() | Edit() | Delete() | Answer() | Ask() | Bill() | Approve():
                self._tasks.create_task(self._show(scene, effect, language_of(state)))

    async def _call(self, scene: Scene, effect: Call) -> None:
        answer: Reply | Problem
        try:
            answer = await self._errands.run(effect.asked, effect.identity, self.skins[scene.bot].fetch)
            if isinstance(effect.asked, Refund) and isinstance(answer, PaymentView):
                answer = await self._give_back(answer)
        except Exception as error:  # likewise
            log.exception("errand.failed", asked=type(effect.asked).__name__)
            answer = Problem(code="internal", status=500, detail=type(error).__name__)
        self._told(scene.id, Answered(key=effect.key, at=self._clock(), answer=answer))

    async def _give_back(self, payment: PaymentView) -> PaymentView | Problem:
        """The money goes back by the bot that took it."""
        taker = self.skins.get(payment.place)
        if taker is None or payment.payer is None:
            return Problem(code="unknown", detail=f"The bot {payment.place!r}, which took the money, is not here.")
        await taker.give_back(payment.payer, payment.provider_id)
        return payment

    async def _show(self, scene: Scene, effect: Shown, language: str) -> None:
        bot = effect.through if isinstance(effect, Say) and effect.through else scene.bot
        shown_at = self._elsewhere(scene, bot)
        try:
            outcome = await self.skins[bot].perform(shown_at, effect, language)
        except Exception:  # likewise
            log.exception("effect.failed", bot=bot, effect=type(effect).__name__)
            outcome = _refused(effect, self._clock())
        if isinstance(effect, Delete) and outcome is None and effect.key:
            outcome = Sent(key=effect.key, at=self._clock(), message=effect.message)
        if isinstance(outcome, Unsent) and outcome.why in ("blocked", "bot_gone"):
            outcome = self._without(scene, bot, outcome)
        if outcome is not None:
            self._told(scene.id, outcome)

    def _elsewhere(self, scene: Scene, bot: str) -> Scene:
        """The same person with another bot."""
        if bot == scene.bot:
            return scene
        chat = self._memory.met(scene.platform_name, scene.subject).get(bot, scene.subject)
        return msgspec.structs.replace(scene, bot=bot, chat=chat, group=False)

    def _without(self, scene: Scene, bot: str, outcome: Unsent) -> Unsent:
        """A bot that cannot write to somebody any more is not their way; others may be."""
        self._memory.part(scene.platform_name, scene.subject, bot)
        others = [name for name in self._memory.met(scene.platform_name, scene.subject) if name in self.skins]
        log.info("delivery.refused", bot=bot, why=outcome.why, others=len(others))
        return msgspec.structs.replace(outcome, others=[name for name in others if name != bot])

    def _set(self, scene: Scene, effect: Timer) -> None:
        key = scene.id, effect.key
        earlier = self._timers.pop(key, None)
        if earlier is not None:
            earlier.cancel()
        task = self._tasks.create_task(self._ring(scene, effect))
        self._timers[key] = task
        task.add_done_callback(lambda done: self._timers.get(key) is done and self._timers.pop(key))

    async def _ring(self, scene: Scene, effect: Timer) -> None:
        await asyncio.sleep(max(0.0, effect.at - self._clock()))
        self._told(scene.id, Passed(key=effect.key, at=self._clock()))


def _only_progress(event: Event, effects: list[Effect]) -> bool:
    """Whether nothing happened but that a job goes on: who forgets that is told again, and it happens all the time."""
    return (
        isinstance(event, News)
        and event.job.status in UNDER_WAY
        and all(isinstance(effect, Edit) and not effect.key for effect in effects)
    )


def _refused(effect: Shown, at: float) -> Unsent | None:
    """What a skin could not carry out for a reason that nobody knows."""
    key = effect.key if isinstance(effect, Say | Edit | Bill | Ask | Delete) else ""
    return Unsent(key=key, at=at, why="refused") if key else None
