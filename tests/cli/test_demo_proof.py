"""The demo believes nobody: what is not as told is found."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from control_plane.cli.demo import proof
from control_plane.cli.demo.proof import NotAsTold
from control_plane.cli.demo.story import Killed
from control_plane.operator.tables import AttemptRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KILLED = Killed(agent="left", job_id=UUID(int=1), customer="ada", at=0.0, attempt=1)


def attempt(number: int, worker: str, outcome: str | None) -> AttemptRow:
    return AttemptRow(
        number=number,
        worker=worker,
        slot=0,
        offered_at=NOON,
        started_at=NOON,
        ended_at=NOON if outcome else None,
        outcome=outcome,
        cause=None,
        message=None,
        joules=None,
    )


LOST, WON = attempt(1, "left", "lost"), attempt(2, "right", "succeeded")


def test_the_true_story_is_believed() -> None:
    proof._check_attempts("ada", [LOST, WON])
    proof._check_move([LOST, WON], KILLED)


@pytest.mark.parametrize(
    "attempts",
    [[], [LOST], [WON, attempt(3, "left", "succeeded")], [WON, attempt(3, "left", None)]],
    ids=["nothing", "lost only", "twice", "still at work"],
)
def test_anything_but_one_success_is_found(attempts: list[AttemptRow]) -> None:
    with pytest.raises(NotAsTold, match="ada's order"):
        proof._check_attempts("ada", attempts)


@pytest.mark.parametrize(
    "attempts",
    [[attempt(1, "left", "released"), WON], [LOST, attempt(2, "left", "succeeded")], [attempt(1, "left", "succeeded")]],
    ids=["not lost", "not moved", "not killed"],
)
def test_a_move_that_was_none_is_found(attempts: list[AttemptRow]) -> None:
    with pytest.raises(NotAsTold):
        proof._check_move(attempts, KILLED)


@pytest.mark.parametrize("content", [proof.PNG + b"other", b"no picture"])
def test_a_picture_that_is_not_the_announced_one_is_found(tmp_path: Path, content: bytes) -> None:
    picture = tmp_path / "ada.png"
    picture.write_bytes(content)
    announced = content if not content.startswith(proof.PNG) else proof.PNG
    with pytest.raises(NotAsTold, match="ada's picture"):
        proof._check_content("ada", picture, hashlib.sha256(announced).hexdigest())
