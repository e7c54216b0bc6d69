"""What is asked again, and how patiently."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from agent.client import NoAnswer, Problem
from agent.retry import CAP_SECONDS, FIRST_SECONDS, RETRY_AFTER_SECONDS_MAX, Verdict, pause, persist, verdict


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NoAnswer("connection refused"), Verdict.AGAIN),
        (Problem(500, "internal"), Verdict.AGAIN),
        (Problem(502), Verdict.AGAIN),
        (Problem(503, "disk-low"), Verdict.AGAIN),
        (Problem(503, "paused"), Verdict.AGAIN),
        (Problem(504, "deadline-exceeded"), Verdict.AGAIN),
        (Problem(429, "too-many-waiting"), Verdict.AGAIN),
        (Problem(404), Verdict.AGAIN),
        (Problem(409, "lease-lost"), Verdict.LOST),
        (Problem(401, "unauthorized"), Verdict.FATAL),
        (Problem(403, "revoked"), Verdict.FATAL),
        (Problem(426, "version-too-old"), Verdict.FATAL),
        (Problem(404, "not-found"), Verdict.REJECTED),
        (Problem(409, "artifacts-missing"), Verdict.REJECTED),
        (Problem(422, "invalid"), Verdict.REJECTED),
    ],
    ids=str,
)
def test_each_failure_has_one_meaning(error: Problem | NoAnswer, expected: Verdict) -> None:
    assert verdict(error) is expected


def test_the_bound_of_the_pause_doubles_up_to_the_cap() -> None:
    assert [pause(tries, chance=1.0) for tries in (1, 2, 3, 4)] == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pause(50, chance=1.0) == pause(10_000, chance=1.0) == CAP_SECONDS


def test_the_jitter_is_full_also_at_the_cap() -> None:
    drawn = [pause(100) for _ in range(500)]
    assert min(drawn) < 0.1 * CAP_SECONDS
    assert max(drawn) > 0.9 * CAP_SECONDS


def test_retry_after_is_a_floor_and_has_a_ceiling() -> None:
    assert pause(1, retry_after=30.0, chance=0.0) == 30.0
    assert pause(1, retry_after=30.0, chance=1.0) > 30.0
    assert pause(1, retry_after=1e9, chance=0.0) == RETRY_AFTER_SECONDS_MAX


def _failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


async def test_persist_asks_until_there_is_an_answer() -> None:
    assert await persist(_failing(NoAnswer("lost"), Problem(503, retry_after=0.0)), "test") == "answer"


@pytest.mark.parametrize("error", [Problem(401, "unauthorized"), Problem(409, "lease-lost"), Problem(422, "invalid")])
async def test_persist_believes_a_refusal_at_once(error: Problem) -> None:
    with pytest.raises(Problem) as caught:
        await persist(_failing(error), "test")
    assert caught.value is error
