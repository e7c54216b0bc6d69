"""What can be ordered, and what it costs."""

from __future__ import annotations

from control_plane.wire import Message
from control_plane.wire.job import Eta, JobKind, JobSpec


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


class ModelList(Message, frozen=True, kw_only=True):
    data: list[ModelView]
    """The first of a kind is what an order without a model gets."""


class Quote(Message, frozen=True, kw_only=True):
    """What an order would cost and how long it would take; nothing was ordered."""

    cost: int
    """Tokens."""
    feasible_now: bool
    eta: Eta | None
    spec: JobSpec
    """The order with every default filled in; the seed is an example."""
