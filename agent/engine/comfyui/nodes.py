"""What the nodes of a ComfyUI take and give, out of its /object_info, which has two spellings for a list of choices.

"ckpt_name": [["a.safetensors", "b.safetensors"], {…}]          the old one
"codec": ["COMBO", {"options": ["auto", "h264"], …}]            the new one
"""

from __future__ import annotations

from typing import Any

import msgspec


class Input(msgspec.Struct, frozen=True):
    type: str
    """`INT`, `FLOAT`, `STRING`, `BOOLEAN`, `COMBO`, or what must be linked: `MODEL`, `LATENT` …"""
    required: bool
    choices: list[Any] | None = None
    least: float | None = None
    most: float | None = None
    upload: bool = False
    """Choices are uploads, which come and go."""


class NodeClass(msgspec.Struct, frozen=True):
    inputs: dict[str, Input]
    outputs: list[str]
    saves: bool
    """Something comes out of ComfyUI here."""


NodeClasses = dict[str, NodeClass]


def node_classes(object_info: dict[str, Any]) -> NodeClasses:
    """Of the answer of /object_info; classes that tell their inputs in a way of their own are left out."""
    classes: NodeClasses = {}
    for name, told in object_info.items():
        try:
            classes[name] = _node_class(told)
        except (AttributeError, IndexError, KeyError, TypeError):
            continue
    return classes


def _node_class(told: dict[str, Any]) -> NodeClass:
    inputs = {
        key: _input(spec, group == "required")
        for group in ("required", "optional")
        for key, spec in told["input"].get(group, {}).items()
    }
    outputs = [kind if isinstance(kind, str) else "COMBO" for kind in told.get("output") or []]
    return NodeClass(inputs, outputs, bool(told.get("output_node")))


def _input(spec: list[Any], required: bool) -> Input:
    kind = spec[0]
    more = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    choices = kind if isinstance(kind, list) else more.get("options")
    return Input(
        type=kind if isinstance(kind, str) else "COMBO",
        required=required,
        choices=choices if isinstance(choices, list) else None,
        least=more.get("min"),
        most=more.get("max"),
        upload=bool(more.get("image_upload")),
    )
