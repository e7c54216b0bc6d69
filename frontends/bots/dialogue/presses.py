"""Buttons: found again by the ids that they carry, after a restart and after months; only whom they are for may press.

A press on a job first looks at the job through the API, as the person who presses: what they cannot see does not exist
for them. Where the chat shares, others may press too; then the job is looked at as its owner, and what is ordered is
the presser's order, on their account, from a picture that is taken in anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from uuid import UUID

from msgspec import structs

from control_plane.wire.chat import ChatView
from control_plane.wire.conduct import ReportRequest
from control_plane.wire.job import ArtifactView, JobView, SubmitRequest
from frontends.bots.dialogue import account, menus, ordering, payload, results, troubles, waiting
from frontends.bots.dialogue.events import Filled, News, Pressed
from frontends.bots.dialogue.payload import Payload
from frontends.bots.dialogue.requests import Answer, Cancel, Erase, Look, LookAtChat, Problem, Report
from frontends.bots.dialogue.screen import Artifact, Button, Card, Field, Form, Link
from frontends.bots.dialogue.state import Cause, job_key
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.dialogue.wishing import Wish, wish

SHAREABLE = frozenset({"again", "vary", "upscale", "animate", "edit", "info"})
"""What others may do where a chat shares."""
VARIATION = 0.55
"""Strength: how much of a picture a variation makes anew."""
UPSCALE: Literal[2] = 2


def pressed(turn: Turn, event: Pressed) -> None:
    """A button was pressed."""
    act(turn, Cause(id=event.id, pressed=event.message, is_admin=event.who.is_admin), event.payload)


def act(turn: Turn, cause: Cause, carried: str) -> None:
    """What a payload says, if this person may."""
    meant = payload.read(carried)
    if meant is None or (meant.job_id is None and meant.action not in menus.MENUS):
        turn.toast(cause, said("toast.unknown"))
        return
    if meant.job_id is None:
        menus.MENUS[meant.action](turn, cause, meant.argument)
        return
    if meant.action not in ACTIONS and meant.action not in AT_ONCE:
        turn.toast(cause, said("toast.unknown"))
    elif meant.owner in ("", turn.scene.subject):
        _look(turn, cause, meant)
    elif meant.action in SHAREABLE and turn.scene.group:
        turn.call(LookAtChat(chat=turn.scene.place), "shared", cause, payload=carried)
    else:
        turn.toast(cause, said("toast.not_yours"))


def shared(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """Whether others may press here."""
    assert isinstance(answer, ChatView)
    meant = payload.read(about["payload"])
    assert meant is not None, "it was read before"
    if answer.rules.shares:
        _look(turn, cause, meant)
    else:
        turn.toast(cause, said("toast.not_yours"))


def _look(turn: Turn, cause: Cause, meant: Payload) -> None:
    assert meant.job_id is not None
    if meant.action in AT_ONCE:
        AT_ONCE[meant.action](turn, cause, meant.job_id)
        return
    owner = _stranger(turn, meant)
    written = payload.written(meant.action, meant.job_id, meant.owner, meant.argument)
    turn.call(Look(job_id=meant.job_id, owner=owner), "looked", cause, payload=written, owner=owner)


def looked(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """The job that a press is about."""
    assert isinstance(answer, JobView)
    meant = payload.read(about["payload"])
    assert meant is not None, "it was written by us"
    ACTIONS[meant.action](turn, cause, answer, meant.argument, about.get("owner", ""))


def not_looked(turn: Turn, problem: Problem, cause: Cause, about: dict[str, str]) -> None:
    """What cannot be seen is not there."""
    if problem.status in (404, 410):
        turn.toast(cause, said("toast.gone"))
        return
    turn.toast(cause)
    troubles.tell(turn, cause, problem)


# ---------------------------------------------------------------------------------------------- ordering anew


def again(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """The same words, another seed."""
    _order(turn, cause, job, ordering.again(job), owner)


def vary(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """Like this picture, but not quite."""
    file = _chosen(turn, cause, job, argument, "vary")
    if file is not None:
        order = ordering.again(job, count=1, strength=VARIATION)
        _from_picture(turn, cause, job, file, order, owner)


def upscale(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """The same picture, larger."""
    file = _chosen(turn, cause, job, argument, "upscale")
    if file is not None:
        model = _able(turn, "upscale", job.model)
        _from_picture(turn, cause, job, file, SubmitRequest(upscale=UPSCALE, model=model), owner)


def animate(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """A film that begins with this picture."""
    file = _chosen(turn, cause, job, argument, "animate")
    if file is not None:
        model = _able(turn, "image-to-video")
        order = SubmitRequest(kind="video", prompt=job.prompt, model=model)
        _from_picture(turn, cause, job, file, order, owner)


def edit(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """The words are changed first."""
    form_id = payload.written("edited", job.id, owner.partition(":")[2] or turn.scene.subject)
    turn.ask(cause, ordering.prompt_form(job.kind, results.typed(job), form_id))


def edited(turn: Turn, cause: Cause, job: JobView, text: str, owner: str) -> None:
    """The changed words: what they say holds, what they leave out stays."""
    wanted = wish(turn, text, job.kind)
    changes = {"prompt": wanted.order.prompt or job.prompt, **_said(wanted)}
    _order(turn, cause, job, ordering.again(job, **changes), owner, wanted)


def _said(wanted: Wish) -> dict[str, object]:
    """What the words say beside the prompt."""
    order = wanted.order
    names = ("negative_prompt", "width", "height", "steps", "guidance", "seed", "strength", "frames", "fps")
    found = {name: getattr(order, name) for name in names if getattr(order, name)}
    found |= {"count": order.count} if order.count != 1 else {}
    return found | ({"model": order.model, "loras": order.loras} if wanted.names_model else {})


def _order(
    turn: Turn, cause: Cause, job: JobView, order: SubmitRequest, owner: str, wanted: Wish | None = None
) -> None:
    """Somebody else's words are ordered without the picture that they started from: that is theirs."""
    turn.toast(cause, said("toast.ordering"))
    if owner and order.input_image is not None:
        turn.respond(cause, Card(lines=[said("press.not_theirs")]))
        return
    if wanted is None:  # the same words: what the model reads already
        ordering.admit(turn, cause, Wish(order=order, raw=True))
    else:
        ordering.admit(turn, cause, structs.replace(wanted, order=order))


