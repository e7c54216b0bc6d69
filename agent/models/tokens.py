"""Tokens for gated sources, each for one host: from a file only its owner reads, or from the environment.

Never from the command line, which every user of the machine can see, and never in an address or a log. A token goes
to the host that it was given for and to no other, so neither a list of weights nor a redirect can ask for it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from agent.settings import ConfigurationError

TOKEN = re.compile(r"[\x21-\x7e]{1,500}")
HOST = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")


def load(path: Path, setting: str | None) -> dict[str, str]:
    """By host, with its port unless that is the usual one. `setting`: `host=token`, over the file."""
    tokens = {**_from_file(path), **_from_setting(setting)}
    for host, token in tokens.items():
        if not HOST.fullmatch(host) or not TOKEN.fullmatch(token):
            raise ConfigurationError(f"The token for {host[:100]!r} is none, or that is no host. {_HOW}")
    return tokens


_HOW = 'A line of tokens.toml is: "huggingface.co" = "hf_…", and the variable TESSERA_AGENT_MODELS_TOKEN is host=token.'


def _from_file(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others on this machine. Run: chmod 600 {path}")
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__}). {_HOW}") from None
    return {host: str(token) for host, token in found.items()}


def _from_setting(setting: str | None) -> dict[str, str]:
    if not setting:
        return {}
    host, separator, token = setting.partition("=")
    if not separator:
        raise ConfigurationError(f"TESSERA_AGENT_MODELS_TOKEN names no host. {_HOW}")
    return {host: token}
