"""Where ComfyUI keeps its models on this disk: which files are there, and where a new one would go.

The owner says so (`--models`, which is `comfyui_models`, or `comfyui_dir`), or a ComfyUI that runs here. ComfyUI looks
for some folders under two names; both are looked into, and new files go where the folder has its own name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp
import msgspec

from agent.engine.comfyui.server import Gone, Refused, Server, Silent
from agent.hashes import Hashes
from agent.models.part import kept_bytes
from agent.models.plan import Found
from agent.settings import ConfigurationError, Settings
from control_plane.wire.weights import Weights

ALSO = {"text_encoders": "clip", "diffusion_models": "unet"}
"""Older names of folders."""


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    named: Mapping[str, list[Path]]
    """What ComfyUI calls its folders → where they may lie, the place for new files first."""
    root: Path | None = None
    """Of folders that are not named."""

    def places(self, file: str) -> list[Path]:
        """Every path that `folder/name` may have."""
        folder, _, name = file.partition("/")
        roots = self.named.get(folder) or ([self.root / folder] if self.root is not None else [])
        return [root / name for root in roots]

    def find(self, file: str) -> Path | None:
        return next((path for path in self.places(file) if path.is_file()), None)

    def target(self, file: str) -> Path:
        """Where it is or would go; raises `ConfigurationError`."""
        places = self.places(file)
        if not places:
            raise ConfigurationError(f"This ComfyUI has no folder {file.partition('/')[0]}. Is it up to date?")
        return self.find(file) or places[0]

    def survey(self, files: Iterable[str], weights: Weights, hashes: Hashes) -> dict[str, Found]:
        """Each of these files as the disk has it; nothing is read."""
        return {file: self._found(file, weights, hashes) for file in files if self.places(file)}

    def _found(self, file: str, weights: Weights, hashes: Hashes) -> Found:
        path, listed = self.find(file), weights.files.get(file)
        target = self.target(file)
        kept = kept_bytes(target, listed.bytes, listed.sha256) if listed is not None else 0
        if path is None:
            return Found(part_bytes=kept, disk=_disk(target))
        return Found(bytes=path.stat().st_size, part_bytes=kept, disk=_disk(target), sha256=hashes.known(path))

    def free(self, files: Iterable[str]) -> dict[str, int]:
        """Free bytes of every disk that these files are on or would go to."""
        targets = [self.target(file) for file in files if self.places(file)]
        return {_disk(target): _free(_nearest(target)) for target in targets}


async def found(settings: Settings) -> Folders:
    """Raises `ConfigurationError`."""
    cards = [card.comfyui_models or (card.comfyui_dir and card.comfyui_dir / "models") for card in settings.cards]
    named = settings.comfyui_models or next((folder for folder in cards if folder), None)
    if named is not None:
        if not named.is_dir():
            raise ConfigurationError(f"{named} is no folder. ComfyUI's folder of models is usually ComfyUI/models.")
        return at(named)
    url = settings.cards[0].comfyui_url
    async with aiohttp.ClientSession() as session:
        try:
            told = await Server(url, session).folder_paths()
        except (Gone, Silent, Refused):
            told = {}
    folders = {folder: _ordered(folder, paths) for folder, paths in told.items()}
    if not any(path.is_dir() for paths in folders.values() for path in paths):
        raise ConfigurationError(
            "Where does ComfyUI keep its models? Say --models FOLDER (usually ComfyUI/models), or set"
            f" TESSERA_AGENT_COMFYUI_DIR, or start ComfyUI: none answers at {url}."
        )
    return Folders(named=folders)


def at(root: Path) -> Folders:
    """A folder of models with ComfyUI's own layout."""
    return Folders(named={folder: [root / folder, root / old] for folder, old in ALSO.items()}, root=root)


def _ordered(folder: str, paths: Iterable[str]) -> list[Path]:
    """ComfyUI looks for models in its output too, where nothing of ours belongs."""
    return sorted(map(Path, paths), key=lambda path: (path.parent.name == "output", path.name != folder))


def _nearest(path: Path) -> Path:
    """The folder that is there already."""
    return next(folder for folder in path.parents if folder.is_dir())


def _disk(path: Path) -> str:
    """The folder at which the disk of this path begins, as `df` names it."""
    folder = _nearest(path).resolve()
    device = folder.stat().st_dev
    return str([above for above in (folder, *folder.parents) if above.stat().st_dev == device][-1])


def _free(folder: Path) -> int:
    """For this user: of what is left, some is for root alone."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
