"""What a GPU took for a run is kept with the attempt, and what it says of itself is seen by the operator."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import msgspec
import pytest

from control_plane.cli.job import _energy
from control_plane.cli.worker import gpu_words
from control_plane.workers import roster
from tests.fixtures.worker import Answered, Json, Service, attempt, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 10.0


async def joules(service: Service, job_id: object) -> list[float | None]:
    """Of each attempt, the first one first."""
    async with service.context.database.connection() as connection:
        cursor = await connection.execute("select joules from attempts where job_id = %s order by number", (job_id,))
        return [row[0] for row in await cursor.fetchall()]


@pytest.mark.parametrize("report", ["complete", "fail", "release"])
async def test_every_report_may_say_what_the_run_took(service: Service, report: str) -> None:
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    bodies: dict[str, Json] = {
        "complete": {"artifacts": 1},
        "fail": {"cause": "engine_crash"},
        "release": {"reason": "yield"},
    }
    answered = await service.hands.call(
        f"{attempt(lease)}/{report}", {**bodies[report], "joules": 4321.5}, token=lease.token
    )
    assert answered.status == 200, answered.body
    assert await joules(service, lease.job_id) == [4321.5]


async def test_a_yielded_run_counts_in_no_budget_and_waits_at_once(service: Service) -> None:
    lease = await service.leased()
    assert (await service.hands.release(lease, "yield")).json["state"] == "queued"
    async with service.context.database.connection() as connection:
        cursor = await connection.execute(
            "select failures, losses, tag is not null from jobs where id = %s", (lease.job_id,)
        )
        assert await cursor.fetchone() == (0, 0, True)


async def test_what_was_not_measured_is_unknown_and_whoever_lost_the_lease_writes_nothing(service: Service) -> None:
    lease = await service.leased()
    stale = msgspec.structs.replace(lease, token=uuid4())
    await service.hands.upload(lease, picture())
    assert (await service.hands.complete(stale, joules=1.0)).status == 409
    assert (await service.hands.complete(lease)).status == 200
    assert await joules(service, lease.job_id) == [None]
    again = await service.hands.complete(lease, joules=5.0)
    assert again.json["state"] == "succeeded"
    assert await joules(service, lease.job_id) == [None], "it had ended"


@pytest.mark.parametrize("wrong", [-1.0, 1e10, "much", True])
async def test_an_energy_that_cannot_be_is_refused(service: Service, wrong: object) -> None:
    lease = await service.leased()
    assert (await service.hands.complete(lease, joules=wrong)).status == 422
    assert await joules(service, lease.job_id) == [None]


async def test_gauges_of_gpus_are_in_the_metrics_by_known_names_only_and_in_the_list_of_workers(
    service: Service,
) -> None:
    await service.leased()
    told = {"power_watts": 212.5, "temperature_celsius": 61.0, "vram_used_gib": 8.12, "vram_total_gib": 24.0}
    slots = [{"slot": 0, "gpu": {**told, "yielded": 1.0, "made_up": 7.0}}]
    begun = time.monotonic()

    async def shown() -> Answered:
        await service.hands.call("/heartbeat", {"leases": [], "slots": slots})
        return await service.get("/metrics")

    while b"tessera_slot_power_watts{" not in (metrics := await shown()).body:
        assert time.monotonic() - begun < PATIENCE_SECONDS, metrics.body.decode()
        await asyncio.sleep(0.2)  # signs of life are written down every few seconds
    text = metrics.body.decode()
    assert 'slot="0"' in text
    for name, value in {**told, "yielded": 1.0}.items():
        assert any(
            line.startswith(f"tessera_slot_{name}{{") and line.endswith(f" {value}") for line in text.split("\n")
        )
    assert "made_up" not in text
    [listed] = [
        each
        for each in await roster.list_all(service.context.database, 60.0)
        if each.worker.id == service.hands.worker_id
    ]
    assert gpu_words(listed.slots[0].gpu) == "61 °C 212 W 8.1/24 GiB busy elsewhere"


@pytest.mark.parametrize(
    ("joules", "told"),
    [([], ""), ([None, None], ""), ([0.4], "0 J"), ([1_200.0, None], "1200 J"), ([5_400.0, 1_800.0], "2.0 Wh")],
)
async def test_energy_is_told_in_a_unit_that_fits_and_not_at_all_when_it_is_unknown(
    joules: list[float | None], told: str
) -> None:
    assert _energy(joules) == told
