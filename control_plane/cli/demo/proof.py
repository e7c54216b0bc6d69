"""Whether it happened as told, asked of the database and of the files, not of those who acted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.cli.queries import ATTEMPTS, FILES, AttemptRow
from control_plane.wire.job import JobView
from frontends.client import connect

if TYPE_CHECKING:
    from control_plane.cli.demo.house import House
    from control_plane.cli.demo.stage import Stage
    from control_plane.cli.demo.story import Killed

MOVED_SECONDS_MAX = 10.0
PNG = b"\x89PNG\r\n\x1a\n"


class NotAsTold(Exception):
    """A claim of the story that is not true."""


def require(true: bool, otherwise: str) -> None:
    if not true:
        raise NotAsTold(otherwise)


async def check(
    home: House,
    stage: Stage,
    orders: dict[str, JobView],
    pictures: dict[str, Path],
    killed: Killed,
    moved_seconds: float,
) -> None:
    """Every claim, with figures; raises `NotAsTold`."""
    require(home.agents[killed.agent].returncode == -9, f"agent {killed.agent} did not die of SIGKILL")
    require(moved_seconds <= MOVED_SECONDS_MAX, f"the job took {moved_seconds:.1f} s to move")
    attempts_made = 0
    for customer, job in orders.items():
        attempts = await home.database.many(ATTEMPTS, {"job_id": job.id})
        attempts_made += len(attempts)
        _check_attempts(customer, attempts)
        await _check_files(home, customer, job, pictures[customer])
        await _check_account(home, customer)
        if customer == killed.customer:
            _check_move(attempts, killed)
    stage.say(
        f"\nChecked: {len(orders)} orders, {attempts_made} attempts, exactly one success each; one picture each,"
        " its hash as announced;"
    )
    stage.say(
        f"         {killed.customer}'s was begun by {killed.agent} (lost) and finished by another agent,"
        f" which had it {moved_seconds:.1f} s after the kill."
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


async def _check_files(home: House, customer: str, job: JobView, picture: Path) -> None:
    files = await home.database.many(FILES, {"job_id": job.id})
    require(len(files) == 1, f"{customer}'s order has {len(files)} files and not one")
    _check_content(customer, picture, files[0].sha256)


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
