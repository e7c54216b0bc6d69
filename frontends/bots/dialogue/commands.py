"""Every command: who gets its answer to see, whether it takes text, and what it does.

Skins register them from this table, with descriptions out of the catalogue (`command.NAME`, `option.NAME`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from control_plane.wire.job import SubmitRequest
from frontends.bots.dialogue import account, admin, buying, linking, menus, ordering, payload, presses, rules, settings
from frontends.bots.dialogue.events import Command, Filled, Message
from frontends.bots.dialogue.screen import Card
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said
from frontends.bots.dialogue.wishing import Wish


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a platform lists it."""

    name: str
    text: str = ""
    """What its text is called: the key of `option.…`; empty: it takes none."""
    required: bool = False
    picture: bool = False
    """Whether a picture can come along."""
    private: bool = True
    """Whether only the person sees the answer, where the platform can."""
    listed: bool = True
    """Whether it stands in menus."""


COMMANDS: tuple[Known, ...] = (
    Known(name="generate", text="prompt", picture=True, private=False),
    Known(name="video", text="prompt", picture=True, private=False),
    Known(name="upscale", picture=True, private=False),
    Known(name="status"),
    Known(name="queue"),
    Known(name="cancel", text="which"),
    Known(name="history"),
    Known(name="balance"),
    Known(name="plan"),
    Known(name="buy"),
    Known(name="models"),
    Known(name="settings"),
    Known(name="language", text="language"),
    Known(name="link", text="code"),
    Known(name="report", text="job"),
    Known(name="help"),
    Known(name="start", text="code"),
    Known(name="privacy"),
    Known(name="terms"),
    Known(name="paysupport"),
    Known(name="admin", text="words", listed=False),
)
CONTEXT_ACTIONS = {"remix": "edit", "upscale": "upscale", "animate": "animate"}
"""Commands on a message of ours (Discord's menu of a message): the button of that message that they stand for."""


def command(turn: Turn, event: Command) -> None:
    """A command; one that nobody knows is told so."""
    cause = Cause(id=event.id, message=event.message, is_admin=event.who.is_admin)
    about = payload.read(event.about) if event.about else None
    match event.name:
        case "generate":
            ordering.typed(turn, cause, event.text, event.picture)
        case "video":
            ordering.typed(turn, cause, event.text, event.picture, "video")
        case "upscale" if event.picture is not None:
            wanted = Wish(order=SubmitRequest(upscale=presses.UPSCALE))
            ordering.take_in(turn, cause, wanted, reference=event.picture.reference)
        case "remix" | "upscale" | "animate" if about is not None and about.job_id is not None:
            meant = payload.written(CONTEXT_ACTIONS[event.name], about.job_id, about.owner)
            presses.act(turn, cause, meant)
        case "remix" | "upscale" | "animate":
            turn.respond(cause, Card(lines=[said("press.no_picture")]))
        case "report" if about is not None and about.job_id is not None:
            presses.report(turn, cause, about.job_id)
        case "report":
            _report(turn, cause, event.text)
        case name if name in PAGES:
            PAGES[name](turn, cause, event.text)
        case _:
            turn.respond(cause, Card(lines=[said("page.unknown_command")]))


def message(turn: Turn, event: Message) -> None:
    """Plain text or a picture: an order, unless others are talked to."""
    cause = Cause(id=event.id, message=event.message, is_admin=event.who.is_admin)
    form = turn.state.forms.get(event.answers) if event.answers else None
    if form is not None:
        fields = {"text": event.text}
        presses.filled(
            turn, Filled(id=event.id, at=event.at, who=event.who, form=form, fields=fields, message=event.message)
        )
        return
    if turn.scene.group and not event.addressed:
        return
    if event.text.strip() or event.picture is not None:
        ordering.typed(turn, cause, event.text, event.picture)


def _report(turn: Turn, cause: Cause, text: str) -> None:
    job_id = account.job_id_in(text)
    if job_id is not None:
        presses.report(turn, cause, job_id)
    else:
        turn.respond(cause, Card(lines=[said("report.how")]))


def _page(name: str) -> Callable[[Turn, Cause, str], None]:
    """A page of the catalogue."""

    def page(turn: Turn, cause: Cause, text: str) -> None:
        support = turn.house.support or turn.house.name
        turn.respond(cause, Card(lines=[said(f"page.{name}", name=turn.house.name, support=support)]))

    return page


PAGES: dict[str, Callable[[Turn, Cause, str], None]] = {
    "start": linking.start,
    "help": menus.helped,
    "status": account.status,
    "queue": account.status,
    "cancel": account.cancel,
    "history": account.history,
    "balance": account.balance,
    "plan": account.plan,
    "buy": buying.buy,
    "models": account.models,
    "settings": rules.open_settings,
    "language": settings.language,
    "link": linking.link,
    "privacy": _page("privacy"),
    "terms": _page("terms"),
    "paysupport": _page("paysupport"),
    "admin": admin.admin,
}
