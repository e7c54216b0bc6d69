"""The workflows of the control plane as this machine keeps them, so that an agent which starts knows what it can do.

With them is kept what the operator's lists of weights say of their files, for the commands that load them. What is
newer than this agent is left out, one workflow and one file at a time. Whether a graph may run, the engine judges.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from control_plane.wire import weights as lists
from control_plane.wire.weights import Entry, WeightsError
from control_plane.wire.workflow import SHIPPED, Workflow, WorkflowError, WorkflowSet, load, received

NOTHING = WorkflowSet(revision="", data=[])

log = structlog.get_logger()


def keep(path: Path, found: WorkflowSet) -> None:
    """For the next start; that this is not possible is only logged."""
    new = path.with_suffix(".new")
    try:
        new.write_bytes(msgspec.json.encode(found))
        new.replace(path)
    except OSError as error:
        log.warning("workflows.not_kept", problem=str(error))


def kept(path: Path) -> WorkflowSet:
    """What was last kept; nothing where that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=WorkflowSet)
    except (OSError, msgspec.DecodeError):
        return NOTHING


def known(path: Path, own: Path | None) -> list[Workflow]:
    """What the control plane has in force, as far as it was heard of; else what is shipped and what lies in a folder of
    one's own. Raises `WorkflowError`."""
    return understood(kept(path)) or load(SHIPPED, *([own] if own else []))


def understood(found: WorkflowSet) -> list[Workflow]:
    """The workflows that this agent can read."""
    workflows = []
    for one in found.data:
        try:
            workflows.append(received(one))
        except WorkflowError as error:
            log.warning("workflow.not_understood", workflow=one.name, problem=str(error))
    return workflows


def weights(found: WorkflowSet) -> list[Entry]:
    """What this agent can read of what is known of their files."""
    entries = []
    for one in found.weights:
        try:
            entries.append(lists.received(one))
        except WeightsError as error:
            log.warning("weights.not_understood", problem=str(error))
    return entries
