"""Whether a store works: a small file is written, read, looked for and deleted, as an artifact would be.

What is wrong is told to the operator, with what to do; the answers of a bucket are repeated as far as they hold no
address, because they name the missing permission or the misspelt bucket.
"""

from __future__ import annotations

import asyncio
import re

import msgspec

from control_plane.errors import TesseraError
from control_plane.store.contract import Store
from control_plane.store.keys import new_check_key

CHECK_SECONDS = 60.0
CONTENT = b"Tessera looks whether it can keep files here."
CODE = re.compile(r"<Code>(\w{1,100})</Code>")
STATUS = re.compile(r"\b(\d{3} [A-Z][A-Za-z ]{1,100})(?=[:.,])")


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """`fault`: why files cannot be kept. `indirect`: why customers and agents are not sent to the store itself."""

    where: str
    fault: str | None = None
    indirect: str | None = None


async def examine(store: Store) -> Checkup:
    """Never raises; leaves nothing behind."""
    doing = "write to"
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            key = new_check_key()
            async with store.stage(key) as staged:
                await staged.write(CONTENT)
                await staged.keep()
            doing = "read from"
            if await _content(store, key) != CONTENT:
                return Checkup(where=store.where, fault=f"What was written to {store.where} is not there afterwards.")
            doing = "delete from"
            await store.delete(key)
            return Checkup(where=store.where, indirect=await store.indirect())
    except (TesseraError, OSError, TimeoutError) as error:
        return Checkup(where=store.where, fault=f"Tessera cannot {doing} {store.where}: {_why(error)}")


async def _content(store: Store, key: str) -> bytes:
    opened = await store.open(key)
    if opened is None:
        return b""
    try:
        return b"".join([data async for data in opened.read(0, opened.bytes)])
    finally:
        opened.close()


def _why(error: Exception) -> str:
    """The cause in a few words: of a file the system's, of a bucket the code that it answered with."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}."
    cause = error.__cause__ or error
    found = CODE.search(str(cause)) or STATUS.search(str(cause))
    said = f"it says {found[1]}" if found is not None else f"it does not answer ({type(cause).__name__})"
    return f"{said}. Look at its name, its endpoint and the credentials in the environment (AWS_ACCESS_KEY_ID …)."
