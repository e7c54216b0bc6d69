"""Whether it happened as told, asked of the database and of the files, not of those who acted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from control_plane.operator.tables import ATTEMPTS, FILES, AttemptRow
from control_plane.wire.job import JobView
from frontends.client import connect

if TYPE_CHECKING:
    from control_plane.cli.demo.house import House
    from control_plane.cli.demo.stage import Stage
    from control_plane.cli.demo.story import Killed

MOVED_SECONDS_MAX = 10.0
PNG = b"\x89PNG\r\n\x1a\n"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has in the end."""

    customer: str
    job: JobView
    picture: Path


class NotAsTold(Exception):
    """A claim of the story that is not true."""


def require(true: bool, otherwise: str) -> None:
    if not true:
        raise NotAsTold(otherwise)


async def check(home: House, stage: Stage, deliveries: list[Delivery], killed: Killed, moved_seconds: float) -> None:
    """Every claim, with figures; raises `NotAsTold`."""
    require(home.agents[killed.agent].returncode == -9, f"agent {killed.agent} did not die of SIGKILL")
    require(moved_seconds <= MOVED_SECONDS_MAX, f"the order took {moved_seconds:.1f} s to move")
    attempts_made = 0
    for delivery in deliveries:
        attempts = await home.database.many(ATTEMPTS, {"job_id": delivery.job.id})
        attempts_made += len(attempts)
        _check_attempts(delivery.customer, attempts)
        await _check_files(home, delivery)
        await _check_account(home, delivery.customer)
        if delivery.customer == killed.customer:
            _check_move(attempts, killed)
    stage.act(
        f"checked: {len(deliveries)} orders, {attempts_made} leases, one success each, one picture each,"
        " every hash as announced"
    )
    stage.say(
        f"         {killed.customer}'s was lost by agent {killed.agent} and given to the other"
        f" {moved_seconds:.1f} s after the kill"
    )


def _check_attempts(customer: str, attempts: list[AttemptRow]) -> None:
    succeeded = [attempt for attempt in attempts if attempt.outcome == "succeeded"]
    require(len(succeeded) == 1, f"{customer}'s order succeeded {len(succeeded)} times")
    require(all(attempt.ended_at for attempt in attempts), f"an attempt at {customer}'s order never ended")


def _check_move(attempts: list[AttemptRow], killed: Killed) -> None:
    lost = [attempt for attempt in attempts if attempt.number == killed.attempt]
    require(bool(lost) and lost[0].outcome == "lost", "the killed agent's attempt was not recorded as lost")
    last = attempts[-1]
    require(last.outcome == "succeeded" and last.worker != killed.agent, "the job was not finished by another agent")


async def _check_files(home: House, delivery: Delivery) -> None:
    files = await home.database.many(FILES, {"job_id": delivery.job.id})
    require(len(files) == 1, f"{delivery.customer}'s order has {len(files)} files and not one")
    _check_content(delivery.customer, delivery.picture, files[0].sha256)


def _check_content(customer: str, picture: Path, sha256: str) -> None:
    content = picture.read_bytes()
    require(hashlib.sha256(content).hexdigest() == sha256, f"{customer}'s picture is damaged")
    require(content.startswith(PNG), f"{customer}'s picture is none")


async def _check_account(home: House, customer: str) -> None:
    """What the customer sees: this one order, and nobody else's."""
    async with connect(home.url, home.keys[customer]) as client:
        page = await client.jobs()
    require(len(page.data) == 1, f"{customer} sees {len(page.data)} orders and not one")
    require(page.data[0].status == "succeeded", f"{customer} is told {page.data[0].status}")
