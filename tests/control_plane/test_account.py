from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from control_plane import account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs things as somebody else")


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A file that only its owner may run, in a folder that only its owner may enter."""
    tmp_path.chmod(0o700)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o700)
    return program


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, cwd="/")


def test_an_ordinary_user_runs_things_as_himself(tmp_path: Path) -> None:
    mine = os.geteuid()
    assert account.command(["true"], mine, reach=[tmp_path]) == ["true"]
    assert account.owner(tmp_path) == mine


@needs_root
def test_what_the_account_must_reach_it_reaches_and_asking_says_so_too(hidden: Path) -> None:
    uid = account.unprivileged(hidden)
    assert uid != 0
    ran = run(account.command([str(hidden)], uid, reach=[hidden]))
    assert ran.stdout == f"{uid}\n"
    assert run(account.command(["test", "-x", str(hidden)], uid, reach=[hidden])).returncode == 0


@needs_root
def test_the_account_may_do_nothing_special_where_that_is_not_needed(hidden: Path) -> None:
    uid = account.unprivileged(hidden)
    assert run(account.command(["cat", str(hidden)], uid, reach=[Path("/usr/bin/env")])).returncode != 0
    capabilities = run(account.command(["grep", "CapEff", "/proc/self/status"], uid, reach=[Path("/usr/bin/env")]))
    assert int(capabilities.stdout.split()[1], 16) == 0
