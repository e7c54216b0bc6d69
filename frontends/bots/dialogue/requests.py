"""What the dialogue asks of the API, each with the type of its answer; `errands.py` makes the calls.

Everything may be asked twice (after a crash): orders and payments carry keys of their own, the rest is idempotent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from control_plane.wire.chat import Admission, AdmitRequest, ChatRules, ChatView
from control_plane.wire.conduct import ReportReceipt, ReportRequest, Suspension
from control_plane.wire.input import InputView
from control_plane.wire.job import JobList, JobView, SubmitRequest
from control_plane.wire.linking import LinkCode
from control_plane.wire.operator import (
    GrantView,
    ServiceView,
    SwitchRequest,
    UserFound,
    WhyView,
    WorkerList,
)
from control_plane.wire.payment import PackList, PaymentRequest, PaymentView
from control_plane.wire.user import AccountView, PlanList, Preferences, UserView
from frontends.bots.dialogue.screen import Artifact


class Place(msgspec.Struct, frozen=True, kw_only=True, tag="place"):
    """An order → `JobView`."""

    order: SubmitRequest
    idempotency_key: str


class Admit(msgspec.Struct, frozen=True, kw_only=True, tag="admit"):
    """Whether an order may be placed in a chat → `Admission`."""

    chat: str
    asked: AdmitRequest


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, tag="give_back"):
    """An admitted order was not placed → `Done`."""

    chat: str
    order_key: str


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """A job → `JobView`. `owner`: whose it is, where that is somebody else and the chat shares."""

    job_id: UUID
    owner: str = ""


class ListJobs(msgspec.Struct, frozen=True, kw_only=True, tag="list_jobs"):
    """Jobs, the newest first → `JobList`."""

    limit: int = 5
    status: str = ""
    before: datetime | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """→ `JobView`."""

    job_id: UUID


class Erase(msgspec.Struct, frozen=True, kw_only=True, tag="erase"):
    """Files and prompt of a job → `Done`."""

    job_id: UUID


class TakeIn(msgspec.Struct, frozen=True, kw_only=True, tag="take_in"):
    """Uploads a picture that the person sent (by the skin's reference), or somebody else's result → `InputView`."""

    reference: str = ""
    artifact: Artifact | None = None


class Translate(msgspec.Struct, frozen=True, kw_only=True, tag="translate"):
    """A prompt, and what shall not be in the picture, in a language that the model reads → `Translated`."""

    typed: str
    unwanted: str = ""
    """The negative prompt."""
    client_code: str
    """The language of the person's client."""
    reads: tuple[str, ...]
    """What the model reads."""
    triggers: tuple[str, ...] = ()
    """Words that must stay as they are."""


class Me(msgspec.Struct, frozen=True, tag="me"):
    """→ `AccountView`."""


class Plans(msgspec.Struct, frozen=True, tag="plans"):
    """→ `PlanList`."""


class Packs(msgspec.Struct, frozen=True, tag="packs"):
    """→ `PackList`."""


class Prefer(msgspec.Struct, frozen=True, kw_only=True, tag="prefer"):
    """Chooses → `Preferences`."""

    wanted: Preferences


class MakeCode(msgspec.Struct, frozen=True, tag="make_code"):
    """→ `LinkCode`."""


class EnterCode(msgspec.Struct, frozen=True, kw_only=True, tag="enter_code"):
    """→ `UserView`."""

    code: str


class EnterInvite(msgspec.Struct, frozen=True, kw_only=True, tag="enter_invite"):
    """→ `UserView`."""

    code: str


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """→ `ReportReceipt`."""

    asked: ReportRequest


class Credit(msgspec.Struct, frozen=True, kw_only=True, tag="credit"):
    """→ `PaymentView`."""

    paid: PaymentRequest


class LookAtChat(msgspec.Struct, frozen=True, kw_only=True, tag="look_at_chat"):
    """→ `ChatView`."""

    chat: str


class RuleChat(msgspec.Struct, frozen=True, kw_only=True, tag="rule_chat"):
    """→ `ChatView`."""

    chat: str
    rules: ChatRules


class Status(msgspec.Struct, frozen=True, tag="status"):
    """→ `ServiceView`."""


class Workers(msgspec.Struct, frozen=True, tag="workers"):
    """→ `WorkerList`."""


class Switch(msgspec.Struct, frozen=True, kw_only=True, tag="switch"):
    """→ `Done`."""

    asked: SwitchRequest


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """→ `Done`."""

    worker: str


class Ban(msgspec.Struct, frozen=True, kw_only=True, tag="ban"):
    """Suspends somebody, named as people are → `Suspension`."""

    user: str
    reason: str = ""


class Grant(msgspec.Struct, frozen=True, kw_only=True, tag="grant"):
    """→ `GrantView`. Twice under one key it is still made twice: the dialogue asks once, and says so when unsure."""

    user: str
    tokens: int
    reason: str


class Refund(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    """→ `PaymentView`; the process gives the money back through the bot that took it."""

    charge: str
    reason: str = ""


class Why(msgspec.Struct, frozen=True, kw_only=True, tag="why"):
    """→ `WhyView`."""

    job_id: UUID


Asked = (
    Place
    | Admit
    | GiveBack
    | Look
    | ListJobs
    | Cancel
    | Erase
    | TakeIn
    | Translate
    | Me
    | Plans
    | Packs
    | Prefer
    | MakeCode
    | EnterCode
    | EnterInvite
    | Report
    | Credit
    | LookAtChat
    | RuleChat
    | Status
    | Workers
    | Switch
    | Drain
    | Ban
    | Grant
    | Refund
    | Why
)


class Done(msgspec.Struct, frozen=True):
    """It is so; there is nothing to tell."""


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """What the model gets of a prompt."""

    text: str
    unwanted: str = ""
    outcome: Literal["kept", "translated", "unread", "failed"]
    """Read as it is; translated; in a language that the model does not read, without or in spite of a server. Of prompt
    and negative prompt the one of which it fared worse."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why not: the code of a problem of the API, or `unreachable`."""

    code: str
    status: int = 0
    detail: str = ""
    fields: dict[str, str | int | float] = {}
    """`needed`, `available`, `resets_at`, `category`, …"""
    retry_after: float | None = None


Answer = (
    JobView
    | JobList
    | Admission
    | InputView
    | AccountView
    | UserView
    | PlanList
    | PackList
    | Preferences
    | LinkCode
    | ReportReceipt
    | PaymentView
    | ChatView
    | ServiceView
    | WorkerList
    | Suspension
    | GrantView
    | UserFound
    | WhyView
    | Translated
    | Done
)
