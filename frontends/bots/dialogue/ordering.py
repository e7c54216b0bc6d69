"""From words and pictures to an order that is placed: understood, asked about in its chat, placed once.

Each order goes the same way: a picture is taken in first, then the chat is asked (its rules, its cap, adult content),
then the order is placed under a key made of the event, so that neither a crash nor a platform that tells an event twice
can place it twice. What was understood of the words comes along, to be shown under the answer.
"""

from __future__ import annotations

import msgspec

from control_plane.wire.chat import Admission, AdmitRequest
from control_plane.wire.input import InputView
from control_plane.wire.job import PROMPT_LENGTH_MAX, JobView, SubmitRequest, Typed
from control_plane.wire.model import ModelView
from frontends.bots.dialogue import payload, troubles, waiting
from frontends.bots.dialogue.events import Picture
from frontends.bots.dialogue.requests import Admit, Answer, GiveBack, Place, Problem, TakeIn, Translate, Translated
from frontends.bots.dialogue.screen import Artifact, Field, Form
from frontends.bots.dialogue.state import Cause, Order
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.dialogue.wishing import Kind, Wish, model_of, reads, wish

ASKED_LENGTH_MAX = 4_000
FORBIDDEN_BY_CHAT = "chat-forbids"
ADULT = "adult-content"


def typed(turn: Turn, cause: Cause, text: str, picture: Picture | None, kind: Kind | None = None) -> None:
    """What somebody typed, perhaps beside a picture, is an order."""
    wanted = wish(turn, text, kind or turn.scene.makes)
    if not wanted.order.prompt and picture is None:
        turn.ask(cause, prompt_form(wanted.order.kind))
        return
    if picture is not None:
        take_in(turn, cause, wanted, reference=picture.reference)
        return
    admit(turn, cause, wanted)


def prompt_form(kind: str, value: str = "", form_id: str = "") -> Form:
    """Asks what to make."""
    field = Field(
        name="prompt",
        label=said("field.prompt"),
        placeholder=said("placeholder.prompt"),
        value=value[:ASKED_LENGTH_MAX],
        length_max=ASKED_LENGTH_MAX,
    )
    return Form(id=form_id or payload.written("make", argument=kind), title=said(f"field.{kind}_title"), fields=[field])


def take_in(turn: Turn, cause: Cause, wanted: Wish, *, reference: str = "", artifact: Artifact | None = None) -> None:
    """An order that starts from a picture: it is uploaded first."""
    if not _fits(turn, cause, wanted.order):
        return
    asked = TakeIn(reference=reference, artifact=artifact)
    turn.call(asked, "taken_in", cause, wish=written(wanted))


def taken_in(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, InputView)
    wanted = read(about["wish"])
    order = wanted.order
    if order.kind == "image" and not order.prompt and order.upscale is None:
        order = msgspec.structs.replace(order, upscale=2)  # a picture without a word: larger is all it can become
    wanted = msgspec.structs.replace(wanted, order=msgspec.structs.replace(order, input_image=answer.id))
    admit(turn, cause, wanted)


def admit(turn: Turn, cause: Cause, wanted: Wish) -> None:
    """Asks whether this may be ordered in this chat, in words that the model reads."""
    order = wanted.order
    if not _fits(turn, cause, order):
        return
    if order.adult and not turn.scene.adult:
        troubles.tell(turn, cause, Problem(code=ADULT, status=403))
        return
    if not wanted.raw and (order.prompt or order.negative_prompt):
        asked = _translation(turn, order)
        turn.call(asked, "translated", cause, wish=written(wanted))
        return
    _admit(turn, cause, wanted)


def _fits(turn: Turn, cause: Cause, order: SubmitRequest) -> bool:
    """Whether the words are as many as an order takes; says so if not, since none of them may be lost."""
    length = max(len(order.prompt), len(order.negative_prompt))
    if length > PROMPT_LENGTH_MAX:
        fields: dict[str, str | int | float] = {"length": length, "most": PROMPT_LENGTH_MAX}
        troubles.tell(turn, cause, Problem(code="prompt-too-long", status=422, fields=fields))
    return length <= PROMPT_LENGTH_MAX


def _translation(turn: Turn, order: SubmitRequest) -> Translate:
    model = model_of(turn, order)
    triggers = {word for lora in model.loras for word in lora.triggers} if model is not None else ()
    return Translate(
        typed=order.prompt,
        unwanted="" if order.typed is not None and order.typed.negative_prompt else order.negative_prompt,
        client_code=turn.state.client_language,
        reads=reads(model),
        triggers=tuple(sorted(triggers)),
    )


