"""The workflows of the control plane as this machine keeps them, so that an agent which starts knows what it can do.

What is newer than this agent is left out, one workflow at a time. Whether a graph may run, the engine judges.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

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
