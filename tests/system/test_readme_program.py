"""The section of README for those who write programs, executed as it stands there, against a real service."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
import time
from pathlib import Path
from uuid import uuid4

from PIL import Image

from control_plane.webhooks import envelope
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
    """Our address for the one in README, our Python for that of the clone, and the keys that were just printed."""
    script = script.replace("http://127.0.0.1:8000", url).replace(
        ".venv/bin/tessera", f"{sys.executable} -m control_plane"
    )
    for prefix, variable, options in (("tsk_", "KEY", ""), ("tsr_test_", "TEST_KEY", " --test")):
        made = re.search(rf"^.* key create ada{options}$", script, re.MULTILINE)
        assert made
        script = script.replace(f"{made[0]}\n", f"{variable}=$({made[0]} | grep -o '{prefix}[0-9a-z_]*' | head -1)\n")
        script = script.replace(f"{prefix}…", f"${variable}")
    return script


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def tried(receiver: str, secret: str) -> str:
    """The receiver, given a message of ours, the same once more, and one that was changed."""
    body, key = b'{"type": "job.succeeded", "data": {"id": "1"}}', base64.b64decode(secret.removeprefix("whsec_"))
    headers = envelope.headers(uuid4(), int(time.time()), body, [key])
    calls = [f"    receive({sent!r}, {headers!r})" for sent in (body, body, body + b" ")]
    return "\n".join([receiver, "try:", *calls, "except Exception as error:", "    print(type(error).__name__)"])


async def test_what_readme_shows_to_programmers_works(database_url: str, tmp_path: Path) -> None:
    """The lines for a terminal first, then the programs, with the key and the secret that the terminal got."""
    programs = blocks("python")
    assert len(programs) == 3
    folder = tmp_path / "mine"
    folder.mkdir()
    async with working(database_url, tmp_path) as service:
        environ = {"TESSERA_DATABASE_URL": database_url, "TESSERA_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        script = as_here("\n".join(blocks("sh")), service.url) + 'echo; echo "KEY $TESSERA_API_KEY"\n'
        said = await run(folder, environ, "bash", "-euo", "pipefail", "-c", script)
        found = re.search(r"^KEY (tsk_\S+)$", said, re.MULTILINE)
        secret = re.search(r'"secret":"(whsec_[^"]+)"', said)
        assert found, said
        assert secret, said
        assert size(folder / "lighthouse.png") == (512, 512)
        assert "event: snapshot\n" in said
        assert "event: job.succeeded\n" in said
        [started] = re.findall(r'"prompt":"in oil".*"input_image":"([0-9a-f-]{36})"', said)
        assert started in (folder / "input.json").read_text()
        assert '"status":"failed"' in said
        assert '"code":"oom"' in said

        customer = {"TESSERA_URL": service.url, "TESSERA_API_KEY": found[1]}
        first, receiver, third = programs
        assert re.fullmatch(r"succeeded seed \d+\n", await run(folder, customer, sys.executable, "-c", first))
        assert size(folder / "lighthouse-0.png") == (512, 512)
        fetched = await service.get((await run(folder, customer, sys.executable, "-c", third)).strip())
        assert (fetched.status, fetched.headers["Content-Type"]) == (200, "image/png")

        told = await run(folder, {"WEBHOOK_SECRET": secret[1]}, sys.executable, "-c", tried(receiver, secret[1]))
        assert told == "job.succeeded 1\nWebhookVerificationError\n"
