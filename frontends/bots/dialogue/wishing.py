"""What somebody typed as an order: the grammar's wishes, bounded by the model, filled up with the person's choices.

A style is a LoRA of a model: named, it chooses a model that has it. What no model has a LoRA for stays in the prompt,
which text encoders read very well.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from control_plane.wire.job import SIDE_MAX, SIDE_MIN, JobView, SubmitRequest
from control_plane.wire.model import LoraView, ModelView
from control_plane.wire.user import Choices, Limits
from frontends.bots.dialogue.screen import Said, Slot
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.language.bounds import Bounds, Clipped, bounded
from frontends.bots.language.grammar import understand
from frontends.bots.language.tongue import FALLBACK
from frontends.bots.language.wishes import Names, Understood, Wishes

Kind = Literal["image", "video"]
ANY_PIXELS = 1_048_576
"""Where no model is known."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and what was understood of the words, told in the person's own language."""

    order: SubmitRequest
    echo: str = ""
    clipped: tuple[Clipped, ...] = ()
    names_model: bool = False
    """The words say which model, by its name or by a style."""
    raw: bool = False
    """The prompt goes to the model as it is."""
    unread: bool = False
    """The model hardly reads the language of the prompt."""


def wish(turn: Turn, text: str, kind: Kind) -> Wish:
    """What a text orders. What is not understood stays in the prompt."""
    found = _understood(turn, text, kind)
    made: Kind = found.wishes.kind or kind
    chosen = choices(turn)
    model = _model(found.wishes, chosen, made, turn.house.models)
    bounds = _bounds(model, turn.state.limits)
    granted = bounded(found.wishes, bounds)
    fields: dict[str, Any] = {
        **_usual(chosen, bounds.pixels_max),
        **granted.fields,
        **_styled(found.wishes.style, model),
    }
    if model is not None or found.wishes.model:
        fields["model"] = model.name if model is not None else found.wishes.model
    return Wish(
        order=SubmitRequest(prompt=found.prompt, kind=made, **fields),
        echo=found.echo,
        clipped=granted.clipped,
        names_model=bool(found.wishes.model or found.wishes.style),
        raw=found.wishes.raw,
    )


def model_of(turn: Turn, order: SubmitRequest | JobView) -> ModelView | None:
    """What makes an order: the first of its kind when it names none."""
    fitting = [model for model in turn.house.models if model.kind == order.kind]
    return next((model for model in fitting if order.model in (None, model.name)), None)


def reads(model: ModelView | None) -> tuple[str, ...]:
    """In which languages prompts may be, the best one first; English where nothing is known of the model."""
    return model.languages if model is not None else (FALLBACK,)


def clippings(clipped: tuple[Clipped, ...]) -> list[Said]:
    """What could not be granted, as sentences."""
    return [
        said("order.clipped", wished=_words(each.field, each.wished), granted=_words(each.field, each.granted))
        if each.granted
        else said("order.dropped", wished=_words(each.field, each.wished))
        for each in clipped
    ]


def _words(field: str, told: str) -> Slot:
    """A number with what it is a number of, as the echo has it."""
    if field == "size":
        return told
    return said("echo.versions", count=int(told)) if field == "count" else said(f"echo.{field}", number=float(told))


def choices(turn: Turn) -> Choices:
    """What the person has chosen, as far as anything is known."""
    chosen = turn.state.choices.choices if turn.state.choices is not None else None
    return chosen if isinstance(chosen, Choices) else Choices()


def _usual(chosen: Choices, pixels_max: int) -> dict[str, Any]:
    """What the person has chosen for orders that do not say otherwise, as far as model and plan take it."""
    fields: dict[str, Any] = {"count": chosen.count} if chosen.count else {}
    if chosen.width and chosen.height and chosen.width * chosen.height <= pixels_max:
        fields |= {"width": chosen.width, "height": chosen.height}
    return fields


def _understood(turn: Turn, text: str, kind: Kind) -> Understood:
    """A style that no fitting model has is not understood as one: its words stay in the prompt."""
    models = turn.house.models
    named = {model.name: model.name for model in models} | {model.title: model.name for model in models}
    styles = {alias: one.name for model in models for one in model.loras for alias in (one.name, one.title)}
    found = understand(text, turn.language, kind=kind, names=Names.of(named, styles))
    wishes = found.wishes
    if wishes.style is None or any(
        model.kind == (wishes.kind or kind) and wishes.model in (None, model.name) and _lora(model, wishes.style)
        for model in models
    ):
        return found
    return understand(text, turn.language, kind=kind, names=Names.of(named, {}))


def _styled(style: str | None, model: ModelView | None) -> dict[str, Any]:
    """The LoRA that a style is, as strong as it usually is; one that is usually left out, at full strength."""
    found = _lora(model, style) if style is not None and model is not None else None
    return {} if found is None else {"loras": {found.name: found.default or min(max(1.0, found.min), found.max)}}


def _lora(model: ModelView, name: str) -> LoraView | None:
    return next((lora for lora in model.loras if lora.name == name), None)


def _model(wishes: Wishes, chosen: Choices, kind: Kind, models: tuple[ModelView, ...]) -> ModelView | None:
    """The one that was named, else the one of choice, else the first of the kind that some worker has now; of those
    that have the style, if one was named."""
    style = wishes.style
    fitting = [model for model in models if model.kind == kind and (style is None or _lora(model, style))]
    wanted = wishes.model or (chosen.video_model if kind == "video" else chosen.image_model)
    named_one = [model for model in fitting if model.name == wanted]
    ready = [model for model in fitting if model.feasible_now and not model.paused]
    return next(iter([*named_one, *ready, *fitting]), None)


def _bounds(model: ModelView | None, plan: Limits | None) -> Bounds:
    """Of the model and the plan together."""
    found = _bounds_of(model)
    if plan is None:
        return found
    least = min(found.pixels_max, plan.pixels_max)
    return msgspec.structs.replace(found, pixels_max=least, video_seconds_max=plan.video_seconds_max or None)


def _bounds_of(model: ModelView | None) -> Bounds:
    if model is None:
        side = {"minimum": SIDE_MIN, "maximum": SIDE_MAX}
        whole = {"properties": {"width": side, "height": side, "seed": {}, "count": {"minimum": 1, "maximum": 4}}}
        return Bounds(schema=whole, width=1_024, height=1_024, pixels_max=ANY_PIXELS)
    size = {"width": model.width, "height": model.height}
    return Bounds(schema=model.parameters, pixels_max=model.pixels_max, fps=model.fps, **size)
