"""Every setting of the control plane, read once.

A field `lease_seconds` is the variable `TESSERA_LEASE_SECONDS` and the key `lease_seconds` of the TOML file that
`TESSERA_CONFIG` names; the environment wins. A secret may stand in a file instead: `TESSERA_DATABASE_URL_FILE`
names it. Nothing else reads the environment, so this file is the complete list. Everything wrong is told at once,
by variable and with what is allowed; a variable that looks like a misspelt one is an error, not a silent default.
The agent, the bots and the customer's command line have variables of their own, which are ignored here.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from control_plane.kinds import (
    LOOPBACK,
    AbsoluteUrl,
    BotToken,
    Bytes,
    ClientWord,
    NotifyUrls,
    PostgresUrl,
    Recipients,
    Seconds,
    StoreUrl,
    TimeOfDay,
    allowed,
    decode,
)
from control_plane.kinds import Networks as Networks
from control_plane.kinds import Paths as Paths

PREFIX = "TESSERA_"
CONFIG_VARIABLE = "TESSERA_CONFIG"
FOREIGN_PREFIXES = (
    "TESSERA_URL",
    "TESSERA_API_KEY",
    "TESSERA_AGENT_",
    "TESSERA_TEST_",
    "TESSERA_BOTS_",
)
SECRETS = (
    *("database_url", "owner_database_url", "artifacts_url"),
    *("google_client_secret", "discord_client_secret", "telegram_login_token"),
    *("notify", "deadman_url"),
)
"""Fields that may come from a `…_FILE` and whose values are never printed."""
TYPO_LIKENESS = 0.75
EX_CONFIG = 78
"""sysexits(3): something in the configuration is wrong."""


class ConfigurationError(Exception):
    """The settings cannot be used; the message says which, why and what is allowed."""

    exit_code = EX_CONFIG


def _default_data_dir() -> Path:
    """`.tessera` inside a clone, so that a trial stays in its folder; installed, the user's place for such data."""
    clone = Path(__file__).parents[1]
    if (clone / "pyproject.toml").exists():
        return clone / ".tessera"
    return Path.home() / ".local" / "share" / "tessera"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: PostgresUrl | None = None
    """The PostgreSQL that holds everything, as the application's role; unset = the embedded one in `data_dir`."""
    owner_database_url: PostgresUrl | None = None
    """The same database as the role that owns the schema, for `tessera migrate`; unset = `database_url`."""
    data_dir: Path = msgspec.field(default_factory=_default_data_dir)
    """Holds everything embedded: the database, artifacts, the local agent."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    """Port to listen on; 0 = any free one."""
    public_url: AbsoluteUrl | None = None
    """How customers and agents reach this service; the only source of absolute URLs. Unset = `http://host:port`."""
    plain_http: bool = False
    """Whether `host` may be more than this machine, where all on the way read along: for a container, or a proxy on
    another machine. Otherwise use `tessera up --lan`, or a proxy here."""
    tls_certificate: Path | None = None
    """Certificate, with what leads to its issuer, for https from here beside http at `host`; unset = a proxy does that.
    `tessera up --lan` sets this and the next four by itself."""
    tls_key: Path | None = None
    tls_host: str = "0.0.0.0"  # noqa: S104 -- all that comes there is encrypted
    """Address to listen on for https."""
    tls_port: Annotated[int, Meta(ge=0, le=65_535)] = 8443
    tls_authority: Path | None = None
    """Certificate of a private authority that has signed ours; agents hear of it by their token and trust no other."""
    trusted_proxies: Networks = Networks()
    """The only senders whose `X-Forwarded-For` counts."""
    metrics_networks: Networks = LOOPBACK
    """Senders that may read `/metrics` without a scope."""

    lease_seconds: Seconds = 60.0
    """A lease not renewed for this long is reaped."""
    offer_seconds: Seconds = 10.0
    """An offered lease not acknowledged for this long goes back and counts in no budget."""
    grace_seconds: Seconds = 15.0
    """What is left of a lease once the connection of a held heartbeat has broken."""
    heartbeat_seconds: Seconds = 10.0
    """How often an agent reports its leases."""
    self_fence_seconds: Seconds = 45.0
    """An agent stops its own work when its last confirmed heartbeat is older than this."""
    poll_seconds: Annotated[float, Meta(gt=0, le=25)] = 25.0
    """How long a claim may wait for a job."""
    hints: bool = True
    """Whether LISTEN and NOTIFY hurry things up; without them everything still works by polling, only slower."""

    signup: Literal["closed", "invite", "open"] = "open"
    """Whether somebody whom a bot names for the first time becomes a user: nobody, with a code, or anybody."""
    signups_per_day: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """How many new users may come by each provider in a day (UTC) while sign-up is open."""

    google_client_id: ClientWord | None = None
    """Signing in with Google: the client that was registered there, with `<public_url>/auth/google/callback` as its
    redirect address; unset = nobody signs in with Google."""
    google_client_secret: ClientWord | None = None
    google_issuer: AbsoluteUrl = "https://accounts.google.com"
    """Who signs Google's ID tokens; another one for trials only."""
    discord_client_id: ClientWord | None = None
    """Signing in with Discord, likewise, with `<public_url>/auth/discord/callback`. People are the same as by a bot."""
    discord_client_secret: ClientWord | None = None
    discord_url: AbsoluteUrl = "https://discord.com"
    """Another one for trials only."""
    telegram_login_token: BotToken | None = None
    """Signing in with Telegram: the token of a bot whose domain was set to ours (BotFather, /setdomain)."""
    telegram_login_url: AbsoluteUrl = "https://oauth.telegram.org"
    """Another one for trials only."""

    disk_reserve_bytes: Bytes = 1024**3
    """Submits and uploads are refused while less than this is free where `data_dir` lies."""
    artifacts_dir: Path | None = None
    """The folder that holds artifacts; unset = `artifacts` in `data_dir`."""
    artifacts_url: StoreUrl | None = None
    """Where artifacts lie instead of that folder: `s3://bucket/prefix?endpoint=…`, `gs://`, `az://` or `file:///…`.
    Credentials come from the environment as the cloud's own tools take them, never from here."""
    artifact_bytes_max: Bytes = 512 * 1024**2
    """Largest file an agent may upload."""
    artifact_url_seconds: Seconds = 3600.0
    """How long a signed download URL is good for."""
    body_bytes_max: Annotated[int, Meta(ge=1024, le=64 * 1024**2)] = 1024**2
    """Largest request body that is not an upload."""
    webhook_networks: Networks = Networks()
    """Where webhooks may go besides the public Internet, there also by http, to any port: `127.0.0.0/8` for trials."""
    notify: NotifyUrls | None = None
    """Where the operator is told of what is wrong: `telegram://BOT_TOKEN@CHAT`, a webhook of Discord's or anybody's,
    `ntfys://host/topic` or `smtp://…/?from=…&to=…`; several with spaces between. `tessera incident test` tries them."""
    deadman_url: AbsoluteUrl | None = None
    """Asked for once a minute while all loops run; whoever waits there raises alarm when that ends."""
    bot_health_url: AbsoluteUrl | None = None
    """Where `tessera-bots` says how the bots fare; unset = `http://127.0.0.1:8020` for those of `tessera up`."""
    request_seconds: Seconds = 30.0
    """Deadline of a request, not counting the wait of a long poll."""
    images_wait_seconds: Annotated[float, Meta(gt=0, le=600)] = 540.0
    """How long a request in OpenAI's shape waits for its pictures; a proxy in front has to be as patient."""
    pool_size: Annotated[int, Meta(ge=2, le=200)] = 8
    """Database connections of one process, besides the one that listens."""

    sandbox: bool = True
    """Whether this process draws what test keys order; where none does, their orders wait."""

    policy: Path | None = None
    """TOML file with the rules of conduct, read again when it changes; unset = those that come with Tessera."""

    workflows: Path | None = None
    """Folder of workflows besides those that come with Tessera, read again when it changes; unset = `workflows` in
    `data_dir`. One of the same name stands in for a shipped one."""

    site: Path | None = None
    """Folder of the website as `make web` exports it; unset = the one of this clone, if it was built."""

    backup_url: StoreUrl | None = None
    """Where backups go: `file:///mnt/disk/tessera` on another disk or machine, or a bucket as for `artifacts_url`."""
    backup_at: TimeOfDay = "03:30"
    """When `tessera up` makes the nightly backup, in UTC; should the machine be off then, it is made when it starts."""
    backup_recipient: Recipients | None = None
    """Public key that backups are closed with (`age1…`, from `tessera backup key`), or several with commas; `none`
    leaves them open to whoever sees the place. The secret key belongs elsewhere: nothing here needs it."""
    backup_also: Paths = Paths()
    """Further files and folders for the backup, with commas, as `/etc/tessera`; the data folder is in it anyway."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` = for people on a terminal, JSON lines otherwise."""

    @property
    def base_url(self) -> str:
        """What absolute URLs begin with, without a slash at the end."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def artifacts_folder(self) -> Path:
        return self.artifacts_dir or self.data_dir / "artifacts"

    @property
    def workflows_folder(self) -> Path:
        return self.workflows or self.data_dir / "workflows"

    @property
    def site_folder(self) -> Path:
        return self.site or Path(__file__).parents[1] / "frontends" / "website" / "out"


FIELDS: dict[str, Any] = get_type_hints(Settings, include_extras=True)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in effect; raises `ConfigurationError` that names everything wrong."""
    faults = list(_misspelt(environ))
    values: dict[str, Any] = {}
    for name, origin, raw in [*_from_file(environ), *_from_environment(environ)]:
        try:
            values[name] = msgspec.convert(raw, FIELDS[name], strict=False, dec_hook=decode)
        except (msgspec.ValidationError, ValueError):
            shown = "" if name in SECRETS else f" is {str(raw)!r}, but"
            faults.append(f"{origin}{shown} must be {allowed(FIELDS[name])}.")
    if faults:
        raise ConfigurationError("\n".join(faults))
    settings = Settings(**values)
    if faults := list(_incoherent(settings)):
        raise ConfigurationError("\n".join(faults))
    return settings


