"""What can be ordered, and what it costs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from control_plane.wire import Message
from control_plane.wire.job import Eta, JobKind, JobSpec, Task
from control_plane.wire.weights import Commercial


class Price(Message, frozen=True, kw_only=True):
    """The constants of the price of a model; `formula` of the list says what becomes of them."""

    weight: float
    pixels_per_token: int
    steps_per_token: int
    frames_per_picture: int
    """Of a video, as many frames cost what one picture does."""


class ModelLicence(Message, frozen=True, kw_only=True):
    """A licence of the weights that a model needs."""

    name: str
    url: str
    commercial: Commercial
    """Whether results may be sold: as they are, never, or under the `conditions`."""
    conditions: str | None = None


class LoraView(Message, frozen=True, kw_only=True):
    """A LoRA that an order may weigh: `loras: {"name": strength}`; 0 leaves it out."""

    name: str
    title: str
    min: float
    max: float
    default: float
    triggers: list[str] = []
    """Words that it was trained on; they mean nothing in another language."""


class ModelView(Message, frozen=True, kw_only=True):
    """A model of one kind, with what an order that leaves things out gets."""

    name: str
    kind: JobKind
    title: str
    width: int
    height: int
    pixels_max: int
    """Width times height of an order may not exceed this."""
    steps: int
    steps_max: int
    guidance: float
    frames: int | None
    frames_max: int | None
    fps: int | None
    example_cost: int
    """Tokens for one artifact with everything left out."""
    paused: bool
    feasible_now: bool
    """Whether a live worker serves it at this moment; an order waits otherwise."""
    price: Price
    tasks: list[Task]
    """What it can be ordered for. What is made of a picture needs `input_image`."""
    upscales: list[int]
    """By which factors it enlarges."""
    typical_seconds: float | None
    """How long a worker takes for one artifact with everything left out: the median of the last runs of about this
    size, without the wait for a worker. Absent while none has been seen."""
    parameters: dict[str, Any]
    """JSON Schema (2020-12) of an order for this model."""
    loras: list[LoraView] = []
    licences: list[ModelLicence] = []
    """Under which its weights may be used; empty for what is built in, and where the operator has not listed them."""
    languages: tuple[str, ...] = ("en",)
    """In which it reads prompts (ISO 639), the best one first; it may misunderstand others."""


class ModelList(Message, frozen=True, kw_only=True):
    data: list[ModelView]
    """The first of a kind is what an order without a model gets."""
    formula: str
    """What an order costs in tokens, in words and figures; `price` of a model has its constants."""


class Refusal(Message, frozen=True, kw_only=True):
    """The problem that an order would be answered with."""

    code: str
    """The same as of the problem."""
    status: int
    detail: str


class Quote(Message, frozen=True, kw_only=True):
    """What an order would cost and how long it would take; nothing was ordered."""

    cost: int
    """Tokens."""
    feasible_now: bool
    eta: Eta | None
    spec: JobSpec
    """The order with every default filled in; the seed is an example."""
    available: int
    """Tokens that you have for it."""
    resets_at: datetime
    """When the next day's tokens come: midnight UTC."""
    refusal: Refusal | None
    """What the order would be refused with at this moment; absent: it would be accepted."""
    adult: bool = False
    """Whether what it makes is adult content: shown covered, if at all."""
