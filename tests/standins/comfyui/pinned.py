"""The nodes of a pinned ComfyUI (0.3.64), as its /object_info told them, cut down to what workflows may use.

The choices of model files are empty there; `object_info` fills in those that a ComfyUI at hand would have.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from control_plane.wire.nodes import MODEL_FILES
from control_plane.wire.workflow import SHIPPED, load

PINNED_VERSION = "0.3.64"
PINNED = Path(__file__).with_name("object_info.json")


@cache
def _pinned() -> dict[str, Any]:
    pinned: dict[str, Any] = msgspec.json.decode(PINNED.read_bytes())
    return pinned


def object_info(models: dict[str, list[str]], uploads: list[str] | None = None) -> dict[str, Any]:
    """What /object_info answers where these model files lie in these folders."""
    told = copy.deepcopy(_pinned())
    for name, inputs in MODEL_FILES.items():
        for key, folder in inputs.items():
            spec = told[name]["input"]["required"][key]
            names = sorted(models.get(folder, []))
            if isinstance(spec[0], list):
                spec[0] = names
            else:
                spec[1]["options"] = names
    told["LoadImage"]["input"]["required"]["image"][0] = sorted(uploads or [])
    return told


def every_model() -> dict[str, list[str]]:
    """The folders of a worker that has every file of every shipped workflow."""
    models: dict[str, list[str]] = {}
    for workflow in load(SHIPPED):
        for file in workflow.manifest.files:
            models.setdefault(file.folder, [])
            if file.name not in models[file.folder]:
                models[file.folder].append(file.name)
    return models
