"""Becoming known: one wallet over all platforms by a one-time code, either way round; invites; the first greeting.

Whoever enters a code shares the account of who made it, so a code that comes by an address is asked about first: nobody
should be linked by following somebody else's link.
"""

from __future__ import annotations

import re

from control_plane.wire.linking import LinkCode
from control_plane.wire.user import UserView
from frontends.bots.dialogue import account, ordering, payload
from frontends.bots.dialogue.requests import Answer, EnterCode, EnterInvite, MakeCode
from frontends.bots.dialogue.screen import Button, Card, Field, Form, Moment
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, said

CODE = re.compile(r"[A-Za-z0-9-]{4,30}")
PLATFORMS = {"telegram": "Telegram", "discord": "Discord"}


def start(turn: Turn, cause: Cause, text: str) -> None:
    """`/start`, perhaps by a link with something behind it: `link_CODE`, `invite_CODE`, `buy`, `history`."""
    what, _, code = text.strip().partition("_")
    code = code if CODE.fullmatch(code) else ""
    if what == "link" and code:
        confirm(turn, cause, code)
    elif what == "invite" and code:
        turn.call(EnterInvite(code=code), "invited", cause)
    elif what == "history":
        account.history(turn, cause)
    else:
        greet(turn, cause)


def greet(turn: Turn, cause: Cause) -> None:
    kind = turn.scene.makes
    lines = [said(f"page.start_{kind}", name=turn.house.name)]
    turn.respond(cause, Card(lines=lines, buttons=turn.rows([turn.button("help"), turn.button("link")])))


def link(turn: Turn, cause: Cause, text: str = "") -> None:
    """`/link` makes a code; `/link CODE` enters one."""
    turn.toast(cause)
    if not text.strip():
        turn.call(MakeCode(), "code_made", cause)
    elif CODE.fullmatch(text.strip()):
        turn.call(EnterCode(code=text.strip()), "linked", cause)
    else:
        turn.respond(cause, Card(lines=[said("link.no_code")]))


def code_made(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """Shown to the person alone: whoever enters it has their account."""
    assert isinstance(answer, LinkCode)
    if turn.scene.group and not turn.platform.private_answers:
        turn.respond(cause, Card(lines=[said("link.in_private")]))
        return
    until = Moment(at=answer.expires_at.timestamp(), now=turn.at)
    lines = [said("link.code", code=answer.code), said("link.how", code=answer.code, until=until)]
    buttons = turn.rows([turn.button("enter_code")])
    turn.respond(cause, Card(lines=lines, buttons=buttons))


def ask_code(turn: Turn, cause: Cause, argument: str = "") -> None:
    field = Field(name="code", label=said("field.code"), length_max=30)
    form_id = payload.written("code")
    turn.ask(cause, Form(id=form_id, title=said("field.code_title"), fields=[field]))


def code_typed(turn: Turn, cause: Cause, argument: str, text: str) -> None:
    link(turn, cause, text or "?")


def confirm(turn: Turn, cause: Cause, code: str) -> None:
    """A code that was not typed is asked about."""
    button = Button(label=said("button.link_now"), payload=payload.written("enter", argument=code), style="primary")
    turn.respond(cause, Card(lines=[said("link.confirm")], buttons=[[button]]))


def enter(turn: Turn, cause: Cause, argument: str) -> None:
    turn.toast(cause)
    turn.call(EnterCode(code=argument), "linked", cause)


def linked(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, UserView)
    known = [PLATFORMS.get(one.provider, one.provider) for one in answer.identities]
    turn.change(choices=None, choices_at=0.0)  # those of the account that it is now
    turn.respond(cause, Card(lines=[said("link.done", platforms=sorted(set(known)))]))


def ask_invite(turn: Turn, cause: Cause, argument: str = "") -> None:
    field = Field(name="code", label=said("field.invite"), length_max=30)
    turn.ask(cause, Form(id=payload.written("invite"), title=said("field.invite_title"), fields=[field]))


def invite_typed(turn: Turn, cause: Cause, argument: str, text: str) -> None:
    if CODE.fullmatch(text):
        turn.call(EnterInvite(code=text), "invited", cause)
    else:
        turn.respond(cause, Card(lines=[said("link.no_code")]))


def invited(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    assert isinstance(answer, UserView)
    turn.respond(cause, Card(lines=[said("link.invited", plan=answer.plan)]))


def made(turn: Turn, cause: Cause, argument: str, text: str) -> None:
    """What to make, asked for before."""
    ordering.typed(turn, cause, text, None, "video" if argument == "video" else "image")
