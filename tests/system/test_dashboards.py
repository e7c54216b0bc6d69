"""Every query of the dashboards and every rule, asked of a real Prometheus that has scraped a real run.

A control plane, an agent and bots on stand-ins, each a process of its own; people and a program order, and are told by
webhook.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml  # type: ignore[import-untyped]

from control_plane.people import credentials
from frontends.standins.discord import Discord
from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES
from tests.fixtures.fleet import fleet
from tests.fixtures.household import Household
from tests.fixtures.monitoring import OPS, panels, rules
from tests.fixtures.receiver import Receiver
from tests.fixtures.worker import free_port

pytestmark = pytest.mark.long

MISSING = "Prometheus is missing. Install it (Debian, Ubuntu: sudo apt install prometheus) and run the tests again."
WITHIN_SECONDS = 150.0
"""The books are looked at for the first time within a minute after the start."""
RANGE = "20s"
"""Scraped once a second here."""
JOBS = 8
MAY_BE_EMPTY = {
    "Done by the time told (p90)",
    "Retries by cause",
    "Failed runs by cause",
    "Leases taken back by phase",
    "Refused by the rules of conduct",
    "GPU at work",
    "GPU memory taken",
    "GPU temperature",
    "GPU power",
}
"""Panels that stay empty in a run without failures and without a GPU."""


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """One that scrapes as ours does, only more often and at these ports."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip(MISSING)
    shipped = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())
    assert {job["job_name"] for job in shipped["scrape_configs"]} == set(targets)
    for job in shipped["scrape_configs"]:
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{targets[job['job_name']]}"]
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(shipped))
    shutil.copy(OPS / "prometheus" / "alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    options = ("--config.file=prometheus.yml", "--storage.tsdb.path=series", f"--web.listen-address={address}")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([found, *options], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        assert process.wait(20) == 0, (folder / "prometheus.log").read_text()[-2_000:]


@pytest.fixture
async def household(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Household, int]]:
    """With one agent, which tells its own numbers at that port."""
    port = free_port()
    monkeypatch.setenv("TESSERA_AGENT_LOCAL_PORT", str(port))
    monkeypatch.setenv("TESSERA_WEBHOOK_NETWORKS", "127.0.0.0/8")
    made = Household(tmp_path, testcard_seconds=0.3)
    try:
        await made.start_control_plane()
        await made.enrol("den")
        made.start_agent("den")
        yield made, port
    finally:
        made.close()


async def asked(session: aiohttp.ClientSession, url: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers; fails when it does not understand."""
    query = expression.replace("$__rate_interval", RANGE)
    async with session.get(f"{url}/api/v1/query", params={"query": query}) as answer:
        told = await answer.json()
    assert told["status"] == "success", (expression, told.get("error"))
    found: list[dict[str, Any]] = told["data"]["result"]
    return found


async def empty(session: aiohttp.ClientSession, url: str) -> set[str]:
    """Panels with a query that gives nothing, or nothing but NaN."""
    found = set()
    for _, title, expression in panels():
        values = [one["value"][1] for one in await asked(session, url, expression)]
        if not any(value != "NaN" for value in values):
            found.add(title)
    return found


async def orders(household: Household, receiver: Receiver) -> None:
    """A customer who wants to be told, and orders again and again."""
    key = await household.customer("ann")
    order = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 2, "model": "testcard"}
    async with aiohttp.ClientSession(household.url, headers={"Authorization": f"Bearer {key}"}) as session:
        async with session.post("/api/v1/webhooks", json={"url": receiver.url, "events": ["job.succeeded"]}) as answer:
            assert answer.status == 201
        while True:
            for _ in range(JOBS):
                async with session.post("/api/v1/jobs", json=order) as answer:
                    assert answer.status == 201, await answer.text()
            async with session.post("/api/v1/jobs", json=order, headers={"Prefer": "wait=20"}) as answer:
                assert answer.status == 201
            await asyncio.sleep(1.0)


async def test_every_query_is_understood_and_has_data_where_the_run_has_made_some(
    household: tuple[Household, int], telegram: Telegram, discord: Discord, receiver: Receiver, tmp_path: Path
) -> None:
    house, agent_port = household
    assert {title for _, title, _ in panels()} > MAY_BE_EMPTY
    assert len(panels()) > 70
    missing: set[str] = set()
    key = await house.with_database(
        lambda database: credentials.create_key(
            database, name="bot", user_id=None, scopes=list(BOTS_SCOPES), providers=["telegram", "discord"]
        )
    )
    async with fleet(tmp_path / "bots", house.url, key.key, telegram, discord, ["image"]) as bots:
        ports = {"tessera": house.port, "tessera-bots": bots.port, "tessera-agent": agent_port}
        with prometheus(tmp_path, ports) as url:
            async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
                ordering = tasks.create_task(orders(house, receiver))
                chatting = tasks.create_task(chat(bots))
                try:
                    async with asyncio.timeout(WITHIN_SECONDS):
                        await up(session, url)
                        while (missing := await empty(session, url)) - MAY_BE_EMPTY:
                            await asyncio.sleep(1.0)
                except TimeoutError:
                    pytest.fail(f"nothing to see in {missing - MAY_BE_EMPTY}")
                finally:
                    ordering.cancel()
                    chatting.cancel()
                await every_rule_is_well(session, url)


async def chat(bots: Any) -> None:
    """Somebody on each platform orders by a bot, again and again."""
    people = {name: bots.person(name, 7, "Ann") for name in bots.bots}
    number = 0
    while True:
        number += 1
        for name, person in people.items():
            await person.says(f"/generate lighthouse {number}, 64x64, 1 step, model testcard", to=bots.bots[name])
        await asyncio.sleep(2.0)


async def up(session: aiohttp.ClientSession, url: str) -> None:
    """It answers, and all that it scrapes does."""
    while True:
        try:
            answers = await asked(session, url, "sum(up)")
        except (aiohttp.ClientError, AssertionError):
            answers = []
        if answers and answers[0]["value"][1] == "3":
            return
        await asyncio.sleep(0.2)


async def every_rule_is_well(session: aiohttp.ClientSession, url: str) -> None:
    """Each could be evaluated, and none says that anything is wrong with this run."""
    async with session.get(f"{url}/api/v1/rules") as answer:
        groups = (await answer.json())["data"]["groups"]
    seen = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(seen) == {rule["alert"] for rule in rules()}
    assert {name: rule.get("lastError") for name, rule in seen.items() if rule["health"] != "ok"} == {}
    assert [name for name, rule in seen.items() if rule["state"] == "firing"] == []
