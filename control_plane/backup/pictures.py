"""Pictures on their way to the place of the backups and back: once each by their contents, checked on both ways.

A picture never changes, so what is there already is not sent again. One that was deleted since the snapshot is no
fault, but told; one whose contents are not what its row says is told as damaged, and the backup counts as failed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

import msgspec

from control_plane.backup import BackupError, names
from control_plane.backup.archive import Picture
from control_plane.backup.places import Place
from control_plane.backup.sealing import Opener, Seal
from control_plane.store import Opened, Store
from control_plane.store.contract import Label
from control_plane.store.staged import in_thread

TRIED = 3
"""Pictures that a proof reads back whole."""


class Copied(msgspec.Struct):
    """What became of the pictures of one run."""

    new: int = 0
    missing: list[str] = []
    damaged: list[str] = []


async def copy(store: Store, place: Place, seal: Seal, wanted: Iterable[Picture], spool: Path) -> Copied:
    """Bring what is not there yet."""
    copied, there = Copied(missing=[], damaged=[]), set(await place.names(names.PICTURES))
    for picture in wanted:
        name = names.picture(picture.sha256, sealed=seal.closed)
        if name in there:
            continue
        opened = await store.open(picture.key)
        if opened is None:
            copied.missing.append(picture.key)
            continue
        if await _fetch(opened, spool / "picture") != picture.sha256:
            copied.damaged.append(picture.key)
            continue
        await in_thread(seal.close, spool / "picture", spool / "sealed")
        await place.put(name, spool / "sealed")
        there.add(name)
        copied.new += 1
    return copied


async def prove(place: Place, seal: Seal, wanted: list[Picture], copied: Copied, spool: Path) -> list[str]:
    """What is wrong with the pictures as they lie there: every name is looked for, and a few are read back.

    Those of earlier runs are closed to keys that this one does not have, so they are read only when nothing is closed.
    """
    there = set(await place.names(names.PICTURES))
    gone = set(copied.missing) | set(copied.damaged)
    hashes = {picture.sha256 for picture in wanted if picture.key not in gone}
    absent = [sha256 for sha256 in hashes if names.picture(sha256, sealed=seal.closed) not in there]
    wrong = [f"{len(absent)} pictures are not in their place"] if absent else []
    if not seal.closed and hashes and not absent:
        for sha256 in random.sample(sorted(hashes), min(TRIED, len(hashes))):
            await place.get(names.picture(sha256, sealed=False), spool / "picture")
            if await in_thread(_sha256, spool / "picture") != sha256:
                wrong.append(f"the picture {sha256} is damaged where it lies")
    return wrong


async def bring_back(
    store: Store, place: Place, opener: Opener, wanted: list[Picture], spool: Path
) -> tuple[int, list[str]]:
    """Put every picture under its key that is not there yet: how many, and the keys of those that could not be had."""
    there, brought = set(await place.names(names.PICTURES)), 0
    missing: list[str] = []
    for picture in wanted:
        if (opened := await store.open(picture.key)) is not None:
            opened.close()
            continue
        name = next((name for name in _names(picture) if name in there), None)
        if name is None or not await _bring(store, place, opener, picture, name, spool):
            missing.append(picture.key)
            continue
        brought += 1
    return brought, missing


async def _bring(store: Store, place: Place, opener: Opener, picture: Picture, name: str, spool: Path) -> bool:
    await place.get(name, spool / "sealed")
    try:
        await in_thread(lambda: opener.open(spool / "sealed", spool / "picture", closed=names.is_sealed(name)))
    except BackupError:
        return False
    if await in_thread(_sha256, spool / "picture") != picture.sha256:
        return False
    async with store.stage(picture.key) as staged:
        await staged.write(await in_thread((spool / "picture").read_bytes))
        await staged.keep(Label(mime_type=picture.mime_type))
    return True


def _names(picture: Picture) -> tuple[str, str]:
    return names.picture(picture.sha256, sealed=True), names.picture(picture.sha256, sealed=False)


async def _fetch(opened: Opened, target: Path) -> str:
    """Hashed on the way."""
    digest = hashlib.sha256()
    try:
        with target.open("wb") as out:
            async for part in opened.read(0, opened.bytes):
                digest.update(part)
                await in_thread(out.write, part)
    finally:
        opened.close()
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
