"""Every setting of the agent, read once.

A field `run_seconds_max` is the variable `TESSERA_AGENT_RUN_SECONDS_MAX` and the key `run_seconds_max` of the TOML
file that `TESSERA_AGENT_CONFIG` names; a command-line option wins over the environment, which wins over the file.
Nothing else reads the environment. Everything wrong is told at once, by name and with what is allowed.

The file may have an `[[engine]]` table for each card, one slot each; what a table leaves out is as set for all.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from agent.hours import QuietHours, quiet_hours, zone
from control_plane.wire.worker import SLOTS_MAX

PREFIX = "TESSERA_AGENT_"
CONFIG_VARIABLE = "TESSERA_AGENT_CONFIG"

EngineName = Literal["auto", "testcard", "comfyui"]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s]+[^\s]*\Z", max_length=500)]


Device = Annotated[str, Meta(pattern=r"^[A-Za-z0-9:/_-]+\Z", max_length=64)]
"""A GPU as `nvidia-smi -L` names it: `0`, `GPU-5b1…`."""
Image = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*\Z", max_length=300)]


class ConfigurationError(Exception):
    """The settings cannot be used; the message says which, why and what is allowed."""


def _default_dir() -> Path:
    return Path.home() / ".local" / "share" / "tessera-agent"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: an engine, and the GPU that it has to itself."""

    engine: EngineName
    device: Device | None
    """None: whichever the engine takes."""
    comfyui_url: HttpUrl
    comfyui_dir: Path | None
    comfyui_python: Path | None
    comfyui_image: Image | None
    comfyui_models: Path | None
    comfyui_args: list[str]

    @property
    def is_supervised(self) -> bool:
        """Its ComfyUI is started, watched and ended by us."""
        return self.comfyui_dir is not None or self.comfyui_image is not None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    dir: Path = msgspec.field(default_factory=_default_dir)
    """Holds the credential, the control socket and the files of running jobs."""
    token: str | None = None
    """The one-time enrolment token, for those who do not want it in the list of processes."""
    engine: EngineName = "auto"
    """`auto` takes the ComfyUI that answers at `comfyui_url`, else the built-in engine, and says why."""
    comfyui_url: HttpUrl = "http://127.0.0.1:8188"
    comfyui_dir: Path | None = None
    """A ComfyUI of yours that the agent starts, watches and ends; without it, the one at `comfyui_url` is driven."""
    comfyui_python: Path | None = None
    """What runs it; by default the Python of a `venv` or `.venv` in its folder."""
    comfyui_image: Image | None = None
    """The same from a container image, by Podman; its entry point takes ComfyUI's arguments."""
    comfyui_models: Path | None = None
    """The folder of models that the container gets to read."""
    comfyui_args: list[str] = []
    """Further arguments for a ComfyUI that the agent starts, such as `--lowvram`."""
    comfyui_recycle_jobs: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """A ComfyUI that the agent has started is started anew after so many jobs, between two of them; 0: never."""
    comfyui_recycle_gib: Annotated[float, Meta(ge=0, le=10_000)] = 4.0
    """The same when it has come to hold so much more memory than when it was warm; 0: never."""
    device: Device | None = None
    """The GPU for an engine that the agent starts. With several slots each gets the GPU of its number."""
    engines: list[dict[str, Any]] = []
    """The `[[engine]]` tables of the file."""
    models_token: str | None = None
    """`host=token` for a gated source of model files, over those in `tokens.toml` of the state folder."""
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
    yield_gpu: Literal["off", "finish", "now"] = "now"
    """When another program uses the GPU: nothing, finish what runs, or give the job back at once; then free the GPU."""
    yield_memory_gib: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    """More GPU memory than this above the usual, which our engine does not explain, is another program's."""
    yield_quiet_seconds: Annotated[float, Meta(ge=5, le=86_400)] = 120.0
    """The GPU is taken back when nobody else has used it for so long."""
    quiet_hours: QuietHours = msgspec.field(default_factory=QuietHours)
    """When the machine is its owner's: `["18:00-23:30 mon-fri", "14:00-24:00 sat,sun"]`, by this machine's clock."""
    time_zone: tzinfo = msgspec.field(default_factory=lambda: zone(None))
    """Of quiet hours and pauses, `Europe/Berlin`; by default this machine's."""
    local_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Port on 127.0.0.1 for /health, /capabilities, /metrics and /run_job; 0 = off. The control socket has them too."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @property
    def cards(self) -> list[Card]:
        """What every slot runs; raises `ConfigurationError`."""
        if not self.engines:
            several = self.slots > 1 and (self.comfyui_dir is not None or self.comfyui_image is not None)
            return [self._card({"device": str(n)} if several else {}, "") for n in range(self.slots)]
        return [self._card(table, f"[[engine]] {n}: ") for n, table in enumerate(self.engines, 1)]

    def _card(self, table: dict[str, Any], where: str) -> Card:
        """`table` over what is set for all. Another way to get a ComfyUI puts those of the rest out of force."""
        known = Card.__struct_fields__
        for key in table:
            if key not in known:
                raise ConfigurationError(f"{where}there is no setting {key!r}. There are: {', '.join(known)}.")
        values = {name: getattr(self, name) for name in known}
        if any(name in table for name in WAYS):
            values |= dict.fromkeys(WAYS[1:], None)
        try:
            given = {key: msgspec.convert(raw, FIELDS[key], dec_hook=_decode) for key, raw in table.items()}
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigurationError(f"{where}{error}.") from error
        card = Card(**{**values, **given})
        if card.comfyui_dir is not None and card.comfyui_image is not None:
            raise ConfigurationError(f"{where}comfyui_dir and comfyui_image: one of them is enough.")
        return card

    @property
    def pause_file(self) -> Path:
        return self.dir / "pause.json"

    @property
    def comfyui_folder(self) -> Path:
        return self.dir / "comfyui"

    @property
    def leases_folder(self) -> Path:
        return self.dir / "leases"

    @property
    def credential_file(self) -> Path:
        return self.dir / "credential.json"

    @property
    def work_folder(self) -> Path:
        return self.dir / "work"

    @property
    def workflows_file(self) -> Path:
        return self.dir / "workflows.json"

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

    @property
    def licences_file(self) -> Path:
        return self.dir / "licences.json"

    @property
    def pins_file(self) -> Path:
        return self.dir / "pins.json"

    @property
    def tokens_file(self) -> Path:
        return self.dir / "tokens.toml"

    @property
    def hashes_file(self) -> Path:
        return self.dir / "hashes.json"


