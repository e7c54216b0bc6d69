"""A job, a list of jobs and the models, told to an assistant: what there is, and what can be done next."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.wire.job import JobList, JobView
from control_plane.wire.model import ModelList, ModelView
from frontends.command_line.progress import in_words, sentence

FINISHED = frozenset({"succeeded", "failed", "canceled", "expired"})
PROMPT_SHOWN = 60
"""Characters of a prompt in a list."""


def job(told: JobView) -> str:
    """Everything about one job that matters in a conversation."""
    lines = [f"Job {told.id}: {sentence(told)}.", f"Made with {told.model}, {told.width}x{told.height}."]
    lines += [f"Address of file {one.index}: {one.url}" for one in told.artifacts]
    if told.artifacts:
        lines.append("The addresses need no key and end after a while; `status` gives new ones.")
    if told.error:
        lines.append(f"Why: {told.error.message}")
    if told.status == "succeeded":
        lines.append(f"It cost {_tokens(told.cost.charged)}. Seed {told.seed} makes the same again.")
    if told.status not in FINISHED:
        lines.append(f'It goes on by itself. Call `status` with job_id "{told.id}" later, or `cancel` to stop it.')
    return "\n".join(lines)


def jobs(listed: JobList) -> str:
    if not listed.data:
        return "There are no jobs yet. `generate` orders one."
    more = [f'There are more: call `list` with cursor "{listed.next_cursor}".'] if listed.has_more else []
    return "\n".join([*(_line(one) for one in listed.data), *more])


def models(listed: ModelList) -> str:
    lines = [_model(one) for one in listed.data]
    return "\n".join([*lines, f"Price in tokens: {listed.formula}"])


def doing(told: JobView) -> str:
    """What is happening, for a progress notification."""
    return in_words(told.waiting) if told.waiting else sentence(told)


def _line(one: JobView) -> str:
    prompt = one.prompt if len(one.prompt) <= PROMPT_SHOWN else one.prompt[:PROMPT_SHOWN] + "…"
    return f"{one.id}  {one.created_at:%Y-%m-%d %H:%M} UTC  {one.status}  {one.kind}  {prompt!r}"


def _model(one: ModelView) -> str:
    return f"{one.name} ({one.kind}): " + ", ".join(_facts(one)) + "."


def _facts(one: ModelView) -> Iterator[str]:
    yield one.title
    yield f"{one.width}x{one.height} when nothing is said, at most {one.pixels_max} pixels"
    yield f"{one.steps} steps (at most {one.steps_max})"
    if one.frames:
        yield f"{one.frames} frames at {one.fps} a second (at most {one.frames_max})"
    yield f"{_tokens(one.example_cost)} each"
    if one.paused:
        yield "paused by the operator"
    elif not one.feasible_now:
        yield "no worker serves it at this moment, so an order would wait"


def _tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"
