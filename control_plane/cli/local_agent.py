"""The agent of `tessera up`: enrolled by itself on first sight, then kept running; its state is `data_dir/agent`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from control_plane.cli import printing
from control_plane.cli.child import Again, Keeper, Verdict
from control_plane.cli.operating import opened
from control_plane.cli.parsing import EX_CONFIG, EX_UNAVAILABLE, CommandError
from control_plane.errors import TesseraError

if TYPE_CHECKING:
    from control_plane.database import Database

FOLDER, NAME = "agent", "local"
CREDENTIAL = "credential.json"
HOPELESS = frozenset({5, 7, EX_CONFIG})
"""Another agent has the folder, it is too old, the configuration is wrong."""


async def keeper(database: Database, data_dir: Path, url: str) -> Keeper | None:
    """What keeps the agent of this machine running; None when the operator has revoked it."""
    folder = data_dir / FOLDER
    match await _standing(database, folder, url):
        case "revoked":
            printing.note(f"The local agent was revoked. To enrol it anew, remove {folder} and start again.")
            return None
        case "unknown":
            await enroll(database, folder, url, NAME)
    return Keeper(
        "local agent",
        ("-m", "agent", "run"),
        {**os.environ, "TESSERA_AGENT_DIR": str(folder)},
        _again(database.url, folder, url),
    )


def _again(database_url: str, folder: Path, url: str) -> Again:
    """Whether an agent that has ended is started again."""

    async def again(code: int | None) -> Verdict:
        if code in HOPELESS:
            return "never"
        try:
            async with opened(database_url) as database:
                standing = await _standing(database, folder, url)
        except TesseraError:  # the database is away just now, which says nothing about the agent
            return "now" if code else "rest"
        if standing == "revoked":
            return "never"
        return "rest" if standing == "drained" and not code else "now"

    return again


async def enroll(database: Database, folder: Path, url: str, name: str) -> None:
    """Make the agent of `folder` a worker."""
    from agent.client import NoAnswer, Problem
    from agent.credential import save
    from agent.enrolment import enroll
    from control_plane.workers import roster

    token = await roster.create_token(database, name)
    try:
        credential = await enroll(url, token, name)
    except (NoAnswer, Problem) as error:
        sentence = f"The local agent could not be enrolled ({error}). `--no-agent` starts without it."
        raise CommandError(sentence, EX_UNAVAILABLE) from error
    save(credential, folder / CREDENTIAL)


async def _standing(database: Database, folder: Path, url: str) -> str:
    """`known`, `drained`, `revoked` or `unknown`: what this database knows of the credential in `folder`.

    The service may listen elsewhere than the last time, so the address in the credential is brought up to date.
    """
    from agent.credential import CredentialError, load, save

    try:
        credential = load(folder / CREDENTIAL)
    except CredentialError:
        return "unknown"
    standing = await _worker_standing(database, credential.worker_id)
    if standing in ("known", "drained") and credential.url != url:
        save(msgspec.structs.replace(credential, url=url), folder / CREDENTIAL)
    return standing


async def _worker_standing(database: Database, worker_id: UUID) -> str:
    from control_plane.workers import roster

    for listed in await roster.list_all(database, 1.0, with_revoked=True):
        if listed.worker.id == worker_id:
            if listed.worker.revoked_at:
                return "revoked"
            return "drained" if listed.worker.draining else "known"
    return "unknown"
