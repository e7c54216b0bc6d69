"""The setup of a new installation, as its operator sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from control_plane.wire import Message, Request
from control_plane.wire.operator import Condition

StepName = Literal["account", "address", "machine", "bots", "backup"]
StepState = Literal["done", "put_off", "open"]
Light = Literal["off", "waiting", "expired", "enrolled", "ready", "green"]
"""Of the machine that is waited for: no token was made; its token is not used yet, or too old by now; it has enrolled;
its engine has drawn, so that it takes work; its first picture has come through the line."""


class SetupStep(Message, frozen=True, kw_only=True):
    """A step, done as facts say, or put off by an operator."""

    name: StepName
    state: StepState


class SetupAddress(Message, frozen=True, kw_only=True):
    """By which address people and machines come."""

    url: str
    is_set: bool
    """Whether the operator has named it; else it is where this process listens."""
    secure: bool
    """https."""
    listens_on: str
    """Where a proxy in front finds this process: `127.0.0.1:8000`."""


class SetupMachine(Message, frozen=True, kw_only=True):
    """The machine that the setup waits for."""

    light: Light
    expires_at: datetime | None
    """Of the token."""
    name: str | None
    condition: Condition | None
    serves: list[str]
    """`kind/model`."""
    picture_job_id: UUID | None
    """Its first picture, a job of the operator who was there."""
    picture_by: str | None
    """Which machine has drawn that."""


class SetupBots(Message, frozen=True, kw_only=True):
    """A service that acts for people."""

    name: str
    providers: list[str]
    last_used_at: datetime | None
    """When it was heard of last."""


class SetupBackup(Message, frozen=True, kw_only=True):
    """How the backups stand."""

    place: str | None
    """Where they go; null: nowhere yet."""
    at: str
    """When `tessera up` makes the nightly one (UTC)."""
    closed_to_a_key: bool
    """Whether it was said to whom they are encrypted, or that they are not."""
    last_started_at: datetime | None
    last_error: str | None
    verified_at: datetime | None
    """When one was last restored into an empty server and found equal."""


class SetupView(Message, frozen=True, kw_only=True):
    """How far the setup has come."""

    closed: bool
    """It is not shown by itself any more."""
    steps: list[SetupStep]
    """In their order."""
    address: SetupAddress
    machine: SetupMachine
    bots: list[SetupBots]
    backup: SetupBackup


class SetupRequest(Request, frozen=True, kw_only=True):
    """What an operator decides on the way; what is absent stays as it is."""

    put_off: StepName | UnsetType = UNSET
    """This step comes later."""
    take_up: StepName | UnsetType = UNSET
    """This step is not put off any more."""
    closed: bool | UnsetType = UNSET


class AddressCheck(Message, frozen=True, kw_only=True):
    """Whether the public address leads here, as seen from here."""

    outcome: Literal["ours", "foreign", "elsewhere", "untrusted", "silent"]
    """It leads to this service; to something else; it sends on to another address; its certificate is not trusted here;
    nobody answers."""
    said: str
    """What was found and what to do, as sentences."""


class PictureRequest(Request, frozen=True, kw_only=True):
    """The first picture of the machine that is waited for."""

    prompt: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00]*$")] = "a lighthouse at dawn"
