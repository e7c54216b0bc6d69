"""The bots do not start on libraries that would lose files or take for ever, and say what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frontends.bots import packages
from frontends.bots.limits import PlatformName

HERE = {"kurigram": "2.2.26", "hikari": "2.7.0"}
BOTH: tuple[PlatformName, ...] = ("telegram", "discord")


def told(versions: dict[str, str], *platforms: PlatformName, tgcrypto: bool = True) -> list[str]:
    return list(packages.faults(platforms or BOTH, versions.get, lambda module: tgcrypto))


def test_the_libraries_of_this_installation_are_right() -> None:
    assert list(packages.faults(BOTH)) == []


def test_each_fault_names_what_to_run() -> None:
    assert told(HERE) == []
    [beside] = told({**HERE, "pyrogram": "2.0.106"})
    assert "pip uninstall --yes pyrogram kurigram" in beside
    [slow] = told(HERE, tgcrypto=False)
    assert "pip install TgCrypto-pyrofork" in slow
    assert len(told({}, tgcrypto=False)) == 3


def test_only_what_a_platform_needs_is_asked_for() -> None:
    assert told({"hikari": "2.7.0"}, "discord", tgcrypto=False) == []
    assert told({"kurigram": "2.2.26"}, "telegram") == []


@pytest.mark.parametrize(
    ("leaves", "says"),
    [
        (
            {"pyrogram-2.0.106.dist-info/METADATA": "Metadata-Version: 2.1\nName: pyrogram\nVersion: 2.0.106\n"},
            "beside",
        ),
        ({"sitecustomize.py": "import sys\nsys.modules['tgcrypto'] = None\n"}, "tgcrypto is not installed"),
    ],
)
def test_the_program_refuses_to_start(tmp_path: Path, leaves: dict[str, str], says: str) -> None:
    for name, text in leaves.items():
        (tmp_path / "path" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "path" / name).write_text(text)
    config = tmp_path / "bots.toml"
    config.write_text(
        'api_key = "tsk_x"\n[telegram]\napi_id = 1\napi_hash = "h"\n'
        '[[bot]]\nname = "a"\nplatform = "telegram"\nmakes = "image"\ntoken = "1:x"\n'
    )
    config.chmod(0o600)
    ours = os.pathsep.join([str(tmp_path / "path"), *filter(None, sys.path)])
    environ = {**os.environ, "PYTHONPATH": ours, "TESSERA_BOTS_CONFIG": str(config)}
    run = subprocess.run(
        [sys.executable, "-m", "frontends.bots"], env=environ, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 78
    assert says in run.stderr
    assert "Traceback" not in run.stderr
