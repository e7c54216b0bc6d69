"""The section of README for those who write programs, executed as it stands there, against a real service."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from PIL import Image

from tests.fixtures.working import working

ROOT = Path(__file__).parents[2]
SECTION = re.search(r"^## My program\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 60.0


def blocks(language: str) -> list[str]:
    assert SECTION is not None
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION[1], re.MULTILINE | re.DOTALL)


async def run(folder: Path, environ: dict[str, str], *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def as_here(script: str, url: str) -> str:
    """Our address for the one in README, our Python for that of the clone, and the key that was printed just before."""
    script = script.replace("http://127.0.0.1:8000", url).replace(
        ".venv/bin/tessera", f"{sys.executable} -m control_plane"
    )
    made = re.search(r"^.* key create ada$", script, re.MULTILINE)
    assert made
    return script.replace(made[0], f"KEY=$({made[0]} | grep -o 'tsk_[0-9a-z_]*' | head -1)").replace("tsk_…", "$KEY")


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


async def test_what_readme_shows_to_programmers_works(database_url: str, tmp_path: Path) -> None:
    """The lines for a terminal first, then both programs, with the key that the terminal got."""
    [terminal] = blocks("sh")
    programs = blocks("python")
    assert len(programs) == 2
    folder = tmp_path / "mine"
    folder.mkdir()
    async with working(database_url, tmp_path) as service:
        environ = {"TESSERA_DATABASE_URL": database_url, "TESSERA_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        script = as_here(terminal, service.url) + 'echo "KEY $TESSERA_API_KEY"\n'
        said = await run(folder, environ, "bash", "-euo", "pipefail", "-c", script)
        found = re.search(r"^KEY (tsk_\S+)$", said, re.MULTILINE)
        assert found, said
        assert size(folder / "lighthouse.png") == (512, 512)

        customer = {"TESSERA_URL": service.url, "TESSERA_API_KEY": found[1]}
        first, second = [await run(folder, customer, sys.executable, "-c", program) for program in programs]
        assert re.fullmatch(r"succeeded seed \d+\n", first)
        assert size(folder / "lighthouse-0.png") == (512, 512)
        fetched = await service.get(second.strip())
        assert (fetched.status, fetched.headers["Content-Type"]) == (200, "image/png")
