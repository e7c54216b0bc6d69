"""`tessera up --lan`: https for the other machines of this network, by an authority of our own.

Programs on this machine go on to use http on loopback. What a running `tessera up --lan` has announced is known to the
other commands, which tell addresses and tokens for other machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from control_plane.cli import premises
from control_plane.cli.parsing import EX_CONFIG, CommandError

if TYPE_CHECKING:
    from control_plane.settings import Settings


def opened(chosen: Settings, address: str) -> Settings:
    """The settings with https for others; `address`: how they reach this machine, empty = as it looks from here."""
    import msgspec

    from control_plane import authority
    from control_plane.cli.listening import free_port

    known = authority.addresses()
    if chosen.public_url is not None and not chosen.public_url.startswith("https://"):
        raise CommandError(
            f"TESSERA_PUBLIC_URL is {chosen.public_url}, and --lan serves https. Take it away, or make it https://.",
            EX_CONFIG,
        )
    host = address or (urlsplit(chosen.public_url).hostname if chosen.public_url else "") or known[0]
    try:
        papers = authority.papers(chosen.data_dir, list(dict.fromkeys([host, *known])))
    except ValueError as error:
        raise CommandError(f"{host} is not an address that a certificate can be for.", EX_CONFIG) from error
    port = free_port(chosen.tls_host, chosen.tls_port)
    return msgspec.structs.replace(
        chosen,
        public_url=chosen.public_url or f"https://{f'[{host}]' if ':' in host else host}:{port}",
        tls_certificate=papers.certificate,
        tls_key=papers.key,
        tls_authority=papers.authority,
        tls_port=port,
    )


def announced(chosen: Settings) -> Settings:
    """The settings as the `tessera up --lan` that runs has made them; as they are when none does."""
    import msgspec

    from control_plane import authority

    if chosen.public_url is not None or (url := premises.shared_address(chosen.data_dir)) is None:
        return chosen
    folder = chosen.data_dir / authority.FOLDER
    return msgspec.structs.replace(
        chosen, public_url=url, tls_certificate=folder / authority.SERVICE, tls_authority=folder / authority.AUTHORITY
    )


def greeting(settings: Settings) -> list[str]:
    """What people are told about the other machines."""
    from control_plane import authority

    if settings.tls_certificate is None or settings.tls_authority is None:
        return []
    digest = authority.fingerprint(settings.tls_certificate.read_text()).upper()
    shown = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return [
        "",
        f"For other machines: {settings.base_url}",
        "Browsers warn there at first, because this service vouches for itself. It is this one if the SHA-256",
        "fingerprint of the certificate that they show is",
        f"  {shown}",
        f"To be warned no more, import {settings.base_url}/install/ca.pem there as an authority.",
        "A machine with a GPU joins by the line that `tessera worker enroll-token` prints.",
    ]
