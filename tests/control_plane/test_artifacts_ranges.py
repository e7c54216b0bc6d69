from __future__ import annotations

import pytest

from control_plane.api.artifacts import byte_range
from control_plane.errors import RangeNotSatisfiable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        (b"bytes=0-0", (0, 1)),
        (b"bytes=0-99", (0, 100)),
        (b"bytes=0-100000", (0, 100)),
        (b"bytes=10-", (10, 100)),
        (b"bytes=-10", (90, 100)),
        (b"bytes=-1000", (0, 100)),
        (b"BYTES=5-6", (5, 7)),
        (b"bytes=99-99", (99, 100)),
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=0-1,3-4", None),
        (b"lines=0-1", None),
        (b"bytes=a-b", None),
        (b"bytes=" + b"9" * 40 + b"-", None),
        ("bytes=٣-".encode(), None),
    ],
)
def test_a_single_range_is_served_and_anything_else_is_the_whole_file(
    header: bytes | None, expected: tuple[int, int] | None
) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize("header", [b"bytes=100-", b"bytes=100-200", b"bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(header: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable):
        byte_range(header, 100)
