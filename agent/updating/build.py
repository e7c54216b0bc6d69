"""A new environment with the new agent in it, beside the one in force; the installer makes the first one likewise.

pip checks every file by its hash, libraries as well as the agent. From which index the libraries come is the owner's
business (`pip config`, PIP_INDEX_URL); nothing is built here, only wheels are taken.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from agent import program
from agent.homes import WHOLE
from agent.updating import UpdateFailed
from agent.updating.fetch import REQUIREMENTS
from control_plane.wire.release import AgentRelease

DOWNLOAD = "download"
"""The folder of an environment with what it was made from."""
WHEEL_LINE = "agent.txt"
VENV_SECONDS = 120.0
PIP_SECONDS = 1_200.0
SAID_LINES = 4
PIP = (
    *("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"),
    *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
)


def begin(environment: Path) -> Path:
    """An empty folder for the environment; returns where its files go."""
    shutil.rmtree(environment, ignore_errors=True)
    download = environment / DOWNLOAD
    download.mkdir(parents=True)
    return download


async def finish(environment: Path, release: AgentRelease, environ: Mapping[str, str]) -> None:
    """Makes the environment from what was put into its download folder. Raises `UpdateFailed`."""
    download = environment / DOWNLOAD
    line = f"./{release.wheel} --hash=sha256:{release.wheel_sha256}\n"
    (download / WHEEL_LINE).write_text(line)
    base = getattr(sys, "_base_executable", None) or sys.executable
    await _run(VENV_SECONDS, environ, base, "-m", "venv", str(environment))
    python = str(environment / "bin" / "python")
    files = ("-r", str(download / REQUIREMENTS), "-r", str(download / WHEEL_LINE))
    await _run(PIP_SECONDS, environ, python, *PIP, *files, folder=download)
    (environment / WHOLE).touch()


async def _run(seconds: float, environ: Mapping[str, str], *command: str, folder: Path | None = None) -> None:
    try:
        answer = await program.ask(*command, seconds=seconds, environ=environ, folder=folder)
    except program.Missing as error:
        raise UpdateFailed(f"The new agent could not be built: {error}. The old one is still in force.") from error
    if not answer.well:
        said = " ".join(answer.said.strip().splitlines()[-SAID_LINES:])
        raise UpdateFailed(
            f"The new agent could not be built ({os.path.basename(command[0])} {command[2]}: {said}). The old one is"
            " still in force."
        )
