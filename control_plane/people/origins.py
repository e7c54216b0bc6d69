"""Web sites as browsers name them (RFC 6454, 6.2): `https://app.example`, and http for this machine alone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from control_plane.errors import Invalid

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:]+\]")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"https": 443, "http": 80}


def checked(wanted: list[str] | None) -> list[str] | None:
    """These, once each and in order. Raises `Invalid`."""
    for n, text in enumerate(wanted or ()):
        if not is_origin(text):
            sentence = (
                f"{text!r} is no web site that a key can list: write https://host or https://host:port in lower case,"
                " without a path; http is for localhost only."
            )
            raise Invalid.at(f"/origins/{n}", sentence, "bad_format")
    return sorted(set(wanted)) if wanted else None


def is_origin(text: str) -> bool:
    """Whether this is what a browser sends as `Origin` of a site that a key can list."""
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return False
    written = f"[{host}]" if ":" in host else host
    same = f"{parts.scheme}://{written}" + (f":{port}" if port is not None else "")
    usable = parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL)
    return usable and text == same and bool(_HOST.fullmatch(written)) and port != _PORTS[parts.scheme]
