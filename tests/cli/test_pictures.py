"""Pictures from a picture on the command line, by the real program and a real agent."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.fixtures.pictures import drawn, encoded
from tests.fixtures.worker import Service
from tests.fixtures.working import working

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "photo.jpg").write_bytes(encoded(drawn((320, 240)), "JPEG"))
    (made / "notes.txt").write_text("no picture")
    return made


async def started(service: Service, folder: Path, *words: str) -> asyncio.subprocess.Process:
    chosen = {"TESSERA_URL": service.url, "TESSERA_API_KEY": service.key, "TESSERA_DATA_DIR": str(folder / "none")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane", *words),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **chosen},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err
    return process.returncode, out.decode(), err.decode()


async def test_a_picture_is_painted_over_and_another_enlarged(database_url: str, tmp_path: Path, folder: Path) -> None:
    async with working(database_url, tmp_path) as service:
        words = ("generate", "in oil", "--image", "photo.jpg", "--strength", "0.2", "-o", "oil.png")
        code, out, err = await ended(await started(service, folder, *words))
        assert (code, out) == (0, "oil.png\n"), err
        assert "uploaded photo.jpg" in err
        with Image.open(folder / "oil.png") as oil:
            assert oil.size == (1176, 880)
        code, out, err = await ended(await started(service, folder, "upscale", "photo.jpg", "--factor", "4"))
        assert (code, out) == (0, "photo-4x.png\n"), err
        with Image.open(folder / "photo-4x.png") as larger:
            assert larger.size == (1280, 960)


async def test_what_cannot_be_started_from_is_told_before_anything_is_ordered(
    database_url: str, tmp_path: Path, folder: Path
) -> None:
    async with working(database_url, tmp_path) as service:
        for image, exit_code, told in (
            ("nowhere.png", 66, "There is no picture nowhere.png."),
            ("notes.txt", 64, "This is no picture that can be used: PNG, JPEG and WebP are taken"),
        ):
            code, out, err = await ended(await started(service, folder, "upscale", image))
            assert (code, out) == (exit_code, ""), err
            assert told in err
        assert (await service.as_customer("/api/v1/jobs")).json["data"] == []
