"""Every command and setting of the guide for WSL2 is one that works, as far as that can be seen without Windows."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import agent.cli
from agent.checkup import comfyui
from agent.installing import logon
from agent.settings import CONFIG_VARIABLE, FIELDS, load
from control_plane.release.line import install_line
from control_plane.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "ops" / "docs" / "wsl2-worker.md").read_text(encoding="utf-8")
INSTALLER = (ROOT / "ops" / "install-agent.sh").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:tessera-agent|systemctl|wsl|schtasks\.exe) [^`]+)`")
WSL = {"--install", "--update", "--shutdown", "-d", "-l"}
SYSTEM = {
    "nvidia-smi": 0,
    "cat": 1,
    "cd": 1,
    "git": 1,
    "python3": 2,
    "sudo": 2,
    "venv/bin/pip": 2,
    "journalctl": 2,
}
"""What comes with the system, and the least number of words behind it."""


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(GUIDE) if found == language]


def commands() -> list[str]:
    assert {language for language, _ in BLOCK.findall(GUIDE)} <= {"sh", "powershell", "ini", "toml"}
    return [line for language in ("sh", "powershell") for body in blocks(language) for line in body.splitlines()]


def checked(words: list[str]) -> None:
    """Fails unless the command is one that works."""
    match words[0]:
        case "tessera-agent":
            agent.cli._parser().parse_args(words[1:])
        case "wsl":
            assert {word for word in words[1:] if word.startswith("-")} <= WSL
        case "systemctl":
            assert words[1] == "--user"
            assert words[-1] == "tessera-agent"
        case "schtasks.exe":
            assert words[1:] == ["/Query", "/TN", logon.task_name("Ubuntu-24.04")]
        case "curl":
            pasted(words)
        case "export":
            for assignment in words[1:]:
                assert assignment.partition("=")[0] in {"PATH", CONFIG_VARIABLE}
        case name if name in SYSTEM:
            assert len(words) > SYSTEM[name]
        case name:
            pytest.fail(f"nothing here knows how to check `{name}`")


def pasted(words: list[str]) -> None:
    """The operator's line as it is printed, or the installer with options that it knows."""
    line = shlex.split(install_line("tse_…", Settings(public_url="https://tessera.example")))
    fetch = line[: line.index("|") + 1]
    assert words[: len(fetch)] == fetch
    options = words[len(fetch) :]
    if options != line[len(fetch) :]:
        assert options[:3] == ["sh", "-s", "--"]
        assert set(options[3:]) <= set(re.findall(r"^  (--[a-z-]+)", INSTALLER, re.MULTILINE))


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_guide_works(command: str) -> None:
    checked(shlex.split(command))


@pytest.mark.parametrize("command", sorted(set(INLINE.findall(GUIDE))))
def test_a_command_in_a_sentence_of_the_guide_works(command: str) -> None:
    checked(shlex.split(command))


def test_the_guide_has_commands_to_check() -> None:
    names = {command.split()[0] for command in commands()}
    verbs = {command.split()[1] for command in commands() if command.startswith("tessera-agent")}
    assert {"tessera-agent", "wsl", "systemctl", "curl"} <= names
    assert {"models", "doctor", "update", "status", "pause", "resume", "drain"} <= verbs


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_settings_of_the_guide_are_understood(text: str, tmp_path: Path) -> None:
    assert tomllib.loads(text)
    file = tmp_path / "agent.toml"
    file.write_text(text)
    settings = load({CONFIG_VARIABLE: str(file)})
    assert all(card.is_supervised for card in settings.cards)
    assert [card.device for card in settings.cards] in ([None], ["0", "1"])


def test_settings_that_are_named_exist_with_the_defaults_that_are_told() -> None:
    named = set(re.findall(r"`((?:yield|quiet|comfyui)_\w+)`", GUIDE))
    assert len(named) >= 5
    assert named <= set(FIELDS)
    settings = load({})
    assert f"`yield_memory_gib` ({settings.yield_memory_gib:g})" in GUIDE
    assert f"`yield_quiet_seconds` ({settings.yield_quiet_seconds:g})" in GUIDE


def test_the_files_for_wsl_are_such_files_and_comfyui_is_the_validated_one() -> None:
    sections = set()
    for text in blocks("ini"):
        parser = configparser.ConfigParser()
        parser.read_string(text)
        sections |= set(parser.sections())
    assert sections == {"boot", "wsl2"}
    assert f"git checkout v{'.'.join(map(str, comfyui.PROVEN))}" in GUIDE
