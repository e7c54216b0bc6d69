"""Cookies of browsers: where they may be used, under which name, and that a request is of our own pages.

Over HTTPS a cookie is called `__Host-…`, which browsers bind to this host, to HTTPS and to all of its paths (RFC
6265bis, 4.1.3). Over plain HTTP it is used between machines of one household only (`localhost`, private addresses,
names that the Internet does not know); anywhere else it is neither given nor taken. HTTPS ends at a proxy in front of
us, so what is ours there is what `TESSERA_PUBLIC_URL` says. A cookie comes along whoever made the browser ask, so what
changes something also needs a header that no form and no foreign page can send, and has to come from a page of ours by
`Origin` or `Sec-Fetch-Site`.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from litestar.types import Scope

from control_plane.api.senders import client_address, header, is_forwarded, peer, within
from control_plane.errors import Forbidden
from control_plane.people.sessions import SESSION_SECONDS
from control_plane.settings import Settings

SESSION, BROWSER, NEWCOMER = "tessera", "tessera-browser", "tessera-newcomer"
"""The cookie of a session, that by which a browser is known on its way to a provider, and that of somebody new who
needs an invite."""
SECURE_PREFIX = "__Host-"
OWN_HEADER = b"tessera-csrf"
SAFE = frozenset({"GET", "HEAD"})
COOKIES_LENGTH_MAX = 8_192
HOST_LENGTH_MAX = 255

HOUSEHOLD: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Loopback (RFC 1122), private (RFC 1918, RFC 4193) and link-local (RFC 3927, RFC 4291)."""

_HOUSEHOLD_NAME = re.compile(r"[a-z0-9_-]+|(?:[a-z0-9_-]+\.)+(?:localhost|local|lan|internal|home\.arpa)")
"""Names that only a household knows: single words, RFC 6761, RFC 6762, RFC 8375, and what routers call themselves."""

Headers = list[tuple[bytes, bytes]]


class Door(NamedTuple):
    """By which address a browser has come to us."""

    origin: str
    """As a browser writes it: `https://tessera.example`."""
    secure: bool

    def name(self, cookie: str) -> str:
        return f"{SECURE_PREFIX}{cookie}" if self.secure else cookie


def door(scope: Scope, settings: Settings) -> Door:
    """How this request came in. Raises `Forbidden` where cookies would not be safe."""
    host = (header(scope, b"host") or b"").decode("latin-1").lower()
    public = urlsplit(settings.public_url or "")
    name = public.netloc.lower().removesuffix(":443")
    if public.scheme == "https" and (host.removesuffix(":443") == name or is_forwarded(scope)):
        return Door(f"https://{name}", secure=True)
    if scope.get("scheme") == "https" and _is_near(scope, settings) and _of_household(host):
        return Door(f"https://{host}", secure=True)  # by another of the names that our own certificate has
    if _is_near(scope, settings) and _of_household(host):
        return Door(f"http://{host}", secure=False)
    raise Forbidden(
        "Signing in needs HTTPS, except within a household. Put a proxy with a certificate in front and set"
        " TESSERA_PUBLIC_URL to its https:// address."
    )


def session(scope: Scope, settings: Settings) -> str | None:
    """What the session's cookie holds, if there is one; for a change, only to a page of ours. Raises `Forbidden`."""
    if f"{SESSION}=".encode() not in (header(scope, b"cookie") or b""):
        return None
    entered = door(scope, settings)
    found = value(scope, entered, SESSION)
    if found is not None and scope["method"] not in SAFE:  # type: ignore[typeddict-item]  # HTTP only
        check_own(scope, entered)
    return found


def value(scope: Scope, entered: Door, cookie: str) -> str | None:
    """What a cookie holds; None when it is not there, or there more than once."""
    wanted = entered.name(cookie)
    line = "; ".join(text.decode("latin-1") for name, text in scope["headers"] if name == b"cookie")
    if len(line) > COOKIES_LENGTH_MAX:
        return None
    pairs = (part.strip().partition("=") for part in line.split(";"))
    found = [text for name, _, text in pairs if name == wanted]
    return found[0] if len(found) == 1 else None


def check_own(scope: Scope, entered: Door) -> None:
    """That the request was made by a script of ours. Raises `Forbidden`."""
    if header(scope, OWN_HEADER) is None:
        raise Forbidden("A request with a cookie that changes something needs the header `Tessera-CSRF: 1`.")
    check_origin(scope, entered)


def check_origin(scope: Scope, entered: Door) -> None:
    """That the request was made by a page of ours. Raises `Forbidden`."""
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    is_ours = origin == entered.origin.encode("latin-1")
    is_hidden = origin in (None, b"null")  # as a form of a page that gives no referrer sends it
    if not (is_ours or (is_hidden and site == b"same-origin")) or site not in (None, b"same-origin"):
        raise Forbidden("This request comes from a page of another web site.")


def check_followed(scope: Scope) -> None:
    """That no page of another web site sent the browser here, as far as it says (it does over HTTPS and on loopback).
    Raises `Forbidden`."""
    if header(scope, b"sec-fetch-site") not in (None, b"same-origin", b"none"):
        raise Forbidden("Another web site has sent you here. Go to your account and begin there.")


def given(entered: Door, cookie: str, text: str, seconds: float = SESSION_SECONDS) -> tuple[bytes, bytes]:
    """The header that gives a browser a cookie."""
    secure = "; Secure" if entered.secure else ""
    line = f"{entered.name(cookie)}={text}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Lax{secure}"
    return b"set-cookie", line.encode("latin-1")


def taken(entered: Door, cookie: str) -> tuple[bytes, bytes]:
    """The header that takes a cookie away."""
    return given(entered, cookie, "", 0)


def _is_near(scope: Scope, settings: Settings) -> bool:
    """Whether the sender is in the household; whoever speaks for others has to be trusted to say for whom."""
    near, trusted = peer(scope), list(settings.trusted_proxies)
    if near is None or (is_forwarded(scope) and not within(near, trusted)):
        return False
    sender = client_address(scope, trusted)
    return sender is not None and within(sender, HOUSEHOLD)


def _of_household(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        valid = len(host) <= HOST_LENGTH_MAX and urlsplit(f"//{host}").port != 0
    except ValueError:
        return False
    if not valid or "@" in host or "/" in host:
        return False
    return _is_private(name) or _HOUSEHOLD_NAME.fullmatch(name) is not None


def _is_private(name: str) -> bool:
    try:
        address = ip_network(name)
    except ValueError:
        return False
    return within(address.network_address, HOUSEHOLD)