WAYS = ("comfyui_url", "comfyui_dir", "comfyui_image")
"""How a slot gets its ComfyUI."""
FIELDS: dict[str, Any] = get_type_hints(Settings, include_extras=True)
_NAMES = [name for name in FIELDS if name != "engines"]
"""Of what a variable and a key of the file can set."""
_ALLOWED = {
    "engine": "auto, testcard or comfyui",
    "comfyui_url": "an absolute URL (http://127.0.0.1:8188)",
    "comfyui_dir": "the folder of a ComfyUI, with its main.py",
    "comfyui_python": "a path",
    "comfyui_image": "the name of a container image",
    "comfyui_models": "a folder",
    "comfyui_args": "arguments for ComfyUI",
    "comfyui_recycle_jobs": "a number of jobs from 0 to 1000000",
    "comfyui_recycle_gib": "a number of GiB from 0 to 10000",
    "device": "a GPU as nvidia-smi -L names it (0, GPU-…)",
    "engines": "[[engine]] tables, at most 16",
    "models_token": "host=token",
    "workflows": "a folder",
    "slots": f"a whole number from 1 to {SLOTS_MAX}",
    "testcard_seconds": "a number of seconds from 0 to 3600",
    "run_seconds_max": "a number of seconds above 0, at most 86400",
    "disk_free_gib_min": "a number of GiB from 0 to 10000",
    "inputs_gib_max": "a number of GiB from 0 to 1000",
    "yield_gpu": "off, finish or now",
    "yield_memory_gib": "a number of GiB above 0, at most 1000",
    "yield_quiet_seconds": "a number of seconds from 5 to 86400",
    "quiet_hours": "times like 18:00-23:30 mon-fri (a list in the file; elsewhere separated by semicolons)",
    "time_zone": "a time zone like Europe/Berlin",
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
            words = shlex.split(raw) if name == "comfyui_args" and isinstance(raw, str) else raw
            values[name] = msgspec.convert(words, FIELDS[name], strict=False, dec_hook=_decode)
        except (msgspec.ValidationError, ValueError):
            faults.append(f"{origin} is {str(raw)!r}, but must be {_ALLOWED.get(name, 'text')}.")
    if faults:
        raise ConfigurationError("\n".join(faults))
    settings = Settings(**values)
    if len(settings.cards) > SLOTS_MAX:
        raise ConfigurationError(f"There are {len(settings.cards)} [[engine]] tables; at most {SLOTS_MAX} are allowed.")
    return settings


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
        if key == "engine" and isinstance(value, list):
            key = "engines"
        elif key not in FIELDS or key == "engines":
            raise ConfigurationError(f"{path}: there is no setting {key!r}. There are: {', '.join(_NAMES)}.")
        yield key, f"{key} in {path}", value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    known = {variable(name): name for name in _NAMES}
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
    if wanted is QuietHours:
        return quiet_hours(raw)
    if wanted is tzinfo:
        return zone(str(raw))
    raise TypeError(f"no decoder for {wanted}")
