"""`tessera-bots`: runs the bots of a configuration file; `tessera-bots setup` makes that file.

Exit codes: 0 clean · 64 not understood · 69 the port or a bot is taken · 78 something in the configuration is wrong.
What goes wrong is one sentence on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from control_plane.wire import systemd
from frontends.bots import configuration, log, packages
from frontends.bots.configuration import CONFIG_VARIABLE, EX_CONFIG, ConfigurationError

if TYPE_CHECKING:
    from frontends.bots.settings import BotSettings, Settings

EX_USAGE, EX_UNAVAILABLE = 64, 69
"""sysexits(3)."""
EPILOG = """examples:
  tessera-bots setup                 add a bot: asks for what its platform needs, checks it, prints its link
  tessera-bots                       run all bots until Ctrl-C
  tessera-bots --only telegram       only those, when the others run elsewhere

The configuration is bots.toml in ~/.local/share/tessera-bots, or what --config or TESSERA_BOTS_CONFIG names."""

SETUP_EPILOG = """examples:
  tessera-bots setup
  tessera-bots setup --url https://tessera.example --api-key-file key --platform telegram --makes image \\
    --name painter --api-id 12345 --api-hash-file hash --token-file - < token"""
SETUP_OPTIONS = (
    ("url", "URL", "where the service answers"),
    ("api-key-file", "FILE", "a file with the key of the service; - for a line of standard input, as for every secret"),
    ("house", "NAME", "what the bots call the service (Tessera)"),
    ("site", "URL", "its web site, if it has one"),
    ("support", "WHOM", "an address, or a name in the chat"),
    ("platform", "PLATFORM", "telegram or discord"),
    ("makes", "KIND", "image or video"),
    ("name", "NAME", "a short name for the bot"),
    ("api-id", "N", "Telegram: of my.telegram.org"),
    ("api-hash-file", "FILE", "Telegram: a file with the api_hash that belongs to it"),
    ("token-file", "FILE", "a file with the token of the bot"),
    ("application-id", "N", "Discord: of the application that the bot belongs to"),
    ("data-centre", "WHERE", "a stand-in of Telegram on this machine: host:port:media_port"),
    ("rest-url", "URL", "a stand-in of Discord"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The whole program; never raises what a person could be told in a sentence."""
    options = _parser().parse_args(argv)
    environ = dict(os.environ) | ({CONFIG_VARIABLE: options.config} if options.config else {})
    try:
        return int(options.run(options, environ))
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"tessera-bots: {error}", file=sys.stderr)
        return code


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings, bots = _settled(options, environ)
    log.configure(settings.log_level, settings.log_format)
    from frontends.bots import program  # with the libraries of the platforms

    with suppress(asyncio.CancelledError):  # told twice to stop
        asyncio.run(program.run(settings, bots, systemd.from_environment(environ)))
    return 0


def _settled(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Settings, list[BotSettings]]:
    """What to run. Raises `ConfigurationError`."""
    settings = configuration.load(environ)
    bots = [bot for bot in settings.bots if options.only in (None, bot.platform, bot.name)]
    if not bots:
        names = ", ".join(["telegram", "discord", *(bot.name for bot in settings.bots)])
        raise ConfigurationError(f"There is no bot {options.only!r}. There are: {names}.")
    faults = list(packages.faults({bot.platform for bot in bots}))
    if faults:
        raise ConfigurationError("\n".join(faults))
    if options.port is not None:
        settings = msgspec.structs.replace(settings, port=options.port)
    return settings, bots


def _exit_code(error: Exception) -> int | None:
    """None: not something that a person did."""
    from frontends.bots.health import PortTaken
    from frontends.bots.key import WrongKey
    from frontends.bots.program import AlreadyRunning, NoBotLeft

    match error:
        case ConfigurationError() | WrongKey() | NoBotLeft():
            return EX_CONFIG
        case PortTaken() | AlreadyRunning():
            return EX_UNAVAILABLE
        case _:
            return None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    top = _Parser(
        prog="tessera-bots",
        description="Telegram and Discord bots of a Tessera service.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--config", metavar="FILE", help="the configuration file (or TESSERA_BOTS_CONFIG)")
    top.add_argument("--only", metavar="BOTS", help="telegram, discord, or the name of one bot (default: all)")
    top.add_argument("--port", metavar="N", type=_port, help="for /healthz, /readyz and /metrics, 0 = any (8020)")
    top.set_defaults(run=_run)
    commands = top.add_subparsers(metavar="COMMAND")
    _add_setup(commands)
    _add_demo(commands)
    return top


def _add_setup(commands: argparse._SubParsersAction[_Parser]) -> None:
    made = commands.add_parser(
        "setup",
        help="add a bot, or give one a new token",
        description=(
            "Ask for what a bot needs, check it on its platform, register its commands, and store it; secrets in files"
            " of their own that you alone can read. What is given as an option is not asked for. Again with the name"
            " of a bot that is there: gives it a new token."
        ),
        epilog=SETUP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, metavar, meaning in SETUP_OPTIONS:
        made.add_argument(f"--{name}", metavar=metavar, help=meaning)
    made.set_defaults(run=_setup)


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    made = commands.add_parser(
        "demo",
        help="bots on stand-ins of the platforms, with a page where you chat with them",
        description=(
            "Run four bots of a service on stand-ins of Telegram and Discord on this machine, and print the address of"
            " a page where you chat with them in a browser, without any account. `tessera up --demo-chats` does it all."
        ),
    )
    made.add_argument("--url", metavar="URL", required=True, help="where the service answers")
    made.add_argument("--api-key-file", metavar="FILE", required=True, help="a file with a key of it for bots")
    made.add_argument(
        "--folder", metavar="FOLDER", required=True, help="for what the bots remember until the next start"
    )
    made.add_argument("--page-port", metavar="N", type=_port, default=0, help="port of the page (any)")
    made.set_defaults(run=_demo)


def _demo(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    faults = list(packages.faults(("telegram", "discord")))
    if faults:
        raise ConfigurationError("\n".join(faults))
    log.configure("warning", "auto")
    from frontends.bots import demo

    try:
        key = Path(options.api_key_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--api-key-file names {options.api_key_file}, which cannot be read: {error}."
        ) from error
    with suppress(asyncio.CancelledError):
        asyncio.run(demo.run(options.url, key, Path(options.folder).absolute(), _told, options.page_port))
    return 0


def _told(page: str) -> None:
    print(f"Chat with the bots in a browser: {page}", flush=True)


def _setup(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from frontends.bots.setup.steps import Setup

    log.configure("error", "console")
    asyncio.run(Setup(vars(options), environ).run())
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
