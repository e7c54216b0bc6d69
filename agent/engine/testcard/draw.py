"""Draws one order and ends: the test card for a program that runs no agent.

    python -m agent.engine.testcard.draw FOLDER PARENT_PID < spec.json

It tells a JSON object a line: `{"value": 0.35}` on the way, `{"index": 0, "name": "0.png", "made": …}` for each file,
and last, when it fails, `{"cause": "oom", "message": "…"}`. It yields to everybody else on the machine, has limits
on memory, time of the processor and size of files, and ends with its parent. What the order calls its model is not
looked at: a test card is drawn. The picture that it starts from lies in the folder (`Picture.file_name`).
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec

from agent.engine import EngineError, Output
from agent.engine.testcard.engine import MODEL, Testcard
from agent.engine.testcard.studio import settle
from control_plane.wire.job import JobSpec, Progress

MEMORY_BYTES_MAX = 3 * 1024**3
PROCESSOR_SECONDS_MAX = 120
FILE_BYTES_MAX = 256 * 1024**2
NICENESS = 19


def main() -> None:
    folder, parent_pid = Path(sys.argv[1]), int(sys.argv[2])
    settle(parent_pid)
    _limit()
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=JobSpec)
    asyncio.run(_draw(msgspec.structs.replace(spec, model=MODEL), folder))


def _limit() -> None:
    """For the painter as well, which is a child of this process."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS_MAX, PROCESSOR_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))


async def _draw(spec: JobSpec, folder: Path) -> None:
    engine = Testcard()
    try:
        await engine.start()
        async with aclosing(engine.run(spec, folder)) as news:
            async for item in news:
                if isinstance(item, Progress):
                    _tell(value=item.value)
                elif isinstance(item, Output):
                    _tell(index=item.index, name=item.path.name, made=item.made)
    except EngineError as error:
        _tell(cause=error.cause, message=error.message)
    finally:
        await engine.stop()


def _tell(**news: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
