"""One step of a conversation while it is made: the state being changed, and the effects so far."""

from __future__ import annotations

from uuid import UUID

import msgspec

from frontends.bots.dialogue import payload
from frontends.bots.dialogue.effects import Answer, Ask, Bill, Call, Delete, Edit, Effect, Follow, Say, Timer, Unfollow
from frontends.bots.dialogue.events import Happening
from frontends.bots.dialogue.requests import Asked
from frontends.bots.dialogue.screen import Button, Card, Form, Said, Slot
from frontends.bots.dialogue.state import (
    DOOMED_MAX,
    FORMS_MAX,
    SEEN_MAX,
    TOLD_MAX,
    Cause,
    House,
    Order,
    Pending,
    Scene,
    State,
    job_key,
)
from frontends.bots.language.tongue import choose
from frontends.bots.limits import Platform


class Turn:
    """`state` is replaced, never changed; `effects` grows."""

    def __init__(self, state: State, house: House, at: float) -> None:
        self.state = state
        self.house = house
        self.at = at
        self.effects: list[Effect] = []

    # ------------------------------------------------------------------------------------------ what is known

    @property
    def scene(self) -> Scene:
        return self.state.scene

    @property
    def platform(self) -> Platform:
        return self.state.scene.platform

    @property
    def language(self) -> str:
        """In which the person is spoken to: their choice, else their client's."""
        return language_of(self.state)

    def greet(self, event: Happening) -> bool:
        """Whether this event of the person is new; it is known from now on."""
        if event.id in self.state.seen:
            return False
        seen = (*self.state.seen, event.id)[-SEEN_MAX:]
        self.change(seen=seen, client_language=event.who.language_code or self.state.client_language)
        return True

    def change(self, **fields: object) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)

    # ------------------------------------------------------------------------------------------ orders

    def order(self, job_id: UUID) -> Order | None:
        return self.state.orders.get(job_key(job_id))

    def keep(self, order: Order) -> None:
        self.change(orders={**self.state.orders, job_key(order.job.id): order})

    def drop(self, order: Order) -> None:
        """Its end is told; late news of it are known to be late."""
        key = job_key(order.job.id)
        self.change(
            orders={other: kept for other, kept in self.state.orders.items() if other != key},
            told=(*self.state.told, key)[-TOLD_MAX:],
        )
        self.effects.append(Unfollow(job_id=str(order.job.id)))

    def wake(self, key: str, at: float) -> None:
        """Asks to be told (`Passed`) when a time has come."""
        self.effects.append(Timer(key=key, at=at))

    def follow(self, job_id: UUID) -> None:
        self.effects.append(Follow(job_id=str(job_id), identity=self.scene.identity))

    # ------------------------------------------------------------------------------------------ effects

    def call(self, asked: Asked, then: str, cause: Cause, **about: str) -> None:
        """Asks the API; `then` names who gets the answer."""
        effect = Call(key=self._key("call"), asked=asked, identity=self.scene.identity)
        self._await(effect.key, Pending(effect=effect, then=then, about=about, cause=cause))
        self.effects.append(effect)

    def say(
        self,
        card: Card,
        cause: Cause,
        *,
        key: str = "",
        private: bool = False,
        lasting: bool = False,
        through: str = "",
    ) -> None:
        """A new message."""
        name = key or self._key("say")
        if name in self.state.pending:
            return
        if through:
            cause = Cause()
        effect = Say(
            key=name,
            card=card,
            answers=cause.id,
            reply_to=cause.message,
            pressed=cause.pressed,
            private=private and self.scene.group,
            lasting=lasting,
            through=through,
        )
        self._await(name, Pending(effect=effect, cause=cause))
        self.effects.append(effect)

    def edit(self, message: str, card: Card, *, key: str = "") -> None:
        effect = Edit(message=message, card=card, key=key)
        if key:
            self._await(key, Pending(effect=effect))
        self.effects.append(effect)

    def delete(self, message: str, *, told: str = "") -> None:
        """Takes a message of ours away; `told`: the one that will say whether it went."""
        effect = Delete(message=message, key=f"gone:{message}")
        self._await(effect.key, Pending(effect=effect, about={"told": told}))
        self.effects.append(effect)

    def respond(self, cause: Cause, card: Card) -> None:
        """The answer to a command or a press, for the person alone where the platform can."""
        self.say(card, cause, private=True)

    def toast(self, cause: Cause, said: Said | None = None) -> None:
        """Acknowledges a press; once."""
        if cause.pressed and not cause.answered:
            self.effects.append(Answer(press=cause.id, said=said))

    def ask(self, cause: Cause, form: Form) -> None:
        key = self._key("ask") if self.platform.form == "reply" else ""
        if key:
            self.toast(cause)  # a window is the answer to a press; a message is none
        effect = Ask(key=key, press=cause.id, message=cause.message, form=form)
        if key:
            self._await(key, Pending(effect=effect, cause=cause))
        self.effects.append(effect)

    def remember_form(self, message: str, form: str) -> None:
        """An answer to this message of ours will fill that form."""
        kept = dict([*self.state.forms.items(), (message, form)][-FORMS_MAX:])
        self.change(forms=kept)

    def doom(self, job_id: UUID, message: str) -> None:
        """If this job is deleted for good, so is this message."""
        others = {name: shown for name, shown in self.state.doomed.items() if name != job_key(job_id)}
        self.change(doomed=dict([*others.items(), (job_key(job_id), message)][-DOOMED_MAX:]))

    def bill(self, cause: Cause, **fields: object) -> None:
        effect = msgspec.convert({"key": self._key("bill"), **fields}, Bill)
        self._await(effect.key, Pending(effect=effect, cause=cause))
        self.effects.append(effect)

    def settle(self, key: str) -> Pending | None:
        """What was pending under a key, which it is no more."""
        found = self.state.pending.get(key)
        if found is not None:
            self.change(pending={name: kept for name, kept in self.state.pending.items() if name != key})
        return found

    def _await(self, key: str, pending: Pending) -> None:
        self.change(pending={**self.state.pending, key: pending})

    def _key(self, what: str) -> str:
        """A name that this conversation has never used, nor one between the same two that was forgotten since."""
        self.change(number=max(self.state.number + 1, int(self.at)))
        return f"{what}:{self.state.number}"

    # ------------------------------------------------------------------------------------------ words

    def button(
        self, label: str, action: str = "", job_id: UUID | None = None, argument: str | int = "", **slots: Slot
    ) -> Button:
        """A button of ours; about a job, only its owner may press it."""
        owner = self.scene.subject if job_id is not None else ""
        return Button(
            label=said(f"button.{label}", **slots), payload=payload.written(action or label, job_id, owner, argument)
        )

    def rows(self, buttons: list[Button]) -> list[list[Button]]:
        """As many in a row as go."""
        most = self.platform.row_buttons
        rows = [buttons[start : start + most] for start in range(0, len(buttons), most)]
        return rows[: self.platform.rows]


def said(key: str, **slots: Slot) -> Said:
    """A sentence."""
    return Said(key, slots)


def language_of(state: State) -> str:
    chosen = state.choices.choices if state.choices is not None else None
    wish = chosen.language if chosen is not None and chosen is not msgspec.UNSET else None
    return choose(state.client_language, wish)
