"""What engines say of themselves in the provenance of a file."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

UNKNOWN = "unknown"


def installed(*distributions: str) -> dict[str, str]:
    """The versions of these distributions, those that are here."""
    found = {name: installed_version(name) for name in distributions}
    return {name: text for name, text in found.items() if text != UNKNOWN}


def installed_version(distribution: str = "tessera") -> str:
    """The version of a distribution; by default our own."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return UNKNOWN
