"""The addresses of TESSERA_NOTIFY: one URL each, separated by spaces.

    telegram://BOT_TOKEN@CHAT              discord://WEBHOOK_ID/WEBHOOK_TOKEN, or the address that Discord shows
    https://host/path[#whsec_SECRET]       ntfys://[TOKEN@]host/topic (ntfy:// without TLS, within one's own network)
    smtp://[USER:PASSWORD@]host[:587]/?from=ADDRESS&to=ADDRESS (smtps:// for TLS from the start)

They hold secrets: nothing of them is logged or stored but `name`, which is made of their hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from control_plane.settings import ConfigurationError
from control_plane.webhooks.envelope import SECRET_PREFIX

CHANNELS_MAX = 8
TELEGRAM_URL = "https://api.telegram.org"
DISCORD_URL = "https://discord.com/api"
NAME_HASH_LENGTH = 12
SUBMISSION_PORT, SMTPS_PORT = 587, 465

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{10,200}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,32}")
_DISCORD = re.compile(r"/(?:api/(?:v\d+/)?)?webhooks/([0-9]{1,20})/([A-Za-z0-9_-]{10,200})/?")


class Telegram(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    token: str
    chat: str
    api: str


class Discord(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    webhook_id: str
    token: str
    api: str


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str
    secret: bytes | None


class Ntfy(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str
    authorization: str | None


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    host: str
    port: int
    implicit_tls: bool
    username: str | None
    password: str | None
    sender: str
    recipients: tuple[str, ...]


Channel = Telegram | Discord | Hook | Ntfy | Mail


class _Unusable(Exception):
    """What is wrong with an address, without repeating it."""


def parse(text: str | None) -> list[Channel]:
    """Raises `ConfigurationError`, which says the number of what is wrong, never the address itself."""
    words = (text or "").split()
    if len(words) > CHANNELS_MAX:
        raise ConfigurationError(f"TESSERA_NOTIFY names {len(words)} addresses; {CHANNELS_MAX} are allowed.")
    found = []
    for number, word in enumerate(words, start=1):
        try:
            found.append(_channel(word))
        except (ValueError, _Unusable) as error:
            why = str(error) if isinstance(error, _Unusable) else "it is no address"
            raise ConfigurationError(f"TESSERA_NOTIFY, address {number}: {why}.") from None
    return found


def _channel(word: str) -> Channel:
    url = urlsplit(word)
    name = f"{url.scheme}-{hashlib.sha256(word.encode()).hexdigest()[:NAME_HASH_LENGTH]}"
    match url.scheme:
        case "telegram":
            return _telegram(url, name)
        case "discord":
            return _discord(url, name)
        case "https" | "http":
            return _pasted(url, name)
        case "ntfy" | "ntfys":
            return _ntfy(url, name)
        case "smtp" | "smtps":
            return _mail(url, name)
    raise _Unusable("it begins with none of telegram://, discord://, https://, ntfy://, ntfys://, smtp://, smtps://")


def _telegram(url: SplitResult, name: str) -> Telegram:
    token, at, chat = url.netloc.rpartition("@")
    if chat == "" and at:  # telegram://TOKEN@@channel
        raise _Unusable("it should be telegram://BOT_TOKEN@CHAT")
    if token.endswith("@"):
        token, chat = token[:-1], f"@{chat}"
    if not _TOKEN.fullmatch(token) or not _CHAT.fullmatch(chat):
        raise _Unusable("it should be telegram://BOT_TOKEN@CHAT, with the number of a chat or @channel")
    return Telegram(name=name, token=token, chat=chat, api=_elsewhere(url, TELEGRAM_URL))


def _discord(url: SplitResult, name: str) -> Discord:
    token = url.path.strip("/")
    if not url.netloc.isdecimal() or not token or "/" in token:
        raise _Unusable("it should be discord://WEBHOOK_ID/WEBHOOK_TOKEN")
    return Discord(name=name, webhook_id=url.netloc, token=token, api=_elsewhere(url, DISCORD_URL))


def _pasted(url: SplitResult, name: str) -> Channel:
    """A webhook of anybody's; Discord's own addresses are known by their shape."""
    found = _DISCORD.fullmatch(url.path)
    if found is not None and url.hostname in ("discord.com", "discordapp.com"):
        return Discord(name=name, webhook_id=found[1], token=found[2], api=DISCORD_URL)
    if not url.hostname:
        raise _Unusable("it names no host")
    return Hook(name=name, url=url._replace(fragment="").geturl(), secret=_secret(url.fragment))


def _secret(fragment: str) -> bytes | None:
    if not fragment:
        return None
    try:
        return base64.b64decode(fragment.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise _Unusable(f"what stands behind # should be a secret, {SECRET_PREFIX} and base64") from None


def _ntfy(url: SplitResult, name: str) -> Ntfy:
    topic = url.path.strip("/")
    if not url.hostname or not topic or "/" in topic:
        raise _Unusable("it should be ntfys://host/topic")
    scheme = "https" if url.scheme == "ntfys" else "http"
    host = url.netloc.rpartition("@")[2]
    authorization = None
    if url.username and url.password:
        pair = f"{unquote(url.username)}:{unquote(url.password)}".encode()
        authorization = f"Basic {base64.b64encode(pair).decode()}"
    elif url.username:
        authorization = f"Bearer {unquote(url.username)}"
    return Ntfy(name=name, url=f"{scheme}://{host}/{topic}", authorization=authorization)


def _mail(url: SplitResult, name: str) -> Mail:
    asked = parse_qs(url.query)
    senders, recipients = asked.get("from", []), asked.get("to", [])
    if not url.hostname or len(senders) != 1 or not recipients:
        raise _Unusable("it should be smtp://host/?from=ADDRESS&to=ADDRESS")
    if any("@" not in address or re.search(r"\s", address) for address in (*senders, *recipients)):
        raise _Unusable("`from` and `to` should be addresses of mail")
    implicit_tls = url.scheme == "smtps"
    return Mail(
        name=name,
        host=url.hostname,
        port=url.port or (SMTPS_PORT if implicit_tls else SUBMISSION_PORT),
        implicit_tls=implicit_tls,
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        sender=senders[0],
        recipients=tuple(recipients),
    )


def _elsewhere(url: SplitResult, usual: str) -> str:
    """`?api=` leads to another server than the platform's own, for trials."""
    return parse_qs(url.query).get("api", [usual])[0].rstrip("/")
