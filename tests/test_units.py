"""The systemd units and the installer: what can be said of them without a systemd that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from control_plane.settings import FIELDS, PREFIX, SECRETS

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "ops" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
LASTING = [unit for unit in SERVICES if "Type=oneshot" not in unit.read_text()]
INSTALLER = ROOT / "ops" / "install.sh"
EXPOSURE_MAX = {"tessera@.service": 15, "tessera-agent.service": 20}
"""Tenths, of `systemd-analyze security`: what the design allows; whatever is not named may have 15 as well."""


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_is_as_closed_as_was_promised(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here (apt install systemd)")
    instance = tmp_path / unit.name.replace("@.", "@8000.")
    instance.write_text(unit.read_text())
    most = EXPOSURE_MAX.get(unit.name, 15)
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", str(instance)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-300:] + ended.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_starts_a_program_that_there_is_with_settings_that_there_are(unit: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (command,) = values(unit, "ExecStart")
    assert Path(command.split()[0]).name in scripts
    known = {PREFIX + name.upper() for name in FIELDS} | {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    named = {value.partition("=")[0] for value in values(unit, "Environment")}
    assert named <= known | {"TESSERA_CONFIG", "TESSERA_AGENT_CONFIG"}
    for value in values(unit, "Environment"):  # a secret comes by a credential that is loaded
        if "%d/" in value:
            assert value.partition("%d/")[2] in [name.partition(":")[0] for name in values(unit, "LoadCredential")]


@pytest.mark.parametrize(
    "unit", [unit for unit in SERVICES if "oneshot" not in unit.read_text()], ids=lambda unit: unit.name
)
def test_a_unit_that_stays_up_is_watched_and_has_time_to_end(unit: Path) -> None:
    assert values(unit, "Type") == ["notify"]
    assert int(values(unit, "WatchdogSec")[0]) >= 30
    assert int(values(unit, "TimeoutStopSec")[0]) > 10
    assert values(unit, "Restart")[0] in ("always", "on-failure")


def test_the_installer_says_every_step_and_does_none_when_asked_to() -> None:
    said = subprocess.run(
        ["sh", INSTALLER, "--dry-run", "--domain", "pictures.example.org"], capture_output=True, text=True, check=True
    ).stdout
    for step in ("--require-hashes", "tessera migrate", "tessera@.service", "caddy validate", "current"):
        assert step in said, step
    assert not Path("/etc/caddy/tessera.caddy").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--domain", "not a name"], "is a name such as"),
        (["--proxy", "apache", "--domain", "a.example"], "caddy, nginx or none"),
        (["--proxy", "caddy"], "needs --domain"),
        (["--proxy", "nginx", "--domain", "a.example"], "needs --certificate"),
        (["--port", "http"], "is a number"),
        (["--purge"], "goes with --uninstall"),
        (["--domain"], "wants a value"),
        (["--verbose"], "no option --verbose"),
    ],
)
def test_the_installer_refuses_what_it_cannot_mean_before_it_does_anything(arguments: list[str], sentence: str) -> None:
    ended = subprocess.run(["sh", INSTALLER, "--dry-run", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert ended.stdout == ""


def test_shell_scripts_are_clean() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here (apt install shellcheck)")
    scripts = sorted((ROOT / "ops").glob("*.sh"))
    assert INSTALLER in scripts
    subprocess.run(["shellcheck", *scripts], check=True)
