"""Whose fault a failure is, and what follows: the table of what the genuine server was seen to say.

Messages go to customers, so they hold neither ComfyUI's own words, which quote prompts and local paths, nor a
traceback. What an operator needs is the class of the exception and of the node.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from agent.engine.comfyui.server import Entry, Refused
from control_plane.wire.nodes import MODEL_FILES
from control_plane.wire.worker import FailCause

Remedy = Literal["none", "free", "restart", "distrust"]
"""What this worker does about it: nothing, unload all models and try once more, have no faith in ComfyUI until it
was restarted, offer no more what needs this model file."""

_MEMORY = re.compile(r"out of memory|can't allocate memory|allocation on device", re.IGNORECASE)
_DEVICE = re.compile(r"CUDA error|HIP error|device-side assert|cuDNN error|CUBLAS_STATUS", re.IGNORECASE)
_MODEL = re.compile(r"Could not detect model type|invalid load key|safetensors|Error while deserializing header")
_DISK = re.compile(r"\[Errno 28\]|No space left on device")
_PICTURE = re.compile(r"cannot identify image file|image file is truncated|DecompressionBomb", re.IGNORECASE)
_ELSEWHERE = frozenset({"ConnectionError", "ConnectionResetError", "FileNotFoundError", "OSError", "PermissionError"})


class Failure(msgspec.Struct, frozen=True):
    cause: FailCause
    message: str
    remedy: Remedy = "none"
    node: str = ""
    """Where it happened."""


def of_run(entry: Entry) -> Failure:
    """A run that the history calls an error and that was not interrupted."""
    told = entry.last[1]
    kind = str(told.get("exception_type", ""))
    said = str(told.get("exception_message", ""))
    node, node_type = str(told.get("node_id", "")), str(told.get("node_type", "a node"))
    short = kind.rpartition(".")[2] or "an error"
    if short in ("OutOfMemoryError", "MemoryError") or _MEMORY.search(said):
        return Failure("oom", "The GPU of this worker has too little memory for this order.", "free", node)
    if short == "AcceleratorError" or _DEVICE.search(said):
        return Failure("engine_crash", f"The GPU of this worker failed ({short} in {node_type}).", "restart", node)
    if short == "SafetensorError" or (node_type in MODEL_FILES and _MODEL.search(said)):
        return Failure("missing_model", "A model file of this worker is broken.", "distrust", node)
    if _DISK.search(said):
        return Failure("engine_crash", "The disk of this worker is full.", "none", node)
    if _PICTURE.search(said):
        return Failure("invalid_input", "The input image cannot be read. Send a PNG, JPEG or WebP.", "none", node)
    if short in _ELSEWHERE:
        return Failure(
            "engine_crash", f"Something this worker needs was not there ({short} in {node_type}).", "none", node
        )
    return Failure("invalid_input", f"The workflow cannot do this ({short} in {node_type}).", "none", node)


def of_refusal(refused: Refused) -> Failure:
    """A graph that ComfyUI did not take."""
    kinds = {str(error.get("type")) for error in _errors(refused.errors)}
    if refused.kind == "invalid_prompt" and "does not exist" in refused.message:
        return Failure("missing_model", "The ComfyUI of this worker lacks a node that the workflow needs.")
    if kinds == {"value_not_in_list"} and all(_names_a_file(told) for told in refused.errors.values()):
        return Failure("missing_model", "This worker lacks a model file that the workflow needs.")
    if "custom_validation_failed" in kinds:
        return Failure("invalid_input", "The input image cannot be used.")
    return Failure("invalid_input", "The workflow cannot do this: ComfyUI refused the order.")


def _errors(node_errors: dict[str, Any]) -> list[dict[str, Any]]:
    return [error for told in node_errors.values() for error in told.get("errors", [])]


def _names_a_file(told: dict[str, Any]) -> bool:
    inputs = MODEL_FILES.get(str(told.get("class_type")), {})
    return all(error.get("extra_info", {}).get("input_name") in inputs for error in told.get("errors", []))
