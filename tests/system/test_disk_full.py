"""A disk of 64 MiB that really fills up: what is new is refused first, and nothing that was taken is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.api import eventually
from tests.fixtures.worker import Json, Service, picture, serving, weighty

MIB = 1024**2
DISK, RESERVE = 64 * MIB, 32 * MIB
LARGE = weighty(MIB // 2)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a file system"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be made here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def leave_free(folder: Path, free: int) -> Path:
    """Somebody else takes all but so many bytes."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    found = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - free)
    return ballast


async def ordered(service: Service) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {service.key}"}
    order = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
    async with service.session.post(service.url + "/api/v1/jobs", json=order, headers=headers) as answered:
        return answered.status, await answered.json()


async def measured(service: Service, wanted: str) -> None:
    """What readiness says; a measurement is good for a second."""
    await eventually(lambda: service.get("/readyz"), lambda answered: answered.json["disk"] == wanted)


def free_bytes(exposition: bytes) -> float:
    """As the gauge tells it."""
    [line] = [line for line in exposition.decode().splitlines() if line.startswith("tessera_disk_free_bytes ")]
    return float(line.split()[1])


async def test_a_disk_that_fills_up_refuses_what_is_new_and_loses_nothing(
    database_url: str, tmp_path: Path, small_disk: Path
) -> None:
    settings = {"artifacts_dir": small_disk / "artifacts", "disk_reserve_bytes": RESERVE}
    async with serving(database_url, tmp_path, **settings) as service:
        first, second = await service.leased(), await service.leased()
        await measured(service, "ok")

        leave_free(small_disk, RESERVE - 8 * MIB)
        await measured(service, "low")
        status, problem = await ordered(service)
        assert (status, problem["code"]) == (503, "disk-low")
        assert (await service.hands.upload(first, LARGE)).status == 200, "what was taken is brought home"
        assert (await service.hands.complete(first)).json["state"] == "succeeded"

        leave_free(small_disk, MIB)
        await eventually(lambda: service.get("/metrics"), lambda answered: free_bytes(answered.body) <= MIB)
        refused = await service.hands.upload(second, LARGE)
        assert (refused.status, refused.code) == (503, "disk-low")
        assert not list((small_disk / "artifacts").rglob("*.part")), "nothing half written is left"

        (small_disk / "ballast").unlink()
        await measured(service, "ok")
        assert (await service.hands.upload(second, LARGE)).status == 200
        assert (await service.hands.complete(second)).json["state"] == "succeeded"
        status, _ = await ordered(service)
        assert status == 201
        job = await service.job(first.job_id)
        assert (await service.get(job["artifacts"][0]["url"])).body == LARGE
        assert len(picture()) < len(LARGE)
