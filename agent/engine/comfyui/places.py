"""Where ComfyUI keeps files on this disk, so that nothing of an order stays there.

ComfyUI deletes nothing and has no call to delete a file. Everything of a run lies in a folder of its own below
`tessera/`, in the output folder and, for what was uploaded, in the input folder; where these folders are on this
machine, they are removed. ComfyUI tells where they are only on the way: it looks for models below its output folder
too, and its command line may name others.
"""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import msgspec

from agent.engine.comfyui.server import Server, Stats

OURS = "tessera"


class Places(msgspec.Struct, frozen=True):
    output: Path | None
    input: Path | None

    def has(self, prompt_id: str) -> bool:
        """Whether the files of this run lie on this machine."""
        return self.output is not None and (self.output / OURS / prompt_id).is_dir()

    def wipe(self, prompt_id: str) -> None:
        """Everything of this run, also when only half of it was made."""
        for root in (self.output, self.input):
            if root is not None:
                shutil.rmtree(root / OURS / prompt_id, ignore_errors=True)

    def left(self) -> list[str]:
        """Ids of runs that have left something here."""
        roots = [root / OURS for root in (self.output, self.input) if root is not None and (root / OURS).is_dir()]
        return [path.name for root in roots for path in root.iterdir()]


def folder(prompt_id: str) -> str:
    """The folder of a run, as ComfyUI is told."""
    return f"{OURS}/{prompt_id}"


async def find(server: Server, stats: Stats) -> Places:
    paths = (await server.folder_paths()).get("checkpoints", [])
    output = next((Path(path).parent for path in paths if Path(path).parts[-2:] == ("output", "checkpoints")), None)
    output = _named(stats, "--output-directory") or output
    base = _named(stats, "--base-directory") or (output.parent if output else None)
    return Places(
        output=_here(output or (base / "output" if base else None)),
        input=_here(_named(stats, "--input-directory") or (base / "input" if base else None)),
    )


def _named(stats: Stats, option: str) -> Path | None:
    """The value of an option of ComfyUI's command line; only an absolute path means the same here as there."""
    argv = stats.system.argv
    following = dict(pairwise(argv))
    path = Path(following[option]) if option in following else None
    return path if path is not None and path.is_absolute() else None


def _here(path: Path | None) -> Path | None:
    """ComfyUI makes its folders when it first needs them."""
    return path if path is not None and path.parent.is_dir() else None
