"""OpenAI's shape, called by the official `openai` package: a real control plane, and a real agent that draws."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent
from PIL import Image

from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import Service, serving
from tests.fixtures.working import working

PATIENCE_SECONDS = 20.0
SMALL = "128x64"


@asynccontextmanager
async def client_of(service: Service, key: str | None = None, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    chosen = {"max_retries": 0, "timeout": PATIENCE_SECONDS, **options}
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key=key or service.key, **chosen) as client:
        yield client


async def jobs_of(service: Service) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await service.as_customer(f"{API}/jobs")).json["data"]
    return listed


def opened(b64_json: str | None) -> Image.Image:
    assert b64_json
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


async def test_pictures_are_ordered_waited_for_and_fetched(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path) as service, client_of(service) as client:
        both = (await client.images.generate(prompt="a lighthouse", size=SMALL)).data
        assert both is not None
        assert opened(both[0].b64_json).size == (128, 64)
        fetched = await service.get(both[0].url or "")
        assert fetched.body == base64.b64decode(both[0].b64_json or "")

        several = await client.images.generate(
            prompt="a fox", model="testcard", n=2, size=SMALL, response_format="b64_json", user="ada", quality="low"
        )
        assert several.data is not None
        assert [(one.url, opened(one.b64_json).size) for one in several.data] == [(None, (128, 64))] * 2
        assert (several.output_format, several.size) == ("png", SMALL)
        newest = (await jobs_of(service))[0]
        assert (newest["metadata"], newest["steps"], newest["count"]) == ({"user": "ada"}, 10, 2)
        assert several.usage is not None
        assert several.usage.output_tokens == newest["cost"]["charged"] > 0

        only_url = await client.images.generate(
            prompt="a fox", size="auto", response_format="url", quality="low", extra_body={"seed": 7, "steps": 1}
        )
        assert only_url.data is not None
        assert only_url.data[0].b64_json is None
        newest = (await jobs_of(service))[0]
        assert (newest["seed"], newest["steps"], newest["width"]) == (7, 1, 1024)
        fetched = await service.get(only_url.data[0].url or "")
        assert (fetched.status, fetched.headers["Content-Type"]) == (200, "image/png")


async def test_a_stream_shows_previews_and_then_the_picture(database_url: str, tmp_path: Path) -> None:
    async with working(database_url, tmp_path, picture_seconds=3.0) as service, client_of(service) as client:
        events = await client.images.generate(prompt="the sea", size="256x256", stream=True, partial_images=2)
        seen = [event async for event in events]
    *partial, completed = seen
    assert [event.type for event in partial] == ["image_generation.partial_image"] * len(partial)
    assert 1 <= len(partial) <= 2
    for index, event in enumerate(partial):
        assert isinstance(event, ImageGenPartialImageEvent)
        assert event.partial_image_index == index
        assert opened(event.b64_json).format == event.output_format.upper()
    assert isinstance(completed, ImageGenCompletedEvent)
    assert opened(completed.b64_json).size == (256, 256)
    assert completed.usage.total_tokens > 0


async def test_a_picture_is_made_from_another_one(database_url: str, tmp_path: Path) -> None:
    mine = io.BytesIO()
    Image.new("RGB", (160, 96), "teal").save(mine, "PNG")
    picture = ("mine.png", mine.getvalue())
    async with working(database_url, tmp_path, picture_seconds=1.0) as service, client_of(service) as client:
        edited = await client.images.edit(
            image=picture, prompt="at night", n=2, size="160x96", extra_body={"strength": 0.5}
        )
        assert edited.data is not None
        assert [opened(one.b64_json).size for one in edited.data] == [(160, 96)] * 2
        [job] = await jobs_of(service)
        assert (job["strength"], job["input_image"] is not None) == (0.5, True)
        events = await client.images.edit(
            image=[picture], prompt="at dawn", size="160x96", stream=True, partial_images=1
        )
        seen = [event async for event in events]
        assert {event.type for event in seen} <= {"image_edit.partial_image", "image_edit.completed"}
        assert seen[-1].type == "image_edit.completed"
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"mask": picture}, "mask"),
            ({"image": [picture, picture]}, "image"),
            ({"image": ("mine.png", b"no picture")}, "image"),
            ({"input_fidelity": "high"}, "input_fidelity"),
            ({"n": 9}, "n"),
            ({"extra_body": {"nonsense": 1}}, "nonsense"),
        ]
        for wrong, param in refusals:
            with pytest.raises(openai.BadRequestError) as refused:
                await client.images.edit(**{"image": picture, "prompt": "x", **wrong})
            assert refused.value.param == param, refused.value
        assert len(await jobs_of(service)) == 2


async def test_models_are_listed_and_looked_up(control_plane: Plane) -> None:
    async with client_of(control_plane.service) as client:
        listed = [model async for model in client.models.list()]
        assert [model.id for model in listed] == ["testcard"]
        assert (await client.models.retrieve("testcard")).id == "testcard"
        with pytest.raises(openai.NotFoundError) as missing:
            await client.models.retrieve("gpt-image-2")
        assert missing.value.code == "model_not_found"


async def test_a_test_key_gets_pictures_without_any_agent(control_plane: Plane) -> None:
    keeper = await control_plane.user_key(["read", "submit", "keys"])
    made = await control_plane.call("POST", f"{API}/api-keys", keeper, {"name": "try", "test": True})
    async with client_of(control_plane.service, made.json["key"]) as client:
        drawn = await client.images.generate(prompt="a lighthouse", size=SMALL)
    assert drawn.data is not None
    assert opened(drawn.data[0].b64_json).size == (128, 64)
    assert (await control_plane.call("GET", f"{API}/jobs", keeper)).json["data"] == []


@pytest.mark.parametrize(
    ("order", "param", "words"),
    [
        ({"size": "100x100"}, "size", "multiple of 8"),
        ({"size": "huge"}, "size", "width and a height"),
        ({"size": "4096x4096"}, "size", "at most"),
        ({"n": 9}, "n", "<= 4"),
        ({"output_format": "webp"}, "output_format", "delivered as `png`"),
        ({"output_compression": 50}, "output_compression", "only 100"),
        ({"background": "transparent"}, "background", "transparent"),
        ({"moderation": "low"}, "moderation", "same for everybody"),
        ({"style": "vivid"}, "style", "prompt"),
        ({"stream": True, "response_format": "url"}, "response_format", "b64_json"),
        ({"extra_body": {"nonsense": 1}}, "nonsense", "unknown field"),
        ({"prompt": ""}, "prompt", "length"),
    ],
)
async def test_what_cannot_be_done_is_a_bad_request_that_names_the_field(
    control_plane: Plane, order: dict[str, Any], param: str, words: str
) -> None:
    async with client_of(control_plane.service) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.images.generate(**{"prompt": "x", **order})
    error = refused.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert words in str(error)
    assert error.request_id
    assert await jobs_of(control_plane.service) == []


async def test_refusals_are_the_exceptions_that_programs_catch(control_plane: Plane) -> None:
    service = control_plane.service

    async def refused(kind: type[openai.APIStatusError], key: str | None = None, **order: Any) -> openai.APIStatusError:
        async with client_of(service, key, max_retries=2) as client:
            with pytest.raises(kind) as caught:
                await client.images.generate(**{"prompt": "x", **order})
        assert caught.value.body is not None
        return caught.value

    assert (await refused(openai.AuthenticationError, "sk-wrong")).code == "invalid_api_key"
    reader = await control_plane.user_key(["read"])
    assert (await refused(openai.PermissionDeniedError, reader)).type == "permission_error"
    assert (await refused(openai.NotFoundError, model="dall-e-3")).param == "model"
    assert (await refused(openai.BadRequestError, prompt="nude child")).code == "moderation_blocked"
    async with service.context.database.connection() as connection:
        await connection.execute("update users set plan = 'free' where id = %s", [service.user_id])
    short = await refused(openai.RateLimitError, n=4, extra_body={"steps": 150})
    assert (short.code, short.response.headers["x-should-retry"]) == ("insufficient_quota", "false")
    assert (await refused(openai.PermissionDeniedError, size="2048x2048")).code == "plan-forbids"
    assert await jobs_of(service) == []
    async with client_of(service) as client, service.session.get(f"{service.url}/v1/nothing") as nothing:
        assert (nothing.status, (await nothing.json())["error"]["code"]) == (404, "not-found")
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(input="x", model="x", voice="alloy")


async def test_a_job_that_comes_to_nothing_says_why_and_is_not_ordered_again(control_plane: Plane) -> None:
    service = control_plane.service

    async def failing(cause: str) -> openai.APIStatusError:
        async with client_of(service, max_retries=2) as client, asyncio.TaskGroup() as tasks:
            ordered = tasks.create_task(_failure(client))
            [lease] = await service.hands.claim(wait=10)
            await service.hands.start(lease)
            await service.hands.fail(lease, cause)
            return await ordered

    moderated = await failing("moderation")
    assert (moderated.status_code, moderated.code) == (400, "moderation_blocked")
    impossible = await failing("invalid_input")
    assert (impossible.status_code, impossible.code) == (400, "invalid_input")
    assert len(await jobs_of(service)) == 2


async def _failure(client: AsyncOpenAI) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.images.generate(prompt="x", size=SMALL)
    return caught.value


async def test_a_failure_in_a_stream_is_an_event_that_the_client_raises(control_plane: Plane) -> None:
    service = control_plane.service
    async with client_of(service) as client:
        events = await client.images.generate(prompt="x", size=SMALL, stream=True)
        [lease] = await service.hands.claim(wait=10)
        await service.hands.start(lease)
        await service.hands.fail(lease, "invalid_input")
        with pytest.raises(openai.APIError, match="refused the order as impossible"):
            async for _ in events:
                pass


async def test_who_hangs_up_cancels_what_has_not_started_and_nothing_else(control_plane: Plane) -> None:
    service = control_plane.service

    async def status(number: int) -> str:
        return str((await jobs_of(service))[number]["status"])

    async with client_of(service, timeout=0.5) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.images.generate(prompt="x", size=SMALL)
        await eventually(lambda: status(0), lambda seen: seen == "canceled")

        stream = await client.images.generate(prompt="x", size=SMALL, stream=True)
        assert await status(0) == "queued"
        await stream.close()
        await eventually(lambda: status(0), lambda seen: seen == "canceled")

        with pytest.raises(openai.APITimeoutError):
            await client.images.generate(prompt="x", size=SMALL, extra_headers={"Idempotency-Key": "mine"})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_timed_out(client))
            held = [lease for _ in range(2) for lease in await service.hands.claim(wait=10)]
            for lease in held:
                await service.hands.start(lease)
    assert [job["status"] for job in await jobs_of(service)] == ["running", "running", "canceled", "canceled"]


async def _timed_out(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        await client.images.generate(prompt="x", size=SMALL)


async def test_a_wait_that_is_over_says_so_and_a_key_leads_back_to_the_same_job(
    database_url: str, tmp_path: Path
) -> None:
    async with working(database_url, tmp_path, images_wait_seconds=1, picture_seconds=2.5) as service:
        async with client_of(service, max_retries=8) as client:
            headers = {"Idempotency-Key": "order-1"}
            raw = await client.images.with_raw_response.generate(prompt="x", size=SMALL, extra_headers=headers)
            assert raw.headers["Idempotent-Replayed"] == "true"
            found = raw.parse()
            assert found.data is not None
            opened(found.data[0].b64_json)
        assert len(await jobs_of(service)) == 1


async def test_without_a_key_nothing_is_left_in_line_after_the_wait(database_url: str, tmp_path: Path) -> None:
    async with (
        serving(database_url, tmp_path, images_wait_seconds=0.5) as service,
        client_of(service, max_retries=8) as client,
    ):
        with pytest.raises(openai.InternalServerError) as late:
            await client.images.generate(prompt="x", size=SMALL)
        assert late.value.status_code == 504
        assert [job["status"] for job in await jobs_of(service)] == ["canceled"]
