"""Alert rules, runbook and dashboards agree with each other and with what the programs really tell."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from agent import cli as agent_cli
from control_plane.cli import program
from frontends.bots import health
from frontends.bots.metrics import Lag
from ops import dashboards
from tests.fixtures.agent import rig
from tests.fixtures.api import Plane
from tests.fixtures.monitoring import OPS, RUNBOOK, asked, cases, declared, panels, rules, sections
from tests.fixtures.worker import free_port

MISSING = "promtool is missing. Install it (Debian, Ubuntu: sudo apt install prometheus) and run the tests again."
AN_ID = "01890000-0000-7000-8000-000000000000"
STANDS_FOR = {
    "TOKENS": "5",
    "NUMBER": "5",
    "…": "because",
    **dict.fromkeys(("ID", "JOB", "WEBHOOK", "DELIVERY"), AN_ID),
}


async def scraped(url: str) -> set[str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return declared(await answer.text())


async def test_every_metric_that_a_rule_or_a_dashboard_asks_for_is_told_by_some_program(
    control_plane: Plane, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        rig(tmp_path, settings={"local_port": port}) as agent,
        health.serve(0, {}, Lag(), lambda: True) as bots,
    ):
        await agent.order("one")
        await agent.plane.until(lambda: agent.plane.seen("run.began"), "it runs")
        of_plane = await scraped(f"{control_plane.url}/metrics")
        of_agent = await scraped(f"http://127.0.0.1:{port}/metrics")
        of_bots = await scraped(f"{bots}/metrics")
    assert (len(of_plane) > 60, len(of_agent) > 10, len(of_bots) > 15) == (True, True, True)
    told = of_plane | of_agent | of_bots
    expressions = [rule["expr"] for rule in rules()] + [expression for _, _, expression in panels()]
    assert len(expressions) > 90
    assert {name for expression in expressions for name in asked(expression)} - told == set()
    assert [expression for expression in expressions if not asked(expression)] == []


def test_every_rule_has_a_case_and_leads_to_a_section_that_shows_and_cures() -> None:
    there = sections()
    for rule in rules():
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert OPS.parent / path == RUNBOOK
        assert anchor in there, rule["alert"]
        assert "- Shows: " in there[anchor], anchor
        assert "- Cures: " in there[anchor], anchor
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "warn"), rule["alert"]
        values = [one["exp_samples"][0]["value"] for one in cases()[rule["alert"]]["promql_expr_test"]]
        assert values[0] == 0 < values[-1], rule["alert"]
    names = [rule["alert"] for rule in rules()]
    assert sorted(names) == sorted(cases())


def test_links_inside_the_runbook_lead_somewhere() -> None:
    links = re.findall(r"\]\(#([a-z0-9-]+)\)", RUNBOOK.read_text())
    assert links
    assert set(links) <= set(sections())


def test_every_command_of_ours_in_the_runbook_is_one() -> None:
    ours = re.findall(r"`(tessera(?:-agent)? [^`]+)`", RUNBOOK.read_text().replace("\n  ", " "))
    assert len(ours) > 25
    for line in ours:
        words = [STANDS_FOR.get(word, word) for word in shlex.split(line)]
        parser = program.parser() if words[0] == "tessera" else agent_cli._parser()
        named_only = len(words) <= 3 and not any(word.isupper() or word.startswith("-") for word in line.split())
        assert _is_taken(parser, [*words[1:], "--help"] if named_only else words[1:]), line


def _is_taken(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    try:
        parser.parse_args(words)
    except SystemExit as ended:
        return ended.code == 0
    return True


@pytest.mark.parametrize(
    "arguments", [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]], ids=["config", "rules"]
)
def test_prometheus_takes_the_configuration_and_every_rule_does_what_its_case_says(arguments: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(MISSING)
    ran = subprocess.run([promtool, *arguments], cwd=OPS / "prometheus", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "SUCCESS" in ran.stdout


@pytest.mark.parametrize("name", sorted(dashboards.DASHBOARDS))
def test_a_dashboard_is_what_its_table_makes(name: str) -> None:
    written = (dashboards.FOLDER / f"{name}.json").read_text()
    assert written == dashboards.text(name), "Run: python -m ops.dashboards"


def test_there_is_no_other_dashboard() -> None:
    assert sorted(path.stem for path in dashboards.FOLDER.glob("*.json")) == sorted(dashboards.DASHBOARDS)