def effective(settings: Settings) -> dict[str, str]:
    """Every setting by the name of its variable, as a person may see it: passwords are hidden."""
    return {variable(name): _shown(name, getattr(settings, name)) for name in FIELDS}


def variable(name: str) -> str:
    return PREFIX + name.upper()


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    if name not in SECRETS:
        return str(value)
    if not name.endswith("url"):
        return "***"
    url = urlsplit(str(value))
    netloc = url.netloc.replace(f":{url.password}@", ":***@") if url.password else url.netloc
    return urlunsplit((url.scheme, netloc, url.path, "", ""))


def _from_file(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """(field, where it stands, value) from the TOML file; its keys are checked here because all of it is ours."""
    path = environ.get(CONFIG_VARIABLE)
    if not path:
        return
    try:
        document = tomllib.loads(Path(path).expanduser().read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {path}, which cannot be read: {error}.") from error
    for key, value in document.items():
        if key not in FIELDS:
            raise ConfigurationError(f"{path}: there is no setting {key!r}.{_nearest(key, list(FIELDS))}")
        raw = ",".join(map(str, value)) if isinstance(value, list) else value
        yield key, f"{key} in {path}", raw


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    for name in FIELDS:
        if environ.get(variable(name)):
            yield name, variable(name), environ[variable(name)]
        elif name in SECRETS and environ.get(variable(name) + "_FILE"):
            yield name, variable(name) + "_FILE", _secret(variable(name) + "_FILE", environ)


def _secret(name: str, environ: Mapping[str, str]) -> str:
    try:
        return Path(environ[name]).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name} names {environ[name]}, which cannot be read: {error}.") from error


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    known = [CONFIG_VARIABLE, *map(variable, FIELDS), *(variable(name) + "_FILE" for name in SECRETS)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(FOREIGN_PREFIXES) and name not in known:
            hint = _nearest(name, known)
            if hint:
                yield f"{name} is not a setting of Tessera.{hint}"


def _nearest(name: str, known: list[str]) -> str:
    """` Did you mean …?` when something known is like it; the common prefix says nothing about likeness."""
    bare = {candidate.removeprefix(PREFIX): candidate for candidate in known}
    found = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=TYPO_LIKENESS)
    return f" Did you mean {bare[found[0]]}?" if found else ""


def _exposed(settings: Settings) -> Iterator[str]:
    """Passwords and pictures cross no network in the clear unless somebody has said so."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        yield "TESSERA_TLS_CERTIFICATE and TESSERA_TLS_KEY belong together. Set both of them or neither."
    if settings.tls_certificate is not None and not (settings.public_url or "").startswith("https://"):
        yield "With TESSERA_TLS_CERTIFICATE, set TESSERA_PUBLIC_URL to the https:// address that it is for."
    if not settings.plain_http and not _is_loopback(settings.host):
        yield (
            f"TESSERA_HOST (--host) is {settings.host}, so everybody on the way could read passwords and pictures. For"
            " other machines use `tessera up --lan`, or a proxy with a certificate here in front of 127.0.0.1; or say"
            " that you want it: --plain-http (TESSERA_PLAIN_HTTP=true)."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _incoherent(settings: Settings) -> Iterator[str]:
    """An agent must have given up before its lease can be given to another, and may miss a heartbeat; files have one
    place."""
    if settings.artifacts_dir is not None and settings.artifacts_url is not None:
        yield "TESSERA_ARTIFACTS_DIR and TESSERA_ARTIFACTS_URL both say where artifacts lie. Set one of them."
    yield from _exposed(settings)
    for provider in ("google", "discord"):
        names = [f"{provider}_client_id", f"{provider}_client_secret"]
        if sum(getattr(settings, name) is not None for name in names) == 1:
            yield f"{variable(names[0])} and {variable(names[1])} belong together. Set both of them or neither."
    if settings.self_fence_seconds >= settings.lease_seconds:
        yield (
            f"TESSERA_SELF_FENCE_SECONDS ({settings.self_fence_seconds:g}) must be less than"
            f" TESSERA_LEASE_SECONDS ({settings.lease_seconds:g}), or two agents could work on one job."
        )
    if 2 * settings.heartbeat_seconds > settings.self_fence_seconds:
        yield (
            f"TESSERA_HEARTBEAT_SECONDS ({settings.heartbeat_seconds:g}) must be at most half of"
            f" TESSERA_SELF_FENCE_SECONDS ({settings.self_fence_seconds:g}), so that one may be lost."
        )
