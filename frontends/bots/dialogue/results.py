"""How a job ended, told exactly once: the pictures with their buttons, or why there are none and what it cost.

Where the platform shows a result in the status message, that is edited; elsewhere the result is a new message and the
status message goes when it has arrived. Either way the messages that tell the end have keys of their own, made of the
job's id, and stay pending until they are acknowledged, so a crash in between ends in exactly one.
"""

from __future__ import annotations

import msgspec

from control_plane.wire.job import ArtifactView, JobView
from frontends.bots.dialogue.screen import Artifact, Button, Card, Link, Said
from frontends.bots.dialogue.state import Cause, Order
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.limits import Platform

QUOTE_LENGTH = 300
"""Of the prompt above a result; `Info` has all of it."""


def tell_end(turn: Turn, order: Order) -> None:
    """Says how it ended, unless that is said already or has nowhere to stand yet."""
    if order.told or (_edits(turn, order) and not order.message):
        return
    cards = ending(turn, order.job, adult=order.adult)
    order = msgspec.structs.replace(order, told=True, ending=tuple(key for key, _ in cards))
    turn.keep(order)
    for key, card in cards:
        if _edits(turn, order):
            turn.edit(order.message, card, key=key)
        else:
            cause = Cause(message=order.cause.message, id="" if order.lost else order.cause.id)
            turn.say(card, cause, key=key, lasting=order.lost)


def _edits(turn: Turn, order: Order) -> bool:
    """Whether the end is told in the status message. What went wrong always is: there is nothing new to be seen."""
    return not order.lost and (turn.platform.ends_by == "edit" or order.job.status != "succeeded")


def ending(turn: Turn, job: JobView, *, adult: bool) -> list[tuple[str, Card]]:
    """The messages that tell the end, by their keys."""
    if job.status != "succeeded":
        return [(f"end:{job.id.hex}", failed(turn, job))]
    media = [shown(turn.platform, turn.scene.file_bytes_max, job, one, turn.scene.identity) for one in job.artifacts]
    fitting = [one for one in media if isinstance(one, Artifact)]
    links = [said("result.link", url=Link(one.url)) for one in media if isinstance(one, ArtifactView)]
    card = result(turn, job, links)
    return [(f"end:{job.id.hex}", msgspec.structs.replace(card, media=list(fitting), spoiler=adult))]


def result(turn: Turn, job: JobView, links: list[Said]) -> Card:
    """What stands under the pictures."""
    made = "result.video" if job.kind == "video" else "result.image"
    lines = [
        said(made, count=len(job.artifacts)),
        said("result.seed", seed=job.seed, cost=job.cost.charged),
        *as_read(job),
        *links,
    ]
    if not job.artifacts:
        lines = [said("result.files_gone")]
    return Card(quote=typed(job)[:QUOTE_LENGTH], lines=lines, buttons=turn.rows(_buttons(turn, job)))


def _buttons(turn: Turn, job: JobView) -> list[Button]:
    """What can be done with a result."""
    still = job.kind == "image" and bool(job.artifacts)
    found = []
    if job.upscale is None:
        found += [turn.button("again", "again", job.id), turn.button("edit", "edit", job.id)]
    if still and job.upscale is None:
        found.append(turn.button("vary", "vary", job.id))
    if still and can(turn, "upscale"):
        found.append(turn.button("upscale", "upscale", job.id))
    if still and can(turn, "image-to-video"):
        found.append(turn.button("animate", "animate", job.id))
    if job.artifacts:
        found += [turn.button("original", "original", job.id), turn.button("share", "share", job.id)]
    found += [turn.button("info", "info", job.id), turn.button("delete", "delete", job.id)]
    return found


def typed(job: JobView) -> str:
    """The prompt as it was typed."""
    return (job.typed.prompt if job.typed is not None else "") or job.prompt


def as_read(job: JobView) -> list[Said]:
    """What the model got, where that is a translation."""
    if job.typed is None:
        return []
    found = [said("order.translated", prompt=job.prompt[:QUOTE_LENGTH])] if job.typed.prompt else []
    if job.typed.negative_prompt:
        found.append(said("info.without", what=job.negative_prompt[:QUOTE_LENGTH]))
    return found


def can(turn: Turn, task: str) -> bool:
    """Whether some model is offered for this."""
    return any(task in model.tasks and not model.paused for model in turn.house.models)


def failed(turn: Turn, job: JobView) -> Card:
    """Why there is nothing to see, and what it cost."""
    lines = [_reason(job)]
    charged = "ended.charged" if job.cost.charged else "ended.free"
    lines.append(said(charged, cost=job.cost.charged))
    buttons = [turn.button("again", "again", job.id), turn.button("edit", "edit", job.id)] if job.prompt else []
    return Card(quote=typed(job)[:QUOTE_LENGTH], lines=lines, buttons=turn.rows(buttons))


def _reason(job: JobView) -> Said:
    if job.status != "failed" or job.error is None:
        return said(f"ended.{job.status}")
    known = {"oom", "engine_crash", "invalid_input", "missing_model", "timeout", "upload", "moderation", "worker_lost"}
    return said(f"ended.{job.error.code}") if job.error.code in known else said("ended.failed")


def shown(platform: Platform, most: int, job: JobView, file: ArtifactView, identity: str) -> Artifact | ArtifactView:
    """A file as it can be shown here: as a picture, a film, a document; as it is (a link) where it is too large."""
    if file.bytes > most:
        return file
    return msgspec.structs.replace(document(job, file, identity), shown_as=_as(platform, file))


def document(job: JobView, file: ArtifactView, identity: str) -> Artifact:
    """A file as it was made."""
    return Artifact(
        job_id=job.id,
        index=file.index,
        identity=identity,
        mime_type=file.mime_type,
        bytes=file.bytes,
        width=file.width,
        height=file.height,
        shown_as="document",
        seconds=(job.frames or 0) / (job.fps or 1),
    )


def _as(platform: Platform, file: ArtifactView) -> str:
    if file.mime_type.startswith("video/"):
        return "video"
    ratio = max(file.width, file.height) / max(1, min(file.width, file.height))
    small = file.bytes <= platform.photo_bytes and file.width + file.height <= platform.photo_sides
    return "photo" if small and ratio <= platform.photo_ratio else "document"
