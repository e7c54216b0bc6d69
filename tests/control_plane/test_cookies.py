"""Where cookies may be used: over HTTPS, which is what the settings say, and by plain HTTP within a household."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.api.cookies import Door, door
from control_plane.errors import Forbidden
from control_plane.settings import load

PROXY = {"TESSERA_TRUSTED_PROXIES": "10.0.0.1"}
PUBLIC = {"TESSERA_PUBLIC_URL": "https://tessera.example"}
PLACES: list[tuple[str, str, dict[str, str], dict[str, str], Door | None]] = [
    ("127.0.0.1:8000", "127.0.0.1", {}, {}, Door("http://127.0.0.1:8000", False)),
    ("[::1]:8000", "::1", {}, {}, Door("http://[::1]:8000", False)),
    ("LOCALHOST:8000", "127.0.0.1", {}, {}, Door("http://localhost:8000", False)),
    ("den:8000", "192.168.1.7", {}, {}, Door("http://den:8000", False)),
    ("den.local", "fe80::1", {}, {}, Door("http://den.local", False)),
    ("192.168.1.5:8000", "192.168.1.7", {}, PUBLIC, Door("http://192.168.1.5:8000", False)),
    ("192.168.1.5:8000", "203.0.113.9", {}, {}, None),  # a stranger may write any Host
    ("203.0.113.5", "127.0.0.1", {}, {}, None),
    ("tessera.example", "127.0.0.1", {}, {}, None),
    ("tessera.example", "127.0.0.1", {}, PUBLIC, Door("https://tessera.example", True)),
    (
        "tessera.example",
        "127.0.0.1",
        {},
        {"TESSERA_PUBLIC_URL": "https://Tessera.example:443/"},
        Door("https://tessera.example", True),
    ),
    ("127.0.0.1:8000", "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, PUBLIC, Door("https://tessera.example", True)),
    ("127.0.0.1:8000", "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, {}, None),  # HTTPS that nobody told us of
    (
        "den",
        "10.0.0.1",
        {"x-forwarded-for": "10.0.0.7"},
        PROXY,
        Door("http://den", False),
    ),
    ("den", "10.0.0.1", {"x-forwarded-for": "203.0.113.9"}, PROXY, None),
    ("evil@127.0.0.1", "127.0.0.1", {}, {}, None),
    ("127.0.0.1:x", "127.0.0.1", {}, {}, None),
    ("127.0.0.1.evil.example", "127.0.0.1", {}, {}, None),
    ("", "127.0.0.1", {}, {}, None),
]


@pytest.mark.parametrize(
    ("host", "peer", "expected"),
    [
        ("den.local:8443", "192.168.1.7", Door("https://den.local:8443", True)),
        ("192.168.1.5:8443", "192.168.1.7", Door("https://192.168.1.5:8443", True)),
        ("tessera.example:8443", "192.168.1.7", None),
        ("192.168.1.5:8443", "203.0.113.9", None),
    ],
)
def test_https_that_ends_here_is_safe_by_every_name_of_a_household(host: str, peer: str, expected: Door | None) -> None:
    scope: Any = {"client": (peer, 1), "headers": [(b"host", host.encode())], "method": "GET", "scheme": "https"}
    if expected is None:
        with pytest.raises(Forbidden):
            door(scope, load({}))
    else:
        assert door(scope, load({})) == expected


@pytest.mark.parametrize(("host", "peer", "headers", "environ", "expected"), PLACES)
def test_cookies_are_used_over_https_and_in_a_household_only(
    host: str, peer: str, headers: dict[str, str], environ: dict[str, str], expected: Door | None
) -> None:
    sent = [(name.encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    scope: Any = {"client": (peer, 1), "headers": sent, "method": "GET"}
    settings = load(environ)
    if expected is None:
        with pytest.raises(Forbidden):
            door(scope, settings)
    else:
        assert door(scope, settings) == expected
