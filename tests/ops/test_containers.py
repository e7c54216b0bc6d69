"""The container images as far as they can be checked without building them: pins, what is copied, who runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.checkup import comfyui
from agent.engine.comfyui.launch import IMAGE_MODELS
from agent.settings import PREFIX, load
from ops.containers import lock

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "ops" / "containers"
GPU_MACHINES = (FOLDER / "README.md").read_text().partition("## For the control plane")[0]
KNOWN = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD", "VOLUME"}

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    text = (FOLDER / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines()]
    assert {word for word, _ in found} <= KNOWN
    return found


def stages() -> dict[str, list[Instruction]]:
    found: dict[str, list[Instruction]] = {"": []}
    for word, rest in instructions():
        if word == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        found[list(found)[-1]].append((word, rest))
    return found


def arguments() -> dict[str, str]:
    return dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")


def test_all_that_comes_from_elsewhere_is_pinned_and_no_registry_is_named() -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", arguments()["BASE"])
    assert arguments()["REGISTRY"] == ""
    assert re.fullmatch(r"[0-9a-f]{40}", arguments()["COMFYUI_COMMIT"])
    bases = [rest.partition(" AS ")[0] for word, rest in instructions() if word == "FROM"]
    assert set(bases) <= {"${REGISTRY}${BASE}", *stages()}
    locked = lock.blocks((FOLDER / "requirements.lock").read_text())
    assert len(locked) > 40
    assert all(re.match(r"[a-z0-9-]+==[\w.]+ \\\n(\s+--hash=sha256:[0-9a-f]{64}( \\\n|$))+", block) for block in locked)
    assert not any(lock.is_given(block) for block in locked), "the base image brings those along"
    [torch] = [given.partition("==")[2] for given in lock.GIVEN if given.startswith("torch==")]
    assert f":{torch}-" in arguments()["BASE"]
    assert "://" not in (FOLDER / "requirements.lock").read_text() + (FOLDER / "requirements.in").read_text()


def test_all_that_was_asked_for_is_locked() -> None:
    asked = re.findall(r"^([A-Za-z0-9-]+)", (FOLDER / "requirements.in").read_text(), re.MULTILINE)
    locked = {block.partition("==")[0] for block in lock.blocks((FOLDER / "requirements.lock").read_text())}
    assert len(asked) > 20
    assert {name.lower() for name in asked} <= locked


def test_the_version_of_comfyui_is_the_one_that_workflows_were_validated_with() -> None:
    version = ".".join(map(str, comfyui.PROVEN))
    assert f"ComfyUI {version}" in (FOLDER / "README.md").read_text()
    assert f"ComfyUI {version}" in (FOLDER / "requirements.in").read_text()


@pytest.mark.parametrize("target", ["comfyui", "agent"])
def test_nobody_is_root_and_each_image_says_whether_it_is_well(target: str) -> None:
    lines = stages()["comfyui"] + (stages()["agent"] if target == "agent" else [])
    last = dict(lines)
    assert int(last["USER"].partition(":")[0]) > 0
    assert json.loads(last["ENTRYPOINT"])[0] == "python"
    assert isinstance(json.loads(last["CMD"]), list)
    probe = json.loads(last["HEALTHCHECK"].partition(" CMD ")[2])
    compile(probe[-1], "probe", "exec")
    assert not any("curl" in rest or word == "ADD" for word, rest in lines)


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    copied = [rest.split() for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    allowed = {line[1:] for line in (FOLDER / "containerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for source, _ in copied} == allowed
    assert all((ROOT / source).exists() for source in allowed)
    assert IMAGE_MODELS == "/opt/comfyui/models"
    assert ("COPY", "--from=source /opt/comfyui /opt/comfyui") in stages()["comfyui"]


def test_the_agent_runs_from_what_is_copied_with_the_settings_of_the_image(tmp_path: Path) -> None:
    for word, rest in stages()["agent"]:
        if word == "COPY":
            source, target = rest.split()
            place = tmp_path / target.removeprefix("/opt/tessera/")
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, place)
    [given] = [rest for word, rest in stages()["agent"] if word == "ENV"]
    environment = dict(pair.split("=", 1) for pair in shlex.split(given))
    settings = load({name: value for name, value in environment.items() if name.startswith(PREFIX)})
    assert (str(settings.dir), str(settings.comfyui_dir), settings.local_port) == ("/state", "/opt/comfyui", 8189)
    assert settings.cards[0].is_supervised
    # An editable installation would find our own folder behind the copy: a program that is isolated from it cannot.
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import agent.cli as cli; print(cli.__file__); cli.main()"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program, str(tmp_path), "doctor", "--json", "--dir", str(tmp_path / "state")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    where, _, said = ran.stdout.partition("\n")
    assert where == str(tmp_path / "agent" / "cli.py"), ran.stderr
    assert {check["name"] for check in json.loads(said)} >= {"python", "credential", "disk", "canary"}


def test_the_readme_builds_and_runs_what_there_is() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GPU_MACHINES, re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    builds = [words for words in commands if words[:2] == ["podman", "build"]]
    assert {words[words.index("--target") + 1] for words in builds} == set(stages()) - {"", "source"}
    for words in builds:
        assert (ROOT / words[words.index("-f") + 1]).exists()
        assert (ROOT / words[words.index("--ignorefile") + 1]).exists()
    runs = [words for words in commands if words[:2] == ["podman", "run"]]
    assert runs
    assert all("--userns=keep-id" in words for words in runs), "else the state belongs to nobody on the machine"
