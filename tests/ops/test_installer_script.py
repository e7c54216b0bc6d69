"""The agent's installer as a text: what every `sh` takes, and what it promises of itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent import settings as agent_settings
from agent.cli import _parser
from agent.settings import load
from control_plane.release.wheel import CARGO

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "ops" / "install-agent.sh"
TEXT = SCRIPT.read_text(encoding="utf-8")


def ran(*words: str, code: int = 0, **environ: str) -> str:
    done = subprocess.run(
        ["sh", str(SCRIPT), *words],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert program is not None, "it comes with the development environment"
    done = subprocess.run([program, "--shell=sh", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_half_a_script_does_nothing() -> None:
    """A connection may break while `sh` is reading."""
    assert TEXT.rstrip().splitlines()[-1] == 'main "$@"'
    outside = [
        line
        for line in re.sub(
            r"^\w+\(\) \{.*?^\}$|^\w+\(\) \{.*\}$", "", TEXT, flags=re.MULTILINE | re.DOTALL
        ).splitlines()
        if line and not line.startswith("#")
    ]
    assert outside == ["set -eu", "url=''", "authority=''", 'main "$@"']


def test_it_says_what_it_takes_and_what_it_does_not_understand() -> None:
    told = ran("--help")
    options = set(re.findall(r"^\s+(--[a-z-]+)\)? ?", told, re.MULTILINE))
    taken = set(re.findall(r"--[a-z-]+(?=[ |)])", TEXT[TEXT.index("parse() {") : TEXT.index("main() {")]))
    assert options >= {"--url", "--dry-run", "--uninstall", "--purge", "--comfyui"}
    assert options <= taken | {"--help"}
    assert "--frobnicate is not understood" in ran("--frobnicate", code=1)
    assert "Which control plane?" in ran("--dry-run", code=1)
    assert "--url needs a value" in ran("--url", code=1)


def test_a_control_plane_that_is_not_there_is_said_before_anything_is_done(tmp_path: Path) -> None:
    told = ran("--url", "http://127.0.0.1:9", code=1, HOME=str(tmp_path))
    assert "could not be fetched" in told
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_go_with_a_service_of_the_system_is_said_before_anything_is_done() -> None:
    for words, sentence in (
        (("--comfyui",), "leave --system away"),
        (("--prefix", "/nowhere"), "leave --prefix away"),
    ):
        assert sentence in ran("--url", "http://127.0.0.1:9", "--system", *words, code=1)
    told = ran("--system", "--uninstall", "--purge", "--dry-run")
    assert "/var/lib/tessera-agent" in told
    assert "/etc/tessera/agent.toml" in told
    assert "/nowhere" not in told


def test_a_token_is_never_an_argument() -> None:
    assert "--token" not in TEXT
    assert """printf '%s\\n' "$token" | agent "$@\"""" in TEXT, (
        "printf is the shell's own and shows in no list of processes"
    )


ASKED = set(re.findall(r"(?:\bagent|tessera-agent) (install-service(?: --remove)?|doctor|run)\b(?! )", TEXT))


@pytest.mark.parametrize("line", sorted(ASKED))
def test_what_it_asks_of_the_agent_the_agent_understands(line: str) -> None:
    _parser().parse_args(line.split())


def test_the_settings_that_it_writes_are_understood(tmp_path: Path) -> None:
    found = re.search(r'"(engine = .*?comfyui_models = \\"\$models\\")"', TEXT, re.DOTALL)
    assert found is not None
    file = tmp_path / "agent.toml"
    file.write_text(found[1].replace('\\"', '"').replace("$models", str(tmp_path)))
    [card] = load({agent_settings.CONFIG_VARIABLE: str(file)}).cards
    assert (card.comfyui_image, card.is_supervised) == ("tessera-comfyui", True)


def test_the_image_is_built_from_files_that_come_with_the_agent() -> None:
    containerfile = (ROOT / "ops" / "containers" / "Containerfile").read_text()
    stage = containerfile[containerfile.index(" AS comfyui") : containerfile.index(" AS agent")]
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", stage, re.MULTILINE))
    assert copied <= set(CARGO)
    assert "ops/containers/Containerfile" in CARGO
    assert '"$context/ops/containers/Containerfile" "$context"' in TEXT
