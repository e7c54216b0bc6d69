"""Whether the libraries of the platforms are those that the bots are made for; said before one of them is imported.

kurigram is imported as `pyrogram` and lies in the same folder as the library of that name, which it continues: with
both installed nobody knows which files are whose. Without `tgcrypto` it would work three hundred times more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from frontends.bots.limits import PlatformName

INSTALL = "pip install 'tessera[bots]'"

Version = Callable[[str], str | None]
Importable = Callable[[str], bool]


def installed(distribution: str) -> str | None:
    """Its version; None when it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def importable(module: str) -> bool:
    return find_spec(module) is not None


def faults(
    platforms: Collection[PlatformName], installed: Version = installed, importable: Importable = importable
) -> Iterator[str]:
    """What is wrong for these platforms, each with what to do; nothing when all is well."""
    if "telegram" in platforms:
        yield from _of_telegram(installed, importable)
    if "discord" in platforms and installed("hikari") is None:
        yield f"hikari, the library for Discord, is not installed. Run: {INSTALL}"


def _of_telegram(installed: Version, importable: Importable) -> Iterator[str]:
    if installed("kurigram") is None:
        yield f"kurigram, the library for Telegram, is not installed. Run: {INSTALL}"
    if installed("pyrogram") is not None:
        yield (
            "pyrogram is installed beside kurigram, which continues it under the same name: they overwrite each"
            " other's files. Run: pip uninstall --yes pyrogram kurigram && " + INSTALL
        )
    if not importable("tgcrypto"):
        yield (
            "tgcrypto is not installed; without it files go to Telegram three hundred times more slowly."
            " Run: pip install TgCrypto-pyrofork"
        )
