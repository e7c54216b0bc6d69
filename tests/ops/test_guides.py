"""Every guide says what is so: links lead somewhere, commands and their options are ours, variables are settings."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

import agent.cli
import agent.settings
import frontends.bots.cli
from agent.settings import CONFIG_VARIABLE as AGENT_CONFIG
from control_plane import api, errors, settings, states
from control_plane.cli import program
from control_plane.settings import FIELDS, SECRETS, variable
from control_plane.wire.job import WaitingReason
from frontends.bots import configuration as bots
from tests.fixtures.guides import DOCS, ROOT, lost

PAGES = sorted([*DOCS.glob("*.md"), ROOT / "ops" / "upgrading.md"])
GUIDES = {path.stem: path.read_text(encoding="utf-8") for path in PAGES if path.stem not in ("api", "database")}
OURS = {
    "tessera": program.parser,
    "tessera-agent": agent.cli._parser,
    "tessera-bots": frontends.bots.cli._parser,
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$|^((?:    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:sudo )?(?:tessera|tessera-agent|tessera-bots) [^`]+)`")
AN_ID = "01890000-0000-7000-8000-000000000000"
STANDS_FOR = {
    "TOKENS": "5",
    "NUMBER": "5",
    "…": "because",
    "--comfyui": "--help",
    **dict.fromkeys(("ID", "JOB", "WEBHOOK", "DELIVERY", "REPORT", "PUBLICATION"), AN_ID),
}
IN_CONTAINERS = ["docker", "compose", "exec", "control-plane"]
NAMED_ELSEWHERE = {"TESSERA_URL", "TESSERA_API_KEY"}


def commands(text: str) -> list[list[str]]:
    """The words of each of our commands, in blocks and in sentences, without what runs it."""
    found = []
    for language, fenced, indented in BLOCK.findall(text):
        if language in ("", "sh"):
            found += [line.strip() for line in (fenced or indented).splitlines()]
    found += [" ".join(line.split()) for line in INLINE.findall(text)]
    split = [_bare(shlex.split(line, comments=True)) for line in found if line and not line.startswith("```")]
    return [words for words in split if words and words[0] in OURS]


def _bare(words: list[str]) -> list[str]:
    """Without `sudo`, folders, pipes and containers."""
    if words[:4] == IN_CONTAINERS:
        words = words[4:]
    if words[:5] == ["sudo", "runuser", "-u", "tessera-bots", "--"]:
        words = words[5:]
    words = words[1:] if words[:1] == ["sudo"] else words
    ends = [position for position, word in enumerate(words) if word in ("&&", "|")]
    words = words[: ends[0]] if ends else words
    return [words[0].rpartition("/")[2], *words[1:]] if words else []


def is_taken(words: list[str]) -> bool:
    """Whether the parser takes it; a bare verb in a sentence (`tessera user adjust`) names the verb only."""
    given = [STANDS_FOR.get(word, word) for word in words[1:]]
    return _parses(OURS[words[0]](), given) or (
        len(given) <= 2
        and not any(word.startswith("-") for word in given)
        and _parses(OURS[words[0]](), [*given, "--help"])
    )


def _parses(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    try:
        parser.parse_args(words)
    except SystemExit as ended:
        return ended.code == 0
    except Exception:  # what a value may not be is told by an error of its own
        return False
    return True


def test_the_guides_that_were_promised_are_there() -> None:
    promised = {
        "deployment",
        "wsl2-worker",
        "operations",
        "database",
        "api",
        "flows",
        "troubleshooting",
        "from-the-brief",
    }
    assert promised | {"runbook", "upgrading", "workflows"} == {path.stem for path in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_guide_leads_somewhere(page: Path) -> None:
    assert lost(page) == []


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_every_command_of_ours_in_a_guide_is_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [" ".join(words) for words in commands(GUIDES[name]) if not is_taken(words)] == []


def test_there_are_commands_to_check() -> None:
    counts = {name: len(commands(text)) for name, text in GUIDES.items()}
    assert counts["operations"] > 50
    assert counts["runbook"] > 50
    assert counts["deployment"] > 12
    assert min(counts["upgrading"], counts["from-the-brief"], counts["troubleshooting"]) > 6


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_every_variable_that_a_guide_names_is_a_setting(name: str) -> None:
    known = {variable(field) for field in FIELDS} | {f"{variable(field)}_FILE" for field in SECRETS}
    known |= {agent.settings.PREFIX + field.upper() for field in agent.settings.FIELDS}
    known |= {bots.PREFIX + field.upper() for field in bots.FIELDS}
    known |= {settings.CONFIG_VARIABLE, AGENT_CONFIG, bots.CONFIG_VARIABLE, *NAMED_ELSEWHERE}
    assert set(re.findall(r"\bTESSERA_[A-Z_]*[A-Z]\b(?!_?…)", GUIDES[name])) <= known


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_every_script_and_file_of_ours_that_a_guide_names_is_there(name: str) -> None:
    named = re.findall(r"\b((?:ops|control_plane|agent|frontends|sql)/[\w./-]*\w/?)", GUIDES[name])
    made = ("ops/secrets", "ops/backups")
    assert [place for place in named if not (ROOT / place).exists() and not place.startswith(made)] == []


def test_options_of_the_installer_are_those_that_it_knows() -> None:
    installer = (ROOT / "ops" / "install.sh").read_text(encoding="utf-8")
    known = set(re.findall(r"(?<![\w-])(--[a-z-]+)", installer[: installer.index("END\n}")]))
    lines = re.findall(r"ops/install\.sh( --[^`\n]*)", "\n".join(GUIDES.values()))
    assert len(lines) > 4
    assert {option for line in lines for option in re.findall(r"--[a-z-]+", line)} <= known


def test_the_diagram_of_a_jobs_life_is_the_table_of_states() -> None:
    assert f"```mermaid\n{states.diagram()}\n```" in GUIDES["flows"]
    assert GUIDES["flows"].count("```mermaid") >= 9


def test_requests_that_guides_name_exist() -> None:
    routes = {
        (str(verb), re.sub(r"\{[^}]+\}", "{}", route))
        for handler in api.handlers()
        for verb in handler.http_methods
        for route in handler.paths
    }
    text = GUIDES["troubleshooting"] + GUIDES["from-the-brief"].replace("`POST /run_job`", "")
    named = re.findall(r"`(GET|POST|PUT|DELETE) (/api/[^`]+)`", text)
    assert len(named) >= 6
    assert [found for found in named if (found[0], re.sub(r"\{[^}]+\}", "{}", found[1])) not in routes] == []


def test_every_reason_of_waiting_and_every_code_is_explained_or_known() -> None:
    text = GUIDES["troubleshooting"]
    assert [reason for reason in get_args(WaitingReason) if f"`{reason}`" not in text] == []
    refused = text.partition("## My order was refused")[2].partition("\n## ")[0]
    codes = re.findall(r"^\| `([a-z-]+)`", refused, re.MULTILINE)
    assert len(codes) >= 8
    assert set(codes) <= {kind.slug for kind in errors.leaves()}
    failed = text.partition("## My order failed")[2].partition("\n## ")[0]
    assert set(states.ERROR_MESSAGES) - set(re.findall(r"`([a-z_]+)`", failed)) <= {"upload", "moderation"}


@pytest.mark.parametrize(
    "symptom",
    [
        "No picture comes",
        "A worker is gone",
        "The disk is full",
        "The database is down",
        "The clock is wrong",
        "A bot is flooded",
        "Money looks wrong",
        "A secret has leaked",
    ],
)
def test_the_runbook_has_a_command_that_shows_and_one_that_cures(symptom: str) -> None:
    section = GUIDES["runbook"].partition(f"## {symptom}\n")[2].partition("\n## ")[0]
    shows, _, cures = section.partition("- Cures")
    assert "`" in shows.partition("- Shows: ")[2], "a command that shows it"
    assert "`" in cures


def test_the_settings_of_several_control_planes_are_a_whole(tmp_path: Path) -> None:
    """What the table says can be set together, as it stands there."""
    table = GUIDES["deployment"].partition("## Outgrowing one machine")[2].partition("\n### ")[0]
    named = set(re.findall(r"`(TESSERA_[A-Z_]+)`", table))
    assert {"TESSERA_DATABASE_URL", "TESSERA_ARTIFACTS_URL", "TESSERA_PUBLIC_URL", "TESSERA_TRUSTED_PROXIES"} <= named
    [address] = re.findall(r"`(postgresql://[^`]+)`", table)
    [bucket] = re.findall(r'TESSERA_ARTIFACTS_URL="([^"]+)"', table)
    given = {
        "TESSERA_DATABASE_URL": address,
        "TESSERA_ARTIFACTS_URL": bucket,
        "TESSERA_PUBLIC_URL": "https://tessera.example",
        "TESSERA_TRUSTED_PROXIES": "10.0.0.0/24",
        "TESSERA_HOST": "10.0.0.5",
        "TESSERA_PLAIN_HTTP": "true",
        "TESSERA_SANDBOX": "false",
    }
    assert settings.load(given).pool_size == int(re.findall(r"`TESSERA_POOL_SIZE` \| (\d+)", table)[0])
