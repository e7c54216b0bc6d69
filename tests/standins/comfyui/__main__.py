"""The stand-in as a program of its own: `python -m tests.standins.comfyui FOLDER STEP_SECONDS`; prints its address."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.standins.comfyui.server import standing_in


async def main() -> None:
    async with standing_in(Path(sys.argv[1])) as machine:
        machine.step_seconds = float(sys.argv[2])
        print(machine.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
