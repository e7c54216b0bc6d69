"""Two files make a model: in the folder they are sold and sent to the agents that can run them, till they are gone."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from PIL import Image

from agent.engine.repertory import kept
from control_plane.cli import main
from control_plane.wire.worker import Capability, capabilities_sha256
from control_plane.wire.workflow import SHIPPED, load, read
from tests.fixtures.api import API, eventually
from tests.fixtures.pictures import drawn, encoded
from tests.fixtures.uploads import uploaded
from tests.fixtures.worker import Hands, Service, enrolled, serving
from tests.fixtures.workflows import working, write, write_ours

Json = dict[str, Any]
SMALL = {"width": 256, "height": 256, "steps": 2}
TEXT, IMAGE = "text-to-image", "image-to-image"


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "own").mkdir()
    async with serving(database_url, tmp_path, workflows=tmp_path / "own", heartbeat_seconds=0.5) as made:
        yield made


async def models(service: Service) -> dict[str, Json]:
    return {model["name"]: model for model in (await service.get(f"{API}/models")).json["data"]}


async def until_sold(service: Service, name: str, fits: Callable[[Json], bool] = lambda _: True) -> Json:
    found = await eventually(lambda: models(service), lambda seen: name in seen and fits(seen[name]))
    return found[name]


async def ended(service: Service, job_id: object) -> Json:
    return await eventually(lambda: service.job(str(job_id)), lambda job: job["status"] in ("succeeded", "failed"))


async def refused(service: Service, **fields: object) -> Json:
    body = json.dumps({"prompt": "a lighthouse", **fields}).encode()
    headers = {"Authorization": f"Bearer {service.key}", "Content-Type": "application/json"}
    async with service.session.post(service.url + f"{API}/jobs", data=body, headers=headers) as response:
        assert response.status == 422, await response.text()
        problem: Json = await response.json()
        return problem


def claim(*tasks: str, model: str = "sd15", vram_gib: int = 24, named: str | None = None) -> Json:
    able = [{"kind": "image", "model": model, "tasks": list(tasks)}]
    slot = {"slot": 0, "capabilities": [] if named else able, "vram_gib": vram_gib, "capabilities_sha256": named}
    return {"claim_id": str(uuid4()), "protocol": 1, "slots": [slot]}


async def claimed(hands: Hands, body: Json) -> Json:
    answered = await hands.call("/claim", body)
    assert answered.status == 200, answered.body
    found: Json = answered.json
    return found


async def test_two_files_dropped_into_the_folder_become_a_model_that_draws(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(await models(service)) == {"testcard"}, "nobody can make anything else yet"
    async with working(service, tmp_path) as (agent, machine):
        assert (await until_sold(service, "sd15"))["feasible_now"]
        assert (await refused(service, model="ours"))["errors"][0]["code"] == "unknown"

        machine.models["checkpoints"].append("ours.safetensors")
        path = write_ours(tmp_path / "own")
        monkeypatch.setenv("TESSERA_WORKFLOWS", str(path.parent))
        assert main(["workflow", "check"]) == 0
        assert "sound  ours             image ours (text-to-image): Ours" in capsys.readouterr().out

        model = await until_sold(service, "ours")
        assert (model["title"], model["tasks"], model["feasible_now"]) == ("Ours", [TEXT], True)
        told = model["parameters"]["properties"]
        assert told["steps"]["default"] == 20
        assert [kind.get("maximum") for kind in told["width"]["anyOf"]] == [1024, None]
        assert "input_image" not in told
        assert "euler" in told["sampler"]["anyOf"][0]["enum"]

        job = await ended(service, await service.order(model="ours", **SMALL))
        assert job["status"] == "succeeded", job["error"]
        made = job["provenance"]
        assert (made["workflow"], made["workflow_version"]) == ("ours", read(path).version)
        picture = await service.get(job["artifacts"][0]["url"])
        assert Image.open(io.BytesIO(picture.body)).size == (256, 256)
        assert kept(agent.duty.settings.workflows_file).revision == service.context.shelf.revision

        for suffix in (".toml", ".json"):
            path.with_suffix(suffix).unlink()
        await eventually(lambda: models(service), lambda seen: "ours" not in seen)
        offered = agent.duty.slots[0]
        await eventually(lambda: _able(offered.offer.capabilities), lambda able: "ours" not in able)
        assert (await refused(service, model="ours"))["errors"][0]["code"] == "unknown"
        assert (await service.job(job["id"]))["model"] == "ours", "its history stays"


async def _able(capabilities: list[Capability]) -> set[str]:
    return {able.model for able in capabilities}


async def test_what_starts_from_a_picture_is_not_given_to_a_slot_that_cannot(service: Service, owner_url: str) -> None:
    other = await enrolled(service.context, service.session, "other")
    picture = (await uploaded(service, encoded(drawn())))["id"]
    assert (await claimed(service.hands, claim(TEXT)))["leases"] == []
    sold = await until_sold(service, "sd15")
    assert sold["tasks"] == [TEXT]
    assert "strength" not in sold["parameters"]["properties"]
    problem = await refused(service, model="sd15", input_image=picture)
    assert problem["errors"][0]["pointer"] == "/input_image"

    assert (await claimed(other, claim(TEXT, IMAGE)))["leases"] == []
    assert (await until_sold(service, "sd15", lambda model: len(model["tasks"]) == 2))["tasks"] == [TEXT, IMAGE]
    job_id = await service.order(model="sd15", input_image=picture, **SMALL)
    assert (await claimed(service.hands, claim(TEXT)))["leases"] == []
    assert (await claimed(service.hands, claim(TEXT, IMAGE, vram_gib=2)))["leases"] == [], "it needs 4 GiB"
    assert (await claimed(service.hands, claim(IMAGE, model="sdxl")))["leases"] == []
    assert (await claimed(service.hands, claim(TEXT)))["leases"] == []

    # the one that could is not heard of any more: the order waits, and says why
    with psycopg.connect(owner_url, autocommit=True) as connection:
        forgotten: LiteralString = "update slots set last_seen_at = now() - interval '1 hour' where worker_id = %s"
        connection.execute(forgotten, (other.worker_id,))
    waits = await eventually(lambda: service.job(job_id), lambda job: job["waiting"]["reason"] == "no_worker_for_model")
    assert waits["status"] == "queued"
    [lease] = (await claimed(other, claim(TEXT, IMAGE)))["leases"]
    assert lease["job_id"] == str(job_id)


async def test_orders_are_held_against_the_slots_of_their_task(service: Service) -> None:
    await claimed(service.hands, claim(TEXT, model="flux-dev"))
    await claimed(service.hands, {**claim(TEXT, model="sdxl-pixel-art")})
    await until_sold(service, "sdxl-pixel-art")
    problem = await refused(
        service, model="sdxl-pixel-art", width=64, steps=21, sampler="euler", loras={"lcm": 9, "nobody": 1}
    )
    assert {fault["pointer"] for fault in problem["errors"]} == {
        *("/width", "/steps", "/sampler", "/loras/lcm", "/loras/nobody"),
    }
    sides = {"width": 1024, "height": 1000, "steps": 8}
    job = await service.job(await service.order(model="sdxl-pixel-art", loras={"lcm": 0.5}, **sides))
    assert job["loras"] == {"lcm": 0.5, "pixel-art": 1.2}
    assert (job["width"], job["height"], job["guidance"]) == (1024, 1000, 1.5)


async def test_capabilities_are_told_once_and_then_called_by_their_hash(service: Service) -> None:
    able = [Capability(kind="image", model="sd15", tasks=(TEXT,))]  # type: ignore[arg-type]
    named = capabilities_sha256(able)
    assert (await claimed(service.hands, claim(named=named)))["skipped"] == {"capabilities_unknown": 1}
    lie = claim("text-to-image", model="sdxl")
    lie["slots"][0]["capabilities_sha256"] = named
    await claimed(service.hands, lie)
    assert (await claimed(service.hands, claim(named=named)))["skipped"] == {"capabilities_unknown": 1}
    truth = claim("text-to-image")
    truth["slots"][0]["capabilities_sha256"] = named
    await claimed(service.hands, truth)
    await until_sold(service, "sd15")
    job_id = await service.order(model="sd15", **SMALL)
    [lease] = (await claimed(service.hands, claim(named=named)))["leases"]
    assert lease["job_id"] == str(job_id)


async def test_agents_fetch_the_workflows_and_hear_when_there_are_others(service: Service, tmp_path: Path) -> None:
    async def told() -> str:
        return str((await service.hands.call("/heartbeat", {"leases": []})).json["workflows"])

    first = await service.hands.request("GET", "/workflows", {})
    assert first.json["revision"] == await told()
    assert {one["name"] for one in first.json["data"]} == {workflow.name for workflow in load(SHIPPED)}
    again = await service.hands.request("GET", "/workflows", {"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    write_ours(tmp_path / "own")
    await eventually(told, lambda revision: revision != first.json["revision"])
    second = await service.hands.request("GET", "/workflows", {"If-None-Match": first.headers["ETag"]})
    assert "ours" in {one["name"] for one in second.json["data"]}


async def test_a_workflow_whose_files_became_unsound_stays_as_it_was(service: Service, tmp_path: Path) -> None:
    path = write_ours(tmp_path / "own")
    shelf = service.context.shelf
    await shelf.look()
    revision = shelf.revision
    path.write_text(path.read_text().replace("Ours", "Broken").replace("[slots.seed]", "[slots.sed]"))
    await shelf.look()
    assert shelf.revision == revision
    assert shelf.manifests("image", "ours")[TEXT].title == "Ours"  # type: ignore[index]
    write_ours(tmp_path / "own", "Mended")
    await shelf.look()
    assert shelf.manifests("image", "ours")[TEXT].title == "Mended"  # type: ignore[index]


async def test_which_languages_a_model_reads_is_told_and_may_change_alone(service: Service, tmp_path: Path) -> None:
    path = write_ours(tmp_path / "own")
    await service.context.shelf.look()
    await claimed(service.hands, claim(TEXT, model="ours"))
    assert (await until_sold(service, "ours"))["languages"] == ["en"], "it does not say"
    assert (await models(service))["testcard"]["languages"] == ["en"]
    revision = service.context.shelf.revision
    path.write_text('languages = ["zh", "en"]\n' + path.read_text())
    await service.context.shelf.look()
    await until_sold(service, "ours", lambda model: model["languages"] == ["zh", "en"])
    assert service.context.shelf.revision == revision, "agents have nothing new to learn"


async def test_two_processes_agree_on_what_is_sold(service: Service, database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "second", workflows=tmp_path / "own") as second:
        write_ours(tmp_path / "own")
        shelves = service.context.shelf, second.context.shelf
        await asyncio.gather(*(shelf.look() for shelf in shelves))
        await asyncio.gather(*(shelf.look() for shelf in shelves))
        assert shelves[0].revision == shelves[1].revision
        assert shelves[0].manifests("image", "ours")
        await claimed(service.hands, claim(TEXT, model="ours"))
        await until_sold(second, "ours")


def _say(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["workflow", "check", str(folder), *words])
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind = ": "knd = "}, "unknown field `knd`"),
        ({'task = "text-to-image"': 'task = "magic"'}, "Invalid enum value 'magic' - at `$.task`"),
        ({'task = "text-to-image"': 'task = "upscale"'}, "A workflow for upscale needs [slots.input_image]."),
        ({"max = 80": "max = 10"}, "[slots.steps]: the default must be from 1 to 10."),
        ({"max = 80\n": ""}, "[slots.steps] needs min, max and default."),
        ({'model = "sd15"': 'model = "testcard"'}, "model must not be testcard, which is built in."),
        ({'"class_type": "VAEDecode"': '"class_type": "RunShell"'}, "RunShell is not among the classes"),
        ({'model = "sd15"': 'model = "SD 15"'}, "Expected `str` matching regex"),
        ({'at = ["sampler.seed"]': 'at = ["sampler.sed"]'}, "sampler.sed is in the manifest but not in the graph."),
        ({'folder = "checkpoints"': 'folder = "../etc"'}, "Expected `str` matching regex"),
        ({'task = "text-to-image"': 'task = "text-to-image"\nposition = 5', "position = 110": ""}, "one position"),
        ({'"checkpoint"': ""}, ".json: JSON is malformed"),
        ({"title": "\x00"}, "ours.toml"),
        ({"position = 110": 'languages = ["English"]'}, "Expected `str` matching regex"),
        ({"position = 110": "languages = []"}, "Expected `array` of length >= 1"),
    ],
)
def test_what_is_wrong_with_two_files_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str
) -> None:
    swaps = {} if "position = 110" in changes else {'model = "sd15"': 'model = "mine"'}
    write(tmp_path, "ours", **{**swaps, **changes} if 'model = "sd15"' not in changes else changes)
    code, told = _say(tmp_path, capsys)
    assert code == 78
    assert "WRONG  ours" in told
    assert said in told
    assert "Traceback" not in told
    assert f"{len(load(SHIPPED))} sound" in told, "the others are as they were"


def test_half_a_workflow_and_a_second_one_for_the_same_task_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lonely.json").write_text("{}")
    write(tmp_path, "widow").with_suffix(".json").unlink()
    write(tmp_path, "twin")
    code, told = _say(tmp_path, capsys)
    assert code == 78
    assert "its manifest (lonely.toml) is missing" in told
    assert "widow.json: No such file or directory" in told
    assert "The model sd15 has a workflow for text-to-image already" in told
    assert json.loads(_say(tmp_path, capsys, "--json")[1])["wrong"].keys() == {"lonely", "widow", "twin"}


async def test_every_task_for_pictures_is_made_as_it_was_ordered(service: Service, tmp_path: Path) -> None:
    async with working(service, tmp_path):
        await until_sold(service, "upscale-4x")
        hole = Image.new("RGBA", (200, 136), "navy")
        hole.paste((0, 0, 0, 0), (50, 40, 120, 90))
        picture = (await uploaded(service, encoded(drawn((80, 64)))))["id"]
        holed = (await uploaded(service, encoded(hole)))["id"]
        orders: dict[str, tuple[Json, tuple[int, int]]] = {
            "sd15-image": ({"model": "sd15", "input_image": picture, **SMALL}, (256, 256)),
            "sd2-inpaint": ({"model": "sd2-inpaint", "input_image": holed, "steps": 2}, (200, 136)),
            "upscale-4x": ({"model": "upscale-4x", "input_image": picture, "upscale": 4}, (320, 256)),
            "sdxl-pixel-art": ({"model": "sdxl-pixel-art", "loras": {"pixel-art": 0.4}, "steps": 2}, (1024, 1024)),
        }
        for name, (order, size) in orders.items():
            sides = {"width": None, "height": None, "steps": None}
            job = await ended(service, await service.order(**{**sides, **order}))
            assert job["status"] == "succeeded", (name, job["error"])
            assert job["provenance"]["workflow"] == name
            assert (job["width"], job["height"]) == size
        inpainting = (await models(service))["sd2-inpaint"]
        assert inpainting["tasks"] == ["inpaint"]
        problem = await refused(service, model="sd2-inpaint", input_image=holed, width=256)
        assert problem["errors"][0]["pointer"] == "/width"