def _from_picture(turn: Turn, cause: Cause, job: JobView, file: ArtifactView, order: SubmitRequest, owner: str) -> None:
    """An order that starts from a result: taken in anew, so that it may be anybody's."""
    turn.toast(cause, said("toast.ordering"))
    if job.adult:  # what is made of it is, too
        order = structs.replace(order, adult=True)
    artifact = results.document(job, file, owner or turn.scene.identity)
    ordering.take_in(turn, cause, Wish(order=order, raw=True), artifact=artifact)


def _chosen(turn: Turn, cause: Cause, job: JobView, argument: str, action: str) -> ArtifactView | None:
    """Which of the pictures is meant; of several it is asked."""
    files = [file for file in job.artifacts if file.mime_type.startswith("image/")]
    if not files:
        turn.toast(cause, said("toast.files_gone"))
        return None
    if argument.isdecimal() and int(argument) < len(files):
        return files[int(argument)]
    if len(files) == 1:
        return files[0]
    turn.toast(cause)
    buttons = [turn.button("number", action, job.id, index, number=index + 1) for index in range(len(files))]
    turn.respond(cause, Card(lines=[said("press.which")], buttons=turn.rows(buttons)))
    return None


def _able(turn: Turn, task: str, preferred: str = "") -> str | None:
    """The model for a task: the same one, if it can."""
    able = [model.name for model in turn.house.models if task in model.tasks]
    return preferred if preferred in able else next(iter(able), None)


# ---------------------------------------------------------------------------------------------- looking and keeping


