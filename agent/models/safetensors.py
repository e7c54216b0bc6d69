"""Is this file one of tensors and nothing else? Read off its header, which says what every byte behind it is.

A safetensors file is eight bytes (the length of the header, little-endian), the header (JSON), and tensors without a
gap from there to the end. Everything else that people share as a model (pickles in .ckpt and .pt) can run code when
it is loaded. The bounds are those of the format's own reader.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

LENGTH_BYTES = 8
HEADER_BYTES_MAX = 100_000_000
METADATA = "__metadata__"
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Of one number. Of kinds that came later only the place is checked, not the size."""

Size = Annotated[int, Meta(ge=0, le=2**62)]


class NotSafetensors(Exception):
    """The message says what is wrong with it."""


class Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: list[Size]
    data_offsets: tuple[Size, Size]


def header_bytes(start: bytes, total: int) -> int:
    """The length of the header of a file of `total` bytes, from its first eight."""
    if len(start) < LENGTH_BYTES:
        raise NotSafetensors(f"it has only {total} bytes")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if not 2 <= length <= min(HEADER_BYTES_MAX, total - LENGTH_BYTES):
        raise NotSafetensors("it does not begin with the length of a header")
    return length


def check(header: bytes, total: int) -> None:
    """Every byte of a file of `total` bytes must belong to exactly one tensor of this header."""
    if not header.startswith(b"{"):
        raise NotSafetensors("its header is no JSON object")
    tensors = _tensors(header)
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        start, stop = tensor.data_offsets
        bits = BITS.get(tensor.dtype)
        if start != end or stop < start:
            raise NotSafetensors(f"the tensor {name[:80]!r} does not follow the one before it")
        if bits is not None and prod(tensor.shape) * bits != (stop - start) * 8:
            raise NotSafetensors(f"the tensor {name[:80]!r} has another size than its shape")
        end = stop
    if not tensors or LENGTH_BYTES + len(header) + end != total:
        raise NotSafetensors("its tensors do not fill it to its end")


def check_file(path: Path) -> None:
    """Raises `NotSafetensors` or `OSError`."""
    total = path.stat().st_size
    with path.open("rb") as file:
        check(file.read(header_bytes(file.read(LENGTH_BYTES), total)), total)


def _tensors(header: bytes) -> dict[str, Tensor]:
    try:
        parts = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        if METADATA in parts:
            msgspec.json.decode(parts.pop(METADATA), type=dict[str, str])
        return {name: msgspec.json.decode(raw, type=Tensor) for name, raw in parts.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotSafetensors(f"its header does not describe tensors ({error})") from error
