"""The one line that makes a machine a worker, and what becomes of it: run, updated, rolled back, taken away.

A real `tessera up --lan`, its real installer, real environments built by pip from wheels by their hashes, without any
network but loopback.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.premises import House, Machine, until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def machine(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One that was made a worker by the line."""
    made = Machine(tmp_path_factory.mktemp("machine"), house)
    said = made.run(house.line())
    assert f"Enrolled at {house.url}" in said
    try:
        yield made
    finally:
        made.end()


def versions(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.prefix.iterdir() if path.is_dir() and not path.is_symlink())


@pytest.mark.slow
def test_a_dry_run_prints_every_step_and_does_none(house: House, tmp_path: Path) -> None:
    fresh = Machine(tmp_path, house)
    line = house.line()
    said = fresh.run(f"{line} -s -- --dry-run --comfyui")
    for step in ("-m venv", "--require-hashes", "tessera-agent enroll", "nvidia-ctk cdi generate", "install-service"):
        assert step in said, step
    assert "tse_" not in said
    assert list(fresh.home.iterdir()) == []
    assert "--list-gpus" in said, "the container is proved"


@pytest.mark.slow
def test_one_line_makes_a_machine_a_worker_that_draws(house: House, machine: Machine, tmp_path: Path) -> None:
    status = machine.working()
    assert status["url"] == house.url
    credential = json.loads((machine.state / "credential.json").read_text())
    assert "BEGIN CERTIFICATE" in credential["authority"]
    assert stat.S_IMODE((machine.state / "credential.json").stat().st_mode) == 0o600
    house.tessera("generate", "a lighthouse", "--size", "64x64", "-o", str(tmp_path / "out.png"))
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    [row] = json.loads(house.tessera("worker", "list", "--json"))
    assert row["worker"]["agent_version"] == status["version"] == machine.prefix.joinpath("current").readlink().name


@pytest.mark.long
def test_doing_it_again_changes_nothing_that_is_right(house: House, machine: Machine) -> None:
    before = (machine.state / "credential.json").read_bytes()
    environment = (machine.prefix / "current").resolve()
    made_at = (environment / "installed").stat().st_mtime_ns
    said = machine.run(house.line())
    assert "is here already" in said
    assert "enrolled already" in said
    assert (machine.state / "credential.json").read_bytes() == before
    assert (environment / "installed").stat().st_mtime_ns == made_at
    machine.working()


@pytest.mark.long
def test_an_update_puts_the_new_agent_in_force_and_it_works(house: House, machine: Machine, tmp_path: Path) -> None:
    old = str(machine.working()["version"])
    assert "this is" in machine.agent("update"), "there is nothing to do"
    assert versions(machine) == [old]
    with (house.tree / "agent" / "log.py").open("a") as file:
        file.write("\n# another agent\n")
    house.renew()
    assert "would" in machine.agent("update --dry-run")
    assert versions(machine) == [old]
    said = machine.agent("update")
    assert "canary" in said
    assert "the control plane has answered it" in said
    new = str(machine.working()["version"])
    assert new != old
    assert (machine.prefix / "current").readlink().name == new
    assert versions(machine) == sorted([old, new]), "the one before stays"
    house.tessera("generate", "a lighthouse", "--size", "64x64", "-o", str(tmp_path / "out.png"))
    rows = json.loads(house.tessera("worker", "list", "--json"))
    assert [row["worker"]["agent_version"] for row in rows] == [new]


@pytest.mark.long
def test_an_agent_whose_canary_fails_does_not_come_into_force(house: House, machine: Machine, tmp_path: Path) -> None:
    old, engine = str(machine.working()["version"]), house.tree / "agent" / "engine" / "testcard" / "__init__.py"
    sound = engine.read_text()
    engine.write_text(sound + "\nraise ImportError('no brush')\n")
    try:
        house.renew()
        said = machine.agent("update", code=1)
        assert "The canary of the new agent failed" in said
        assert "no brush" in said
        assert machine.working()["version"] == old
        assert (machine.prefix / "current").readlink().name == old
        assert len(list(machine.prefix.glob("*/pyvenv.cfg"))) <= 3  # current, its link and the one before
        house.tessera("generate", "still here", "--size", "64x64", "-o", str(tmp_path / "out.png"))
    finally:
        engine.write_text(sound)


@pytest.mark.slow
def test_taking_it_away_leaves_what_is_its_owners_unless_told(house: House, tmp_path: Path) -> None:
    fresh = Machine(tmp_path, house)
    for path in (fresh.prefix / "0.1", fresh.state, fresh.home / ".config", fresh.home / ".local" / "bin"):
        path.mkdir(parents=True)
    (fresh.state / "credential.json").write_text("{}")
    (fresh.home / ".config" / "tessera-agent.toml").write_text("")
    script = f"sh {house.tree}/ops/install-agent.sh --uninstall"
    assert "rm -rf" in fresh.run(f"{script} --dry-run")
    assert fresh.prefix.exists()
    said = fresh.run(script)
    assert not fresh.prefix.exists()
    assert "stays" in said
    assert (fresh.state / "credential.json").exists()
    fresh.run(f"{script} --purge")
    assert not fresh.state.exists()
    assert not (fresh.home / ".config" / "tessera-agent.toml").exists()


@pytest.mark.long
def test_what_is_in_force_can_be_taken_away_as_a_whole(house: House, machine: Machine) -> None:
    machine.working()
    machine.run(f"sh {house.tree}/ops/install-agent.sh --uninstall")
    until(lambda: not (machine.home / ".config" / "systemd" / "user" / "tessera-agent.service").exists(), "unit gone")
    assert not machine.prefix.exists()
    assert not (machine.home / ".local" / "bin" / "tessera-agent").is_symlink()
    assert (machine.state / "credential.json").exists()
