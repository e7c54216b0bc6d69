"""What kinds of values a setting may have: how each is written, read, and told to whoever got it wrong."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from msgspec.inspect import FloatType, IntType, LiteralType, type_info

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Bytes = Annotated[int, Meta(ge=0, le=2**50)]
AbsoluteUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s]+[^\s]*\Z", max_length=500)]
StoreUrl = Annotated[str, Meta(pattern=r"^(file|s3|gs|az)://[^\s@]+\Z", max_length=1_000)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
Recipients = Annotated[str, Meta(pattern=r"^(none|age1[0-9a-z]+(\s*,\s*age1[0-9a-z]+)*)\Z", max_length=2_000)]
ClientWord = Annotated[str, Meta(pattern=r"^[\x21-\x7e]+\Z", max_length=500)]
"""An id or a secret that a provider has given out."""
BotToken = Annotated[str, Meta(pattern=r"^[0-9]{1,20}:[A-Za-z0-9_-]{10,200}\Z")]
NotifyUrls = Annotated[
    str, Meta(pattern=r"^\s*((telegram|discord|https?|ntfys?|smtps?)://\S+\s*)+\Z", max_length=4_000)
]
PostgresUrl = Annotated[str, Meta(pattern=r"^postgres(ql)?://[^\s]*\Z", max_length=2_000)]


class Paths(tuple[Path, ...]):
    """Absolute paths, separated by commas."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(map(str, self))


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """Addresses or networks in CIDR notation: `10.0.0.0/8, ::1`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(str(network) for network in self)


LOOPBACK = Networks((IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")))


def decode(wanted: type, raw: object) -> object:
    """For msgspec: what it cannot make of a text by itself."""
    if wanted is Path:
        return Path(str(raw)).expanduser().absolute()
    if wanted is Paths:
        return Paths(Path(part.strip()).expanduser().absolute() for part in str(raw).split(",") if part.strip())
    if wanted is Networks:
        return Networks(ip_network(part.strip()) for part in str(raw).split(",") if part.strip())
    raise TypeError(f"no decoder for {wanted}")


def allowed(annotation: Any) -> str:
    """What a field of this type accepts, in words."""
    named = {
        Networks: "addresses or networks in CIDR notation, separated by commas (10.0.0.0/8, ::1)",
        NotifyUrls | None: (
            "addresses that begin with telegram://, discord://, https://, ntfys://, ntfy://, smtp:// or smtps://, with"
            " spaces between (for true or false, see TESSERA_HINTS)"
        ),
        PostgresUrl | None: "a PostgreSQL URL (postgresql://user:password@host/database)",
        StoreUrl | None: (
            "an address like s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder,"
            " without credentials"
        ),
        TimeOfDay: "a time of day in UTC, as 03:30",
        Recipients | None: "a public key of age (age1…), several with commas, or none",
        Paths: "paths, separated by commas",
        ClientWord | None: "what the provider has given out: visible ASCII characters, at most 500",
        BotToken | None: "the token of a bot, as BotFather gives it (123456:ABC-DEF…)",
        AbsoluteUrl: "an absolute URL (https://tessera.example)",
        AbsoluteUrl | None: "an absolute URL (https://tessera.example)",
        bool: "true or false",
    }
    if annotation in named:
        return named[annotation]
    match type_info(annotation):
        case LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}"
        case FloatType(le=most):
            return f"a number above 0, at most {most:g}"
        case _:
            return "text"
