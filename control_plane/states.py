"""The life of a job: its states, and which change of state each event may make.

Everything that decides about states stands here or in `sql/queries/queue.sql`, whose statements are guarded by
the same table (a test walks every pair through the database). A wish to cancel is a timestamp, not a state; a
retry in backoff is `queued`; a lease has a phase of its own.
"""

from __future__ import annotations

from typing import Literal, get_args

from control_plane.wire.job import JobStatus
from control_plane.wire.worker import FailCause, Phase

State = Literal["queued", "running", "succeeded", "failed", "canceled", "expired"]

STATES: tuple[State, ...] = get_args(State)
TERMINAL: frozenset[State] = frozenset({"succeeded", "failed", "canceled", "expired"})

TRANSITIONS: dict[tuple[State, str], tuple[State, ...]] = {
    ("queued", "claim"): ("running",),
    ("queued", "cancel"): ("canceled",),
    ("queued", "expire"): ("expired",),
    ("running", "complete"): ("succeeded", "canceled"),
    ("running", "fail"): ("failed", "queued", "canceled"),
    ("running", "release"): ("queued", "canceled"),
    ("running", "reap"): ("queued", "failed", "canceled"),
    ("running", "take_over"): ("running",),
    ("running", "revoke"): ("queued", "canceled"),
    ("running", "cancel"): ("canceled", "running"),
}
"""(state, event) → states it may lead to. What is not here is refused and changes nothing."""

FAILURES_MAX = 3
LOSSES_MAX = 3
"""Lost while started: the third loss, or the second on another worker, and the job is poison."""
BACKOFF_FIRST_SECONDS = 5.0
BACKOFF_MAX_SECONDS = 300.0
FINAL_CAUSES: frozenset[FailCause] = frozenset({"invalid_input", "moderation"})
"""The job's own fault: it would fail anywhere, so it is not tried again and no slot is blamed."""

ERROR_MESSAGES: dict[str, str] = {
    "oom": "The GPU ran out of memory. Try a smaller size or fewer frames.",
    "engine_crash": "The engine crashed several times while it worked on this job. Try again or change the parameters.",
    "invalid_input": "The engine refused the order as impossible. Change the parameters.",
    "missing_model": "No worker could load the model. Try another model.",
    "timeout": "The job ran longer than allowed. Try fewer steps, a smaller size or fewer frames.",
    "upload": "The result could not be stored. Try again.",
    "moderation": "The order was refused by moderation.",
    "worker_lost": "Workers were lost while they ran this job, so it is not tried again.",
    "max_wait": "The job did not start within its max_wait.",
}


def status(state: State, phase: Phase | None, cancel_requested: bool) -> JobStatus:
    """What the public calls it: a lease that has not started is still `queued`."""
    if state != "running":
        return state
    if cancel_requested:
        return "canceling"
    return "running" if phase == "started" else "queued"


def diagram() -> str:
    """The transitions as a Mermaid state diagram, for ARCHITECTURE.md."""
    arrows = sorted({(source, target, event) for (source, event), targets in TRANSITIONS.items() for target in targets})
    lines = ["stateDiagram-v2", "    [*] --> queued : submit"]
    lines += [f"    {source} --> {target} : {event}" for source, target, event in arrows]
    lines += [f"    {state} --> [*]" for state in STATES if state in TERMINAL]
    return "\n".join(lines)
