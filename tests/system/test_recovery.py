"""The drill: run, back up, destroy everything, restore on an empty machine, and go on as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import ROOT, left_of, wait_until
from tests.system.test_up import address, stop, up

PLANTED = "a prompt that nobody else may read"


def tessera(data_dir: Path, *words: str, **environ: str) -> str:
    told = {**os.environ, "TESSERA_DATA_DIR": str(data_dir), "TESSERA_DISK_RESERVE_BYTES": "0", **environ}
    command = [sys.executable, "-m", "control_plane", *words]
    ran = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def asked(url: str, key: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})) as answer:
        return answer.read()


def life(url: str, key: str) -> dict[str, tuple[str, bytes]]:
    """Every job that its customer was ever told of: how it stands, and its picture."""
    jobs = json.loads(asked(f"{url}/api/v1/jobs?limit=100", key))["data"]
    return {
        job["id"]: (job["status"], b"".join(asked(f"{url}{_path(file['url'])}", key) for file in job["artifacts"]))
        for job in jobs
    }


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


@pytest.mark.slow
def test_after_the_fire_everything_is_there_again(tmp_path: Path) -> None:
    """A backup is all that is left of the first machine; the second one makes its own, at its first start."""
    place, first, second = tmp_path / "disk", tmp_path / "first", tmp_path / "second"
    place.mkdir()
    key = json.loads(tessera(first, "backup", "key", "--json"))
    (tmp_path / "identity").write_text(key["secret"])
    backups = {"TESSERA_BACKUP_URL": place.as_uri(), "TESSERA_BACKUP_RECIPIENT": key["recipient"]}
    with up(first) as running:
        url = address(running)
        admin = (first / "admin_key").read_text().strip()
        for _ in range(2):
            tessera(first, "generate", PLANTED, "--size", "64x64", "-o", str(tmp_path / "out.png"))
        told = tessera(first, "backup", **backups)
        assert "Proven: read back, restored into an empty server, and the same to the row" in told
        before, books = life(url, admin), tessera(first, "ledger", "show", "admin", "--json")
        assert [status for status, _ in before.values()] == ["succeeded", "succeeded"]
        stop(running)
    assert left_of(first) == []
    shutil.rmtree(first)
    shown = [path for path in place.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()]
    assert shown == []

    told = tessera(second, "restore", str(place), "--identity", str(tmp_path / "identity"))
    assert "2 pictures brought back" in told
    with up(second, **backups) as running:
        assert life(address(running), admin) == before, "the old key opens the new house"
        assert tessera(second, "ledger", "show", "admin", "--json") == books
        assert "The books agree." in tessera(second, "ledger", "check")
        tessera(second, "generate", "on we go", "--size", "64x64", "-o", str(tmp_path / "next.png"))
        wait_until(lambda: len(proven(second)) == 1, "the nightly backup is made and proven", lambda: running.said)
        stop(running)
    assert left_of(second) == []


def proven(data_dir: Path) -> list[Any]:
    """Backups, but for the one that was restored: a backup does not know of its own end."""
    return [row for row in json.loads(tessera(data_dir, "backup", "list", "--json")) if row["verified_at"]]
