"""`tessera check --launch` on a running service: what is well is ticked, the rest has its cure, and nothing stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.test_up import address, stop, tessera, up


@pytest.mark.slow
def test_the_launch_check_tries_what_customers_do_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with up(data_dir) as running:
        address(running)
        running.saying("agent.started")
        looked = tessera(data_dir, "check", "--launch", "--json")
        ticks = {tick["name"]: tick for tick in json.loads(looked.stdout)}
        users = json.loads(tessera(data_dir, "user", "list", "--json").stdout)
        books = tessera(data_dir, "ledger", "check")
        jobs = json.loads(tessera(data_dir, "job", "list", "--json").stdout)
        stop(running)
    lacking = {name for name, tick in ticks.items() if not tick["well"]}
    assert lacking == {"backup", "tls"}, ticks
    assert all(ticks[name]["cure"] for name in lacking)
    assert {"submit", "picture", "workers", "402", "failure", "429", "policy", "bots"} <= set(ticks) - lacking
    assert "rate-limited" in ticks["429"]["found"]
    assert looked.returncode == 1
    assert [user["name"] for user in users if user["status"] == "active"] == ["admin"]
    assert books.returncode == 0
    assert not [job for job in jobs if job["state"] in ("queued", "running")]