def original(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """The files as they were made."""
    if not _showable(turn, cause, job):
        return
    turn.toast(cause)
    most = turn.scene.file_bytes_max
    media = [results.document(job, file, turn.scene.identity) for file in job.artifacts if file.bytes <= most]
    links = [said("result.link", url=Link(file.url)) for file in job.artifacts if file.bytes > most]
    lines = [said("result.original"), *links]
    turn.say(Card(media=list(media), lines=lines, spoiler=job.adult), cause)


def _showable(turn: Turn, cause: Cause, job: JobView) -> bool:
    """Whether there are files, and they may be shown here. Says why not."""
    if not job.artifacts:
        turn.toast(cause, said("toast.files_gone"))
    elif job.adult and not turn.scene.adult:
        turn.toast(cause, said("toast.adult"))
    else:
        return True
    return False


def info(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """How it was made."""
    turn.toast(cause)
    turn.respond(cause, account.facts(turn, job))


def share(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """A message to be passed on: the pictures without the owner's buttons, with one to report them."""
    if not _showable(turn, cause, job):
        return
    turn.toast(cause)
    most, platform = turn.scene.file_bytes_max, turn.platform
    shown = [results.shown(platform, most, job, file, turn.scene.identity) for file in job.artifacts[:1]]
    media = [one for one in shown if isinstance(one, Artifact)]
    lines = [said("share.made_by_ai", name=turn.house.name)]
    lines += [said("share.link", url=Link(file.url)) for file in job.artifacts]
    rows = [[Button(label=said("button.report"), payload=payload.written("report", job.id))]]
    quote = results.typed(job)[: results.QUOTE_LENGTH]
    spoiler = job.adult
    turn.say(Card(quote=quote, lines=lines, media=list(media), buttons=rows, spoiler=spoiler), cause)


def again_shown(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """A result of long ago, once more."""
    if job.artifacts and not _showable(turn, cause, job):
        return
    turn.toast(cause)
    for key, card in results.ending(turn, job, adult=job.adult):
        turn.say(card, cause, key=f"shown:{cause.id}:{key}")


def delete(turn: Turn, cause: Cause, job: JobView, argument: str, owner: str) -> None:
    """Asks first: it cannot be taken back."""
    turn.toast(cause)
    scattered = len(job.artifacts) > 1 and not turn.platform.album_buttons  # the button is not where the pictures are
    turn.doom(job.id, "" if scattered else cause.pressed)
    buttons = [[turn.button("delete_for_good", "erase", job.id)]]
    turn.respond(cause, Card(lines=[said("press.really_delete")], buttons=buttons))


def erased(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """It is gone: so shall be what shows it here, and the message that asked says whether it is."""
    turn.toast(cause, said("toast.deleted"))
    if about.get("shown"):
        turn.delete(about["shown"], told=cause.pressed)
    elif cause.pressed:
        turn.edit(cause.pressed, Card(lines=[said("press.still_shown")]))


def cancel(turn: Turn, cause: Cause, job_id: UUID) -> None:
    turn.toast(cause, said("toast.canceling"))
    turn.call(Cancel(job_id=job_id), "canceled", cause)


def erase(turn: Turn, cause: Cause, job_id: UUID) -> None:
    turn.call(Erase(job_id=job_id), "erased", cause, shown=turn.state.doomed.get(job_key(job_id), ""))


def canceled(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """What became of the wish shows in the message of the job."""
    assert isinstance(answer, JobView)
    if turn.order(answer.id) is not None:
        waiting.news(turn, News(at=turn.at, job=answer))
    elif not cause.pressed:
        turn.respond(cause, Card(lines=[said(f"cancel.{answer.status}")]))


# ---------------------------------------------------------------------------------------------- reporting


def report(turn: Turn, cause: Cause, job_id: UUID) -> None:
    """Says what is wrong with something, to the operator. Anybody may who has seen it."""
    field = Field(name="text", label=said("field.report"), length_max=1_000)
    form_id = payload.written("reported", job_id)
    turn.ask(cause, Form(id=form_id, title=said("field.report_title"), fields=[field]))


def filled(turn: Turn, event: Filled) -> None:
    """An answer to a form."""
    cause = Cause(id=event.id, message=event.message, is_admin=event.who.is_admin)
    meant = payload.read(event.form)
    if meant is None:
        return
    text = next(iter(event.fields.values()), "").strip()
    if meant.action == "reported" and meant.job_id is not None:
        asked = ReportRequest(job_id=meant.job_id, category="other", text=text[:1_000])
        turn.call(Report(asked=asked), "reported", cause)
    elif meant.action == "edited" and meant.job_id is not None:
        if _stranger(turn, meant):
            turn.call(LookAtChat(chat=turn.scene.place), "shared_words", cause, payload=event.form, text=text)
        else:
            turn.call(Look(job_id=meant.job_id), "reworded", cause, text=text, owner="")
    elif meant.job_id is None and meant.action in menus.FORMS:
        menus.FORMS[meant.action](turn, cause, meant.argument, text)


def shared_words(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """Whether others may still reword things here."""
    assert isinstance(answer, ChatView)
    meant = payload.read(about["payload"])
    assert meant is not None, "it was read before"
    assert meant.job_id is not None
    if answer.rules.shares:
        owner = _stranger(turn, meant)
        turn.call(Look(job_id=meant.job_id, owner=owner), "reworded", cause, text=about["text"], owner=owner)


def _stranger(turn: Turn, meant: Payload) -> str:
    """The owner of what a payload is about, as the API is told; empty when that is the person themselves."""
    foreign = meant.owner if meant.owner != turn.scene.subject else ""
    return f"{turn.scene.platform_name}:{foreign}" if foreign else ""


def reworded(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, JobView)
    edited(turn, cause, answer, about["text"], about.get("owner", ""))


def reported(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    turn.respond(cause, Card(lines=[said("report.taken")]))


Action = Callable[[Turn, Cause, JobView, str, str], None]

ACTIONS: dict[str, Action] = {
    "again": again,
    "vary": vary,
    "upscale": upscale,
    "animate": animate,
    "edit": edit,
    "original": original,
    "info": info,
    "share": share,
    "show": again_shown,
    "delete": delete,
}
"""What the buttons under a job do, once it was looked at."""
AT_ONCE: dict[str, Callable[[Turn, Cause, UUID], None]] = {"cancel": cancel, "erase": erase, "report": report}
"""What needs no look at the job."""
