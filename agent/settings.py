"""Every setting of the agent, read once.

A field `run_seconds_max` is the variable `TESSERA_AGENT_RUN_SECONDS_MAX` and the key `run_seconds_max` of the TOML
file that `TESSERA_AGENT_CONFIG` names; a command-line option wins over the environment, which wins over the file.
Nothing else reads the environment. Everything wrong is told at once, by name and with what is allowed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from control_plane.wire.worker import SLOTS_MAX

PREFIX = "TESSERA_AGENT_"
CONFIG_VARIABLE = "TESSERA_AGENT_CONFIG"

EngineName = Literal["auto", "testcard", "comfyui"]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s]+[^\s]*\Z", max_length=500)]


class ConfigurationError(Exception):
    """The settings cannot be used; the message says which, why and what is allowed."""


def _default_dir() -> Path:
    return Path.home() / ".local" / "share" / "tessera-agent"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    dir: Path = msgspec.field(default_factory=_default_dir)
    """Holds the credential, the control socket and the files of running jobs."""
    token: str | None = None
    """The one-time enrolment token, for those who do not want it in the list of processes."""
    engine: EngineName = "auto"
    """`auto` looks for a ComfyUI at `comfyui_url`, takes the built-in engine for now, and says why."""
    comfyui_url: HttpUrl = "http://127.0.0.1:8188"
    workflows: Path | None = None
    """A folder of workflows for ComfyUI besides the shipped ones; one of the same name stands in for it."""
    slots: Annotated[int, Meta(ge=1, le=SLOTS_MAX)] = 1
    """Engines at work side by side: one per GPU."""
    testcard_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 2.0
    """How long the built-in engine takes for a picture."""
    run_seconds_max: Annotated[float, Meta(gt=0, le=86_400)] = 1_800.0
    """A run that takes longer is stopped and reported as failed."""
    disk_free_gib_min: Annotated[float, Meta(ge=0, le=10_000)] = 1.0
    """With less free disk than this the agent asks for no work."""
    inputs_gib_max: Annotated[float, Meta(ge=0, le=1_000)] = 1.0
    """How much of the pictures that orders start from is kept, in case they come again."""
    local_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Port on 127.0.0.1 for /health, /capabilities, /metrics and /run_job; 0 = off. The control socket has them too."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @property
    def credential_file(self) -> Path:
        return self.dir / "credential.json"

    @property
    def work_folder(self) -> Path:
        return self.dir / "work"

    @property
    def inputs_folder(self) -> Path:
        return self.dir / "inputs"

    @property
    def trials_folder(self) -> Path:
        return self.dir / "trials"

    @property
    def lock_file(self) -> Path:
        return self.dir / "lock"

    @property
    def socket_file(self) -> Path:
        return self.dir / "control.sock"


FIELDS: dict[str, Any] = get_type_hints(Settings, include_extras=True)
_ALLOWED = {
    "engine": "auto, testcard or comfyui",
    "comfyui_url": "an absolute URL (http://127.0.0.1:8188)",
    "workflows": "a folder",
    "slots": f"a whole number from 1 to {SLOTS_MAX}",
    "testcard_seconds": "a number of seconds from 0 to 3600",
    "run_seconds_max": "a number of seconds above 0, at most 86400",
    "disk_free_gib_min": "a number of GiB from 0 to 10000",
    "inputs_gib_max": "a number of GiB from 0 to 1000",
    "local_port": "a port from 0 to 65535",
    "log_level": "debug, info, warning or error",
    "log_format": "auto, json or console",
}


def load(environ: Mapping[str, str], options: Mapping[str, object] | None = None) -> Settings:
    """The settings in effect; `options` are fields given on the command line (None = not given)."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, origin, raw in [*_from_file(environ), *_from_environment(environ), *_from_options(given)]:
        try:
            values[name] = msgspec.convert(raw, FIELDS[name], strict=False, dec_hook=_decode)
        except (msgspec.ValidationError, ValueError):
            faults.append(f"{origin} is {str(raw)!r}, but must be {_ALLOWED.get(name, 'text')}.")
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Settings(**values)


def variable(name: str) -> str:
    return PREFIX + name.upper()


def _from_file(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    path = environ.get(CONFIG_VARIABLE)
    if not path:
        return
    try:
        document = tomllib.loads(Path(path).expanduser().read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {path}, which cannot be read: {error}.") from error
    for key, value in document.items():
        if key not in FIELDS:
            raise ConfigurationError(f"{path}: there is no setting {key!r}. There are: {', '.join(FIELDS)}.")
        yield key, f"{key} in {path}", value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    known = {variable(name): name for name in FIELDS}
    for key in sorted(environ):
        if key in known and environ[key]:
            yield known[key], key, environ[key]
        elif key.startswith(PREFIX) and key not in known and key != CONFIG_VARIABLE:
            raise ConfigurationError(f"{key} is not a setting of the agent. There are: {', '.join(known)}.")


def _from_options(options: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    for name, value in options.items():
        yield name, "--" + name.replace("_", "-"), value


def _decode(wanted: type, raw: object) -> object:
    if wanted is Path:
        return Path(str(raw)).expanduser().absolute()
    raise TypeError(f"no decoder for {wanted}")