def translated(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """What was typed is kept beside what the model gets."""
    assert isinstance(answer, Translated)
    wanted = read(about["wish"])
    order = wanted.order
    typed, unwanted = order.typed or Typed(), answer.unwanted or order.negative_prompt
    if answer.text != order.prompt:
        typed = msgspec.structs.replace(typed, prompt=order.prompt)
    if unwanted != order.negative_prompt:
        typed = msgspec.structs.replace(typed, negative_prompt=order.negative_prompt)
    order = msgspec.structs.replace(order, prompt=answer.text, negative_prompt=unwanted, typed=_said(typed))
    unread = answer.outcome in ("unread", "failed")
    _admit(turn, cause, msgspec.structs.replace(wanted, order=order, unread=unread, raw=True))


def _said(typed: Typed) -> Typed | None:
    """None when it says nothing."""
    return None if typed == Typed() else typed


def untranslated(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    """Nothing fails for want of a translation."""
    _admit(turn, cause, read(about["wish"]))


def _admit(turn: Turn, cause: Cause, wanted: Wish) -> None:
    if not _fits(turn, cause, wanted.order):  # a translation may be longer than what was typed
        return
    asked = AdmitRequest(
        order=wanted.order,
        key=order_key(turn, cause),
        is_admin=cause.is_admin or not turn.scene.group,
        adult_allowed=turn.scene.adult,
    )
    turn.call(Admit(chat=turn.scene.place, asked=asked), "admitted", cause, wish=written(wanted))


def admitted(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, Admission)
    if answer.refusal is not None and answer.refusal.code == FORBIDDEN_BY_CHAT:
        refusal = answer.refusal
        code = ADULT if answer.adult else refusal.code
        troubles.tell(turn, cause, Problem(code=code, status=refusal.status, detail=refusal.detail))
        return
    wanted = read(about["wish"])
    order = msgspec.structs.replace(wanted.order, adult=wanted.order.adult or answer.adult)
    turn.call(
        Place(order=order, idempotency_key=order_key(turn, cause)),
        "placed",
        cause,
        wish=written(msgspec.structs.replace(wanted, order=SubmitRequest())),
        counted="yes" if answer.left is not None else "",
    )


def placed(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """It is in line: said at once, with what it costs, its place and when it should be ready."""
    assert isinstance(answer, JobView)
    job = answer
    key = status_key(job)
    if turn.order(job.id) is not None or job.id.hex in turn.state.told:
        return
    wanted = read(about["wish"])
    adult = job.adult
    unread = wanted.unread and not turn.state.warned
    order = Order(job=job, cause=cause, echo=wanted.echo, clipped=wanted.clipped, unread=unread, adult=adult)
    turn.change(warned=turn.state.warned or unread)
    card = waiting.card(turn, order)
    turn.keep(msgspec.structs.replace(order, shown=waiting.face(card)))
    turn.say(card, cause, key=key)
    turn.follow(job.id)


def not_placed(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    """What the chat's cap has counted is given back."""
    if about.get("counted"):
        asked = GiveBack(chat=turn.scene.place, order_key=order_key(turn, cause))
        turn.call(asked, "nothing", cause)
    troubles.tell(turn, cause, problem)


def order_key(turn: Turn, cause: Cause) -> str:
    """The Idempotency-Key: of the event that caused the order, the same however often that is told."""
    return f"{turn.scene.identity}:{turn.scene.bot}:{cause.id}"[:255]


def status_key(job: JobView) -> str:
    return f"status:{job.id.hex}"


def again(job: JobView, **changes: object) -> SubmitRequest:
    """The order that a job was, with a seed of its own and with changes."""
    same = {
        name: getattr(job, name)
        for name in (
            *("prompt", "kind", "model", "negative_prompt", "width", "height", "steps", "guidance", "sampler"),
            *("count", "strength", "frames", "fps", "upscale", "input_image", "loras"),
        )
    }
    fields = {name: value for name, value in {**same, **changes}.items() if value is not None}
    typed = job.typed or Typed()
    typed = msgspec.structs.replace(typed, **{name: "" for name in typed.__struct_fields__ if name in changes})
    adult = job.adult and ("prompt" not in changes or job.input_image is not None)
    return SubmitRequest(**fields, typed=_said(typed), adult=adult)


def model_named(turn: Turn, name: str, kind: str) -> ModelView | None:
    return next((model for model in turn.house.models if model.name == name and model.kind == kind), None)


def written(wanted: Wish) -> str:
    return msgspec.json.encode(wanted).decode()


def read(text: str) -> Wish:
    return msgspec.json.decode(text, type=Wish)
