"""`ops/install.sh` on a bare Debian, up to a service that says it is well, and away again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.debian import SOURCE, bare, indices
from tests.fixtures.worker import free_port

SCENARIO_SECONDS = 900

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = bare(tmp_path_factory.mktemp("debian") / "root")
    daemons_stay_down = root / "usr/sbin/policy-rc.d"
    daemons_stay_down.write_text("#!/bin/sh\nexit 101\n")
    daemons_stay_down.chmod(0o755)
    yield root
    shutil.rmtree(root)


def scenario(root: Path) -> dict[str, Any]:
    """In a space of processes and mounts of its own: whatever was started there ends with it."""
    steps = ["set -eu", f"mount -t proc proc {root}/proc", f"mount --bind /dev {root}/dev"]
    for path in indices():
        steps += [f"mkdir -p {root}{path}", f"mount --bind {path} {root}{path}"]
    packages = "apt-get -qq update && apt-get -qq install --yes --no-install-recommends python3 >/dev/null"
    steps += [
        f"DEBIAN_FRONTEND=noninteractive chroot {root} sh -c '{packages}'",
        f"exec chroot {root} python3 {SOURCE}/tests/system/bare/scenario.py {SOURCE} {free_port()}",
    ]
    ended = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(steps)],
        capture_output=True,
        text=True,
        timeout=SCENARIO_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_a_bare_debian_becomes_a_service_that_is_well_and_is_bare_again_when_told(debian: Path) -> None:
    found = scenario(debian)
    assert found["first"]["code"] == 0, found["first"]
    assert "Tessera is installed" in found["first"]["out"]
    again = found["again"]
    assert again["code"] == 0, again
    assert not re.search(r"\+ (write|useradd|apt-get|rm|python3 -m venv)", again["out"]), again["out"]

    assert found["ready"]
    assert found["status"]["code"] == 0, found["status"]
    assert found["process"]["user"] == "tessera"
    assert found["stopped"]["code"] == 0
    assert set(found["modes"].values()) == {"0o600"}
    told = json.dumps([found[step] for step in ("first", "again", "status", "status_seen", "process")])
    assert len(found["passwords"]) == 2
    assert not any(word in told for word in found["passwords"])

    assert found["removed"]["code"] == 0, found["removed"]
    assert found["left"] == []
    assert found["kept"] == ["/etc/tessera/tessera.toml", "/var/lib/tessera"]
    assert found["back"]["code"] == 0, found["back"]
    assert "ada" in found["users"]["out"]
    assert found["purged"]["code"] == 0, found["purged"]
    assert found["after"] == []
    assert "tessera" not in found["databases"]["out"].split()
