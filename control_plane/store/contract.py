"""What the rest of the program knows of a store, whichever it is; one test holds both against it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from control_plane.store.staged import Staged

Data = bytes
"""A field below is called `bytes`, so the type needs another name."""


class Found(msgspec.Struct, frozen=True):
    """A file that lies in the store."""

    key: str
    age_seconds: float
    """By the clock of the machine that holds the folder, which also stamped the file; by our own for an object."""
    temporary: bool
    """On its way in, or left behind on it: nothing that anybody relies on yet."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser is told that fetches a file by an address of the store's own."""

    mime_type: str
    disposition: str = "attachment"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Of the store's own, signed and short-lived; whoever holds it needs no other credential."""

    url: str
    headers: dict[str, str] = {}
    """To be sent along."""


class Opened(Protocol):
    """A file on its way out."""

    bytes: int
    local: int | None
    """The descriptor of the file, where it lies on this machine."""

    def read(self, start: int, end: int) -> AsyncIterator[Data]:
        """The bytes from `start` up to but not including `end`."""

    def close(self) -> None: ...


class Store(Protocol):
    """Raises `DiskLow` when the local disk is full, `Unavailable` when the object store does not answer."""

    where: str
    """For the operator; holds no secret."""

    def stage(self, key: str) -> AbstractAsyncContextManager[Staged]:
        """Room for a new file; whatever happens inside, nothing stays unless it was kept."""

    async def open(self, key: str) -> Opened | None:
        """The file, to be closed by the caller; None when it is not there."""

    async def delete(self, *keys: str) -> None:
        """Afterwards none of the files is there."""

    def files(self) -> AsyncIterator[Found]:
        """Everything here that has a name of our making, the temporary ones too."""

    async def delete_temporary(self, *keys: str) -> None:
        """What uploads that were cut down left behind."""

    async def address(self, key: str) -> Address | None:
        """Where to fetch this file without us, for `ADDRESS_SECONDS`; None when that is not possible here."""

    async def staging_address(self, key: str) -> Address | None:
        """Where to PUT a file without us, to be collected from under this staging key; None when it is not possible."""

    async def indirect(self) -> str | None:
        """Why nobody is sent to the store itself; None when customers and agents are. Tried anew."""
