"""Set-up: what it says before it installs anything, and that the lock is what pyproject.toml asks for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from ops import bootstrap, lock

GOOD = ((3, 11, 2), True, "Linux", "x86_64", ("glibc", "2.36"))
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ]+) ", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((lock.ROOT / "ops" / name).read_text()))


def test_a_usable_machine_is_not_complained_about() -> None:
    assert bootstrap.trouble(*GOOD) is None
    assert bootstrap.trouble((3, 13, 0), True, "Darwin", "arm64", ("", "")) is None


@pytest.mark.parametrize(
    ("place", "value", "cure"),
    [
        (0, (3, 9, 1), r"needs Python 3\.11 or newer, this is 3\.9\. Install one .*apt install python3\.11"),
        (1, False, r"apt install python3\.11-venv"),
        (2, "Windows", r"use WSL2"),
        (3, "riscv64", r"Use Linux .* on x86-64 or ARM64"),
        (4, ("", ""), r"glibc 2\.28 or newer .*not Alpine"),
        (4, ("glibc", "2.17"), r"glibc 2\.28 or newer"),
    ],
)
def test_what_is_missing_is_said_in_one_line_with_its_cure(place: int, value: object, cure: str) -> None:
    machine: list[Any] = [value if index == place else part for index, part in enumerate(GOOD)]
    sentence = bootstrap.trouble(*machine)
    assert sentence is not None
    assert "\n" not in sentence
    assert re.search(cure, sentence)


def test_even_an_old_python_lives_long_enough_to_say_so() -> None:
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 6))


def test_when_nothing_is_to_be_done_nothing_is_done_or_said() -> None:
    if not bootstrap.STAMP.exists():
        pytest.skip("these tests do not run from the environment that make sets up")
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    ran = subprocess.run([str(base), bootstrap.__file__, "runtime"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("name", lock.LOCKS)
def test_the_lock_has_what_pyproject_asks_for(name: str) -> None:
    wanted = tomllib.loads((lock.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = pins(name)
    for extra in lock.LOCKS[name]:
        for requirement in map(Requirement, wanted[extra]):
            assert pinned.get(requirement.name.lower()), f"{requirement.name} is not locked: type `make lock`"
            assert requirement.specifier.contains(pinned[requirement.name.lower()]), "type `make lock`"


def test_running_and_testing_use_the_same_versions() -> None:
    everything = pins("requirements-dev.lock")
    for name in lock.LOCKS:
        assert len(pins(name)) > 10
        differing = {one for one, version in pins(name).items() if everything.get(one, version) != version}
        assert differing == set()


@pytest.mark.parametrize("name", lock.LOCKS)
def test_the_lock_has_hashes_and_no_address(name: str) -> None:
    text = (lock.ROOT / "ops" / name).read_text()
    assert "://" not in text
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    for requirement in requirements:
        assert re.fullmatch(r"[a-z0-9._-]+==\S+ (; [^\\]+ )?(\\\n {4}--hash=sha256:[0-9a-f]{64} ?)+", requirement)
