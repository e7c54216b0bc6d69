"""Pictures on their way to a real agent and its engine: what comes out depends on what went in, whatever breaks."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from agent.agent import Agent
from agent.client import connect
from agent.engine.testcard import Testcard
from agent.settings import Settings
from control_plane.workers import roster
from tests.fixtures.api import eventually
from tests.fixtures.pictures import decoded, drawn, encoded
from tests.fixtures.proxy import proxy
from tests.fixtures.uploads import uploaded
from tests.fixtures.worker import Json, Service, serving
from tests.fixtures.working import working

ROOT = Path(__file__).parents[2]
GIB = 1024**3
NOISE = encoded(Image.effect_noise((400, 300), 80).convert("RGB"))
"""Does not fit into one packet: more than 100 KiB."""


async def made(service: Service, **fields: object) -> bytes:
    """The file of an order, when it is done."""
    job = await ended(service, await service.order(**fields))
    assert job["status"] == "succeeded", job["error"]
    return (await service.get(job["artifacts"][0]["url"])).body


async def ended(service: Service, job_id: UUID) -> Json:
    return await eventually(
        lambda: service.job(job_id), lambda job: job["status"] not in ("queued", "running", "canceling")
    )


def apart(one: Image.Image, other: Image.Image) -> float:
    """How different two pictures are on the average, 0 to 255, but for the caption at their foot."""
    box = (0, 0, one.width, one.height * 2 // 5)
    difference = ImageChops.difference(one.convert("RGB").crop(box), other.convert("RGB").crop(box))
    return sum(ImageStat.Stat(difference).mean) / 3


async def test_what_comes_out_depends_on_what_went_in(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path) as service:
        red, blue = drawn((256, 192)), drawn((256, 192), ("blue", "white"))
        views = [await uploaded(service, encoded(image)) for image in (red, blue)]
        order = {"prompt": "a lighthouse", "seed": 7, "width": 256, "height": 192}
        ids = [view["id"] for view in views]
        over_red, over_blue = [decoded(await made(service, **order, input_image=each)) for each in ids]
        assert apart(over_red, over_blue) > 20
        kept = decoded(await made(service, **order, input_image=ids[0], strength=0.0))
        assert apart(kept, red) < 6, "grain only"
        alone, forgotten = [
            decoded(await made(service, **order, **more)) for more in ({}, {"input_image": ids[0], "strength": 1.0})
        ]
        assert apart(alone, forgotten) == 0


async def test_an_upscale_is_the_same_picture_larger(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path) as service:
        image = drawn((160, 120))
        view = await uploaded(service, encoded(image))
        for factor in (2, 4):
            job_id = await _upscaled(service, view["id"], factor)
            job = await ended(service, job_id)
            [artifact] = job["artifacts"]
            assert (artifact["width"], artifact["height"]) == (160 * factor, 120 * factor)
            larger = decoded((await service.get(artifact["url"])).body)
            assert apart(larger.resize(image.size), image) < 3


async def _upscaled(service: Service, input_id: str, factor: int) -> UUID:
    body, headers = {"input_image": input_id, "upscale": factor}, {"Authorization": f"Bearer {service.key}"}
    async with service.session.post(service.url + "/api/v1/jobs", json=body, headers=headers) as response:
        assert response.status == 201, await response.text()
        service.jobs.append(UUID((await response.json())["id"]))
        return service.jobs[-1]


async def test_a_film_begins_with_its_picture(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path) as service:
        image = drawn((160, 96))
        view = await uploaded(service, encoded(image))
        film = await made(service, kind="video", width=160, height=96, frames=8, fps=8, input_image=view["id"])
        path = tmp_path / "film.mp4"
        path.write_bytes(film)
        with av.open(str(path)) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]  # type: ignore[no-untyped-call]
        assert apart(frames[0], image) < 12
        assert apart(frames[-1], image) > 25


async def test_a_result_is_started_from_without_an_upload(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path) as service:
        first = await service.order(width=320, height=240)
        drawing = decoded((await service.get((await ended(service, first))["artifacts"][0]["url"])).body)
        again = await made(service, width=320, height=240, strength=0.0, input_image={"job_id": str(first)})
        assert apart(decoded(again), drawing) < 8


@asynccontextmanager
async def agent_at(url: str, secret: str, folder: Path, **settings: float) -> AsyncIterator[None]:
    """An agent in this loop that reaches its control plane by this address."""
    chosen = Settings(dir=folder, disk_free_gib_min=0.0, **settings)  # type: ignore[arg-type]
    chosen.work_folder.mkdir(parents=True)
    async with connect(url, secret) as client, asyncio.TaskGroup() as tasks:
        agent = Agent(chosen, client, [Testcard(0.0)])
        tasks.create_task(agent.run())
        try:
            yield
        finally:
            agent.signalled()
            agent.signalled()


async def test_a_download_that_breaks_off_goes_on_where_it_was(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane") as service:
        view = await uploaded(service, NOISE)
        async with (
            proxy(service.url, b"/inputs/0", 60_000, faults=2) as way,
            agent_at(way.url, service.hands.secret, tmp_path / "agent"),
        ):
            await made(service, input_image=view["id"])
            assert way.faults == 0
            assert [b"Range: bytes=" in request for request in way.requests] == [False, True, True]
        [kept] = (tmp_path / "agent" / "inputs").iterdir()
        assert kept.name == view["sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()


async def test_a_picture_that_comes_again_is_not_fetched_again_and_old_ones_make_room(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path / "plane") as service:
        views = [await uploaded(service, encoded(drawn((64 + number, 64)))) for number in range(3)]
        room = (views[1]["bytes"] + views[2]["bytes"] + 50) / GIB
        async with (
            proxy(service.url, b"/inputs/0", 0, faults=0) as way,
            agent_at(way.url, service.hands.secret, tmp_path / "agent", inputs_gib_max=room),
        ):
            for view in (views[0], views[0], views[1], views[2]):
                await made(service, input_image=view["id"])
        assert len(way.requests) == 3
        kept = {path.name for path in (tmp_path / "agent" / "inputs").iterdir()}
        assert kept == {view["sha256"] for view in views[1:]}


async def test_a_job_whose_picture_was_withdrawn_fails_and_says_so(database_url: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("version = 1\n")
    async with serving(database_url, tmp_path / "plane", policy=policy) as service:
        view = await uploaded(service)
        job_id = await service.order(input_image=view["id"])
        policy.write_text(f'version = 2\n[inputs]\nsha256 = ["{view["sha256"]}"]\n')
        service.context.conduct.look()
        async with agent_at(service.url, service.hands.secret, tmp_path / "agent"):
            job = await ended(service, job_id)
        assert (job["status"], job["error"]["code"]) == ("failed", "invalid_input")


async def test_whoever_cancels_while_a_picture_is_fetched_need_not_wait(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane") as service:
        view = await uploaded(service, NOISE)
        async with (
            proxy(service.url, b"/inputs/0", 60_000, stalls=True) as way,
            agent_at(way.url, service.hands.secret, tmp_path / "agent"),
        ):
            stuck = await service.order(input_image=view["id"])
            async with asyncio.timeout(30):
                await way.met.wait()
            assert (await service.as_customer(f"/api/v1/jobs/{stuck}", "DELETE")).json["status"] == "canceled"
            await made(service)
            assert len(way.requests) == 1


@pytest.mark.slow
async def test_an_agent_that_is_killed_while_it_fetches_a_picture_loses_the_job_to_another(
    database_url: str, tmp_path: Path
) -> None:
    short = {"grace_seconds": 1.0, "lease_seconds": 4.0, "heartbeat_seconds": 1.0, "self_fence_seconds": 3.0}
    async with serving(database_url, tmp_path / "plane", **short) as service:
        view = await uploaded(service, NOISE)
        async with proxy(service.url, b"/inputs/0", 60_000, stalls=True) as way:
            token = await roster.create_token(service.context.database, "doomed")
            doomed = await _agent(way.url, token, tmp_path / "doomed")
            job_id = await service.order(input_image=view["id"])
            async with asyncio.timeout(30):
                await way.met.wait()
                while not [path for path in (tmp_path / "doomed").rglob("*.part") if path.stat().st_size]:
                    await asyncio.sleep(0.02)
            doomed.kill()
            await doomed.wait()
        async with agent_at(service.url, service.hands.secret, tmp_path / "agent"):
            job = await ended(service, job_id)
        assert job["status"] == "succeeded"
        async with service.context.database.connection() as connection:
            found = await connection.execute("select outcome from attempts where job_id = %s order by number", [job_id])
            outcomes = [row[0] for row in await found.fetchall()]
        assert outcomes[-1] == "succeeded"
        assert len(outcomes) == 2, outcomes


async def _agent(url: str, token: str, folder: Path) -> asyncio.subprocess.Process:
    """The program, enrolled and at work."""
    environ = {**os.environ, "TESSERA_AGENT_DIR": str(folder), "TESSERA_AGENT_ENGINE": "testcard"}
    environ |= {"TESSERA_AGENT_DISK_FREE_GIB_MIN": "0", "TESSERA_AGENT_TESTCARD_SECONDS": "0"}
    with (folder.parent / "agent.log").open("wb") as output:

        async def run(*words: str) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent", *words), cwd=ROOT, env=environ, stdout=output, stderr=output
            )

        assert await (await run("enroll", url, token)).wait() == 0
        return await run("run")
