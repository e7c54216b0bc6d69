"""What a test key can have happen: `metadata.simulate` forces an outcome, so that every branch of a program is tried.

Some orders are refused at the door, as admission would refuse them; the rest become jobs of the sandbox, whose states
are all real (`rehearsal`). With a live key `simulate` is metadata like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

from control_plane.errors import Invalid, ModeratedInput, PlanForbids, Rate, TesseraError
from control_plane.queue import admission
from control_plane.wire.worker import FailCause

Outcome = Literal[
    "oom",
    "engine_crash",
    "missing_model",
    "moderated",
    "expired",
    "slow",
    "lost",
    "failing_webhook",
    "moderated_input",
    "tokens_short",
    "rate_limited",
    "queue_full",
    "plan_forbids",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

KEY = "simulate"
CAUSES: dict[str, FailCause] = {
    "oom": "oom",
    "engine_crash": "engine_crash",
    "missing_model": "missing_model",
    "moderated": "moderation",
}
"""What such a run fails with."""
WAITING: frozenset[Outcome] = frozenset({"expired", "slow"})
"""They stand in a line that no slot serves."""
NOBODYS_GIB = 1
"""VRAM class of the lanes in which they wait: the sandbox has no GPU."""
SLOW_SECONDS = 10.0
EXPIRED_SECONDS = 2
RATE_LIMITED_SECONDS = 2
TOLD: dict[Outcome, str] = {
    "oom": "the run fails with `error.code` `oom`",
    "engine_crash": "the run fails with `error.code` `engine_crash`",
    "missing_model": "the run fails with `error.code` `missing_model`",
    "moderated": "the result is refused: the run fails with `error.code` `moderation`",
    "expired": f"no worker comes, and after {EXPIRED_SECONDS} s the job is `expired`",
    "slow": f"no worker comes for {SLOW_SECONDS:g} s (`waiting.reason`), then the job succeeds",
    "lost": "the first worker is lost while it runs, so the job is `queued` once more; then it succeeds",
    "failing_webhook": "the job succeeds; its webhook deliveries fail twice before the third is sent",
    "moderated_input": "refused: 422 `moderated-input`",
    "tokens_short": "refused: 402 `tokens-short`",
    "rate_limited": f"refused: 429 `rate-limited`, `Retry-After: {RATE_LIMITED_SECONDS}`",
    "queue_full": "refused: 429 `queue-full`, with `Retry-After`",
    "plan_forbids": "refused: 403 `plan-forbids`",
}


def wanted(metadata: Mapping[str, str]) -> Outcome | None:
    """The outcome that the order of a test key asks for. Raises `Invalid` that lists what there is."""
    value = metadata.get(KEY)
    if value is None:
        return None
    for outcome in OUTCOMES:
        if outcome == value:
            return outcome
    listed = ", ".join(OUTCOMES)
    raise Invalid.at(f"/metadata/{KEY}", f"A test key simulates one of: {listed}.", "not_allowed")


def refused(
    outcome: Outcome | None, cost: int, plan: str, resets_at: datetime, resets_seconds: float
) -> TesseraError | None:
    """What an order with this outcome is refused with; None when it is taken."""
    match outcome:
        case "moderated_input":
            sentence = "This order is simulated to be against the rules of conduct."
            fault = {"pointer": "/prompt", "code": "moderated", "detail": sentence}
            return ModeratedInput(sentence, category="simulated", errors=[fault])
        case "tokens_short":
            return admission.tokens_short(cost, 0, resets_at, resets_seconds)
        case "rate_limited":
            error = admission.rate_limited(60, 60.0 - 1.0 + RATE_LIMITED_SECONDS)
            error.rate = Rate("submits", 60, 0, 60.0)
            return error
        case "queue_full":
            return admission.queue_full()
        case "plan_forbids":
            return PlanForbids(
                "Your plan is simulated not to include this.",
                plan=plan,
                limit="pixels_max",
                allowed=0,
                asked=1,
                allowed_by=[],
            )
        case _:
            return None


def notes() -> str:
    """All of it, for the documentation."""
    table = "\n\n".join(f"`{outcome}`: {TOLD[outcome]}." for outcome in OUTCOMES)
    return (
        "With a test key (`tsr_test_…`) the order runs in the sandbox: a test card of its size, for play tokens, unseen"
        f" by everything real. `metadata.{KEY}` forces what happens:\n\n{table}"
    )
