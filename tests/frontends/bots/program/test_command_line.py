"""`tessera-bots` as an operator types it: what it refuses, in a sentence and with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """api_key = "tsk_x"
[telegram]
api_id = 1
api_hash = "h"
[[bot]]
name = "painter"
platform = "telegram"
makes = "image"
token = "1:x"
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TESSERA_BOTS_CONFIG": str(folder / "bots.toml")}
    command = [sys.executable, "-m", "frontends.bots", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bots.toml").write_text(CONFIG)
    (tmp_path / "bots.toml").chmod(0o600)
    return tmp_path


def test_a_bot_that_there_is_none_of_is_told_with_those_that_there_are(folder: Path) -> None:
    done = run(folder, "--only", "discord")
    assert (done.returncode, done.stderr) == (
        78,
        "tessera-bots: There is no bot 'discord'. There are: telegram, discord, painter.\n",
    )


def test_what_is_not_understood_has_a_code_of_its_own(folder: Path) -> None:
    done = run(folder, "--port", "high")
    assert done.returncode == 64
    assert "'high' is not a port" in done.stderr


def test_without_a_configuration_it_says_how_to_begin(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 78
    assert "Run: tessera-bots setup" in done.stderr


def test_a_demonstration_without_a_key_says_so(tmp_path: Path) -> None:
    words = ("--url", "http://127.0.0.1:9", "--api-key-file", str(tmp_path / "none"), "--folder", str(tmp_path / "d"))
    done = run(tmp_path, "demo", *words)
    assert done.returncode == 78
    assert "--api-key-file names" in done.stderr
