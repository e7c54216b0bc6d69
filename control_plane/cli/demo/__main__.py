"""Runs the demo: `python -m control_plane.cli.demo [FOLDER]`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from control_plane.cli.demo.house import house
from control_plane.cli.demo.proof import NotAsTold
from control_plane.cli.demo.stage import Stage
from control_plane.cli.demo.story import tell
from control_plane.cli.operating import translated
from control_plane.cli.parsing import EX_FAILED, EX_INTERRUPTED, EX_UNAVAILABLE, CommandError
from control_plane.cli.stopping import Stopped, Stopping

STORY_SECONDS = 120.0
"""Whoever needs longer than this has something in the way."""


def main() -> int:
    """Tell the story; 0 only when it happened."""
    stage = Stage(sys.stdout)
    try:
        with translated():
            asyncio.run(_demo(_folder(sys.argv[1:]), stage))
        return 0
    except Stopped:
        stage.say("\nStopped; everything has been cleared away.")
        return EX_INTERRUPTED
    except NotAsTold as error:
        stage.say(f"\nThe story did not happen as told: {error}")
        return EX_FAILED
    except CommandError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return error.exit_code


def _folder(words: list[str]) -> Path:
    """`.demo` in the clone that this code lies in, or else where the person stands."""
    if words:
        return Path(words[0]).absolute()
    clone = Path(__file__).parents[3]
    return (clone if (clone / "pyproject.toml").exists() else Path.cwd()) / ".demo"


async def _demo(folder: Path, stage: Stage) -> None:
    stopping = Stopping()
    with stopping.listening():
        try:
            async with asyncio.timeout(STORY_SECONDS), house(folder, stage, stopping) as home:
                await tell(home, stage, stopping)
        except TimeoutError:
            raise CommandError(
                f"After {STORY_SECONDS:g} s there was still no end; is this machine very busy?", EX_UNAVAILABLE
            ) from None


if __name__ == "__main__":
    sys.exit(main())
