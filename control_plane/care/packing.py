"""A zip archive that is written while it is read: nothing of it is ever held but what was not fetched yet.

Pictures are stored as they are, since they are compressed already; text is deflated. Sizes and checksums follow each
file, as the format allows for archives that cannot be rewound, so every common program opens it. What stays in memory
is the list of names at its end, about a kilobyte for each file.
"""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import IO

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


class Packing:
    """An archive on its way: what was written is taken out with `taken`."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w")

    def taken(self) -> bytes:
        """What was written since the last time."""
        return self._sink.taken()

    async def stored(self, name: str, at: datetime, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Writes a file as it comes; yields the archive so far, piece by piece."""
        with self._opened(name, at, STORED) as file:
            async for chunk in chunks:
                file.write(chunk)
                yield self.taken()
        yield self.taken()

    async def lines(self, name: str, at: datetime, pages: AsyncIterator[Iterable[str]]) -> AsyncIterator[bytes]:
        """Writes a JSON array whose members come in pages; likewise."""
        between = "[\n"
        with self._opened(name, at, DEFLATED) as file:
            async for page in pages:
                for line in page:
                    file.write(f"{between}{line}".encode())
                    between = ",\n"
                yield self.taken()
            file.write(b"\n]\n" if between != "[\n" else b"[]\n")
        yield self.taken()

    def text(self, name: str, at: datetime, text: str) -> bytes:
        """Writes a small file; the archive since the last time."""
        with self._opened(name, at, DEFLATED) as file:
            file.write(text.encode())
        return self.taken()

    def finished(self) -> bytes:
        """The end of the archive."""
        self._zip.close()
        return self.taken()

    def _opened(self, name: str, at: datetime, how: int) -> IO[bytes]:
        info = zipfile.ZipInfo(name, at.timetuple()[:6])
        info.compress_type = how
        info.external_attr = 0o600 << 16
        opened: IO[bytes] = self._zip.open(info, "w", force_zip64=how == STORED)
        return opened


class _Sink:
    """What `zipfile` takes for a pipe: it can be written, and neither told where it is nor rewound."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Everything is there at once."""

    def close(self) -> None:
        """There is nothing to be closed."""

    def taken(self) -> bytes:
        data, self._written = bytes(self._written), bytearray()
        return data
