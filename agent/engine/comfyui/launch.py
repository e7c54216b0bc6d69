"""How a ComfyUI is started that is ours alone: from a folder of the owner's, or from a container image by Podman.

It listens on this machine only, writes no order into its files, and keeps what it makes in a folder of this slot, so
that several of one installation never meet. What it inherits of our environment holds none of our settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.settings import Card

OURS = "TESSERA_"
PYTHONS = ("venv/bin/python", ".venv/bin/python", "python_embeded/python", "venv/Scripts/python.exe")
IMAGE_MODELS = "/opt/comfyui/models"
"""Where a container finds its models."""
IMAGE_PORT = 8188
IMAGE_USER = 10001
"""Who ComfyUI is inside; outside it is whoever runs the agent, whose folders it writes to."""
FOLDERS = ("output", "input", "temp", "user")
OPTIONAL = {"--database-url": "sqlite:///:memory:"}
"""Arguments that only newer versions know. Two processes must not share one file as their database."""


class LaunchError(Exception):
    """It cannot be started like this; the message says why and what to do."""


class Launch(msgspec.Struct, frozen=True):
    """A command that becomes a ComfyUI at `url`."""

    url: str
    command: list[str]
    environment: dict[str, str]
    end: list[str] = []
    """What ends more than killing the command's processes does."""


def launch(card: Card, slot: int, house: Path, port: int, environment: Mapping[str, str]) -> Launch:
    """`house`: an absolute folder of this slot's own. Raises `LaunchError`."""
    for name in FOLDERS:
        (house / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    if card.comfyui_image is not None:
        command, end = _container(card, slot, house, port)
    else:
        command, end = _installed(card, house, port), []
    return Launch(url, command, _environment(card, environment), end)


def _installed(card: Card, house: Path, port: int) -> list[str]:
    folder = card.comfyui_dir
    if folder is None or not (folder / "main.py").is_file():
        raise LaunchError(f"There is no ComfyUI in {folder}: it has no main.py. Set comfyui_dir to the right folder.")
    python = card.comfyui_python or next((path for name in PYTHONS if (path := folder / name).exists()), None)
    if python is None:
        raise LaunchError(f"{folder} has no venv of its own. Set comfyui_python to the Python that runs it.")
    known = _options(folder)
    optional = [word for name, value in OPTIONAL.items() if name in known for word in (name, value)]
    return [str(python), str(folder / "main.py"), *_arguments("127.0.0.1", port, house), *optional, *card.comfyui_args]


def _container(card: Card, slot: int, house: Path, port: int) -> tuple[list[str], list[str]]:
    """The folders have the same names inside, so that what ComfyUI says of its files is true here too."""
    name = f"tessera-comfyui-{os.getuid()}-{slot}"
    rootless = [f"--userns=keep-id:uid={IMAGE_USER},gid={IMAGE_USER}"] if os.getuid() else []
    models = [f"--volume={card.comfyui_models}:{IMAGE_MODELS}:ro"] if card.comfyui_models else []
    command = [
        *("podman", "run", "--rm", "--replace", f"--name={name}", "--log-driver=none"),
        *rootless,
        f"--device=nvidia.com/gpu={card.device or 'all'}",
        *("--userns=keep-id", "--cap-drop=all", "--security-opt=no-new-privileges", "--security-opt=label=disable"),
        f"--publish=127.0.0.1:{port}:{IMAGE_PORT}",
        f"--volume={house}:{house}",
        *models,
        str(card.comfyui_image),
        *_arguments("0.0.0.0", IMAGE_PORT, house),  # noqa: S104 -- inside; outside it is the published port
        *card.comfyui_args,
    ]
    return command, ["podman", "rm", "--force", "--ignore", "--time=1", name]


def _arguments(address: str, port: int, house: Path) -> list[str]:
    places = [word for name in FOLDERS for word in (f"--{name}-directory", str(house / name))]
    return ["--listen", address, "--port", str(port), "--disable-auto-launch", "--disable-metadata", *places]


def _options(folder: Path) -> set[str]:
    """What this version's command line knows."""
    try:
        return set(re.findall(r'"(--[a-z0-9-]+)"', (folder / "comfy" / "cli_args.py").read_text()))
    except (OSError, UnicodeDecodeError):
        return set()


def _environment(card: Card, environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if not name.startswith(OURS)}
    kept["PYTHONUNBUFFERED"] = "1"
    if card.device is not None and card.comfyui_image is None:
        kept |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": card.device}
        kept |= {"HIP_VISIBLE_DEVICES": card.device} if card.device.isdigit() else {}
    return kept
