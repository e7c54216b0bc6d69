"""Another program's answer, with a limit on its time, its output and its company. For checks and set-up only."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

ANSWER_SECONDS = 10.0
OUTPUT_BYTES_MAX = 256 * 1024


class Answer(msgspec.Struct, frozen=True):
    code: int
    said: str
    """What it wrote to its output and to its errors, together."""

    @property
    def well(self) -> bool:
        return self.code == 0

    @property
    def first_line(self) -> str:
        return next((line.strip() for line in self.said.splitlines() if line.strip()), "")[:200]


class Missing(Exception):
    """There is no such program here, it cannot be run, or it did not answer; the message says which."""


async def ask(
    *command: str,
    seconds: float = ANSWER_SECONDS,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Answer:
    """Raises `Missing`. Windows programs that write UTF-16 are understood. `environ`, `folder`: others than ours."""
    path = shutil.which(command[0])
    if path is None:
        raise Missing(f"there is no {command[0]}")
    try:
        process = await asyncio.create_subprocess_exec(
            *(path, *command[1:]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environ,
            cwd=folder,
        )
    except OSError as error:
        raise Missing(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate(stdin)
    except TimeoutError:
        raise Missing(f"{command[0]} did not answer in {seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await process.wait()
    return Answer(process.returncode or 0, _text(said[:OUTPUT_BYTES_MAX]))


def _text(said: bytes) -> str:
    wide = said.startswith(b"\xff\xfe") or (len(said) > 3 and said[1:4:2] == b"\x00\x00")
    return said.decode("utf-16-le" if wide else "utf-8", errors="replace").lstrip("\ufeff")
