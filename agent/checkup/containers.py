"""Podman, and whether a container gets to see the GPU (CDI): only for those who let ComfyUI run in one."""

from __future__ import annotations

import re
from pathlib import Path

from agent import program
from agent.checkup import Check
from agent.settings import Settings

PODMAN_MIN = (4, 1)
"""The first that knows CDI devices by --device (its release notes)."""
CDI_FOLDERS = ("etc/cdi", "var/run/cdi")
GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")


async def checks(settings: Settings, root: Path = Path("/")) -> list[Check]:
    """Without a container in the settings, what is missing is only noted where Podman is."""
    images = sorted({card.comfyui_image for card in settings.cards if card.comfyui_image is not None})
    try:
        answer = await program.ask("podman", "--version")
    except program.Missing as error:
        if not images:
            return []
        cure = "Install it: sudo apt install podman"
        return [Check(name="podman", result="bad", found=str(error), cure=cure)]
    podman = _podman(answer)
    found = [podman, await _cdi(root, needed=bool(images))]
    if podman.result == "ok":
        found += [await _image(image) for image in images]
    return found


def _podman(answer: program.Answer) -> Check:
    version = _VERSION.search(answer.first_line)
    if not answer.well or version is None:
        return Check(name="podman", result="bad", found=answer.first_line or "no answer", cure="See `podman info`.")
    if (int(version[1]), int(version[2])) < PODMAN_MIN:
        cure = f"GPUs by CDI need Podman {PODMAN_MIN[0]}.{PODMAN_MIN[1]} or newer."
        return Check(name="podman", result="bad", found=version[0], cure=cure)
    return Check(name="podman", result="ok", found=version[0])


async def _cdi(root: Path, *, needed: bool) -> Check:
    """By the toolkit's own list, else by the files that Podman would read."""
    missing = "bad" if needed else "note"
    try:
        answer = await program.ask("nvidia-ctk", "cdi", "list")
    except program.Missing:
        files = [path for folder in CDI_FOLDERS for path in sorted((root / folder).glob("*")) if _is_nvidia(path)]
        if files:
            return Check(name="cdi", result="ok", found=f"/{files[0].relative_to(root)}")
        cure = f"Install nvidia-container-toolkit, then: {GENERATE}"
        return Check(name="cdi", result=missing, found="containers see no GPU", cure=cure)  # type: ignore[arg-type]
    devices = sorted(word for word in answer.said.split() if word.startswith("nvidia.com/gpu="))
    if answer.well and devices:
        return Check(name="cdi", result="ok", found=", ".join(devices[:8]))
    cure = f"{GENERATE} (again after every update of the driver)"
    return Check(name="cdi", result=missing, found="no nvidia.com/gpu device", cure=cure)  # type: ignore[arg-type]


async def _image(image: str) -> Check:
    try:
        here = (await program.ask("podman", "image", "exists", image)).well
    except program.Missing as error:
        return Check(name="image", result="bad", found=str(error), cure="See `podman info`.")
    if here:
        return Check(name="image", result="ok", found=image)
    cure = "Build it: see ops/containers/README.md"
    return Check(name="image", result="bad", found=f"{image} is not on this machine", cure=cure)


def _is_nvidia(path: Path) -> bool:
    try:
        return path.suffix in {".yaml", ".json"} and "nvidia.com/gpu" in path.read_text(errors="replace")
    except OSError:
        return False
